"""What one per cent more documents cost, and one raised version: `python benchmarks/incremental.py`.

A source of --documents documents of ../shared/data/corpora goes through the assets that examine it, in this
process and without checks: signals, personal data, benchmark items. Then 1 % is added and they run again; then
the version of one group of signals is raised and the signals run once more. Counts come from what the assets
report, CPU seconds from this process. Near duplicates and boilerplate are looked for among all documents each
time; what that costs is told beside. The figures go to `docs/measured/incremental.json`.
"""

from __future__ import annotations

import argparse
import gzip
import os
import tempfile
import time
from pathlib import Path
from unittest import mock

from reports import DATA, MEASURED, PROJECT, save

CORPUS = DATA / "corpora" / "windows-powershell-docs.jsonl.gz"
SOURCES = """\
version: 1
sources:
  - {name: pages, reader: jsonl, uri: pages.jsonl, columns: {text: text, key: id}, kind: document, profile: web,
     license: CC-BY-4.0, language: en, collected_at: 2026-01-01, consent: granted, owner: team:data, weight: 1}
"""
RAISED = "markers"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--json", type=Path, default=MEASURED / "incremental.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="winnow-incremental-") as folder:
        place = Path(folder)
        (place / "sources.yaml").write_text(SOURCES, encoding="utf-8")
        os.environ |= {"WINNOW_HOME": str(place / "home"), "WINNOW_SOURCES": str(place / "sources.yaml")}
        # What is compiled stays, or the first run would be charged for it.
        os.environ["NUMBA_CACHE_DIR"] = str(PROJECT / "var" / "cache" / "numba")
        report = compare(place, arguments.documents)
    save(report, arguments.json)


def compare(place: Path, documents: int) -> dict:
    import dagster as dg

    from assets.filtered import contamination, pii, signals
    from assets.filters import measured
    from assets.filters.boilerplate import find_boilerplate
    from assets.filters.duplicates import find_duplicates
    from assets.lake import Lake
    from assets.raw import raw_documents
    from assets.settings import lake_root

    lake = Lake(lake_root())
    with gzip.open(CORPUS, "rt", encoding="utf-8") as lines:
        rows = [line for _, line in zip(range(documents + documents // 100), lines, strict=False)]

    def materialize(*assets: dg.AssetsDefinition) -> tuple[float, dict[str, object]]:
        """CPU seconds, and what the assets say that they took over or measured."""
        started = time.process_time()
        with dg.DagsterInstance.ephemeral() as instance:
            done = dg.materialize(assets, partition_key="pages", resources={"lake": lake}, instance=instance)
        seconds = time.process_time() - started
        said = {
            name: value.value
            for event in done.get_asset_materialization_events()
            for name, value in event.materialization.metadata.items()
            if name in ("taken_over", "texts_measured")
        }
        return seconds, said

    def run(name: str, lines: list[str]) -> dict[str, dict]:
        (place / "pages.jsonl").write_text("".join(lines), encoding="utf-8")
        materialize(raw_documents)
        steps: dict[str, dict] = {}
        for asset in (signals, pii, contamination):
            seconds, said = materialize(asset)
            steps[asset.node_def.name] = {"cpu_seconds": round(seconds, 2), **said}
        texts = lake.query("SELECT *, true AS releasable FROM raw.documents")
        for find in (find_duplicates, find_boilerplate):
            started = time.process_time()
            find(texts)
            steps[find.__name__] = {"cpu_seconds": round(time.process_time() - started, 2)}
        print(name, *(f"{step} {said['cpu_seconds']} s" for step, said in steps.items()), sep="\n  ")
        return steps

    # Loads and compiles what the first run would be charged for.
    run("a hundred, to load what there is to load", rows[:100])
    full = run(f"{documents:,} documents", rows[:documents])
    more = run(f"{len(rows):,} documents", rows)
    with mock.patch.dict(measured.VERSIONS.copy()) as versions:
        versions[RAISED] = "raised"
        with mock.patch.object(measured, "VERSIONS", versions):
            seconds, said = materialize(signals)
    print(f"group {RAISED} raised\n  filtered__signals {seconds:.2f} s\n{said['texts_measured']}")
    examined = [step for step, known in full.items() if "taken_over" in known]
    sums = [sum(steps[step]["cpu_seconds"] for step in examined) for steps in (full, more)]
    print(f"one per cent more costs {100 * sums[1] / sums[0]:.1f} % of what examines each document")
    return {
        "documents": documents,
        "added": len(rows) - documents,
        "full": full,
        "one_per_cent_more": more,
        "cost_share": round(sums[1] / sums[0], 4),
        "raised": {"group": RAISED, "cpu_seconds": round(seconds, 2), **said},
    }


if __name__ == "__main__":
    main()
