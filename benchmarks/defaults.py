"""What the default rules drop of text that is good, and of text that is not: `python benchmarks/defaults.py`.

Reads the sets of `benchmarks/defaults.yaml`, measures every document, holds it against the rules of the set's
profile that ask for a measured signal or for its language, and writes `docs/measured/false_drops.json`, which
`docs/rules.py` renders. Rules about copies, consent and personal data say nothing of a text's quality and are
left out. Beside the files, the modules of Python's standard library are measured as code.
"""

from __future__ import annotations

import argparse
import json
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from reports import DATA, MEASURED, save

from assets.filters.language import identify
from assets.filters.signals import measure
from assets.governance.policy import judge
from assets.intervals import wilson
from assets.rules import load_rules
from assets.sources.ingest import ingest
from assets.sources.registry import load_sources

SOURCES = Path(__file__).parent / "defaults.yaml"

# An article, a page: where repetition rules have something to count.
LONG = 100
# Where a Korean answer is as long as a short page.
LONG_KO = 30


@dataclass(frozen=True)
class Batch:
    """Texts of one kind: good ones (`clean`), planted faults (`hazard`) or pages nobody judged (`crawl`)."""

    profile: str
    dataset: str
    language: str
    kind: str
    texts: pa.ChunkedArray | pa.Array
    least_words: int = 0


@dataclass(frozen=True)
class Drops:
    """How many of a batch's `n` documents are dropped: by any rule, or by the one named."""

    profile: str
    dataset: str
    language: str
    kind: str
    rule: str | None
    n: int
    dropped: int
    low: float
    high: float


def batches() -> Iterator[Batch]:
    """Every set, articles and short texts apart where the profile is one of pages."""
    for source in load_sources(SOURCES):
        documents = pa.concat_tables(list(ingest(source, SOURCES.parent)))
        language = source.language or ""
        if source.reader == "drill":
            hazards = [json.loads(each)["hazard"] for each in documents["metadata"].to_pylist()]
            for hazard in sorted(set(hazards)):
                of_hazard = documents.filter(pa.array([each == hazard for each in hazards]))
                kind = "clean" if hazard == "clean" else "hazard"
                yield Batch(source.profile, f"drill: {hazard}", language, kind, of_hazard["text"])
            continue
        kind = "clean" if source.reference else "crawl"
        if source.profile == "web_ko":
            name = f"{source.name}, ≥ {LONG_KO} words"
            yield Batch(source.profile, name, language, kind, documents["text"], LONG_KO)
            continue
        yield Batch(source.profile, source.name, language, kind, documents["text"])
        if source.profile == "web" and kind == "clean":
            yield Batch(
                source.profile, f"{source.name}, ≥ {LONG} words", language, kind, documents["text"], LONG
            )
    library = Path(sysconfig.get_path("stdlib"))
    texts = [
        text
        for path in sorted(library.rglob("*.py"))
        if not {"site-packages", "test", "tests", "idle_test", "lib2to3"} & set(path.parts)
        and (text := path.read_text(encoding="utf-8", errors="replace")).strip()
    ]
    yield Batch("code", "Python standard library", "", "clean", pa.array(texts))


def drops(batch: Batch) -> Iterator[Drops]:
    """What the profile's rules drop of a batch, in all and each; a rule that drops nothing is left out."""
    measured = measure(batch.texts)
    for name, column in zip(("language", "language_score"), identify(batch.texts).columns, strict=True):
        measured = measured.append_column(name, column)
    if batch.least_words:
        measured = measured.filter(pc.greater_equal(measured["words"], batch.least_words))
    rules = load_rules()
    judged = judge(measured, rules, batch.profile, batch.language or None)
    removing = {each.name for each in rules if each.action == "drop"}
    counts = Counter(name for failed in judged["failed"].to_pylist() for name in failed if name in removing)
    counted = [(None, pc.sum(judged["dropped"]).as_py() or 0), *sorted(counts.items())]
    for rule, dropped in counted:
        interval = wilson(int(dropped), measured.num_rows)
        yield Drops(
            batch.profile,
            batch.dataset,
            batch.language,
            batch.kind,
            rule,
            measured.num_rows,
            int(dropped),
            round(interval.low, 5),
            round(interval.high, 5),
        )


def main() -> None:
    """Measures, writes the file, and prints what it wrote."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--only", help="a profile: print it and write nothing")
    only = arguments.parse_args().only
    if not DATA.exists():
        sys.exit("../shared/data is not there: there is nothing to measure on")
    rows = [row for batch in batches() if only in (None, batch.profile) for row in drops(batch)]
    for row in rows:
        share = wilson(row.dropped, row.n).percent()
        print(f"{row.profile:7} {row.kind:7} {row.dataset:38} {row.rule or 'ANY RULE':30} {share}")
    if only:
        return
    # The condition as measured: a card shows a figure only for the rule that it was measured with.
    held = {
        f"{each.profile}:{each.name}": f"{each.fails_if}, {each.action}"
        for each in load_rules()
        if each.stage == "filtered"
    }
    facts = {"rules": held, "drops": [asdict(row) for row in rows]}
    save(facts, MEASURED / "false_drops.json")


if __name__ == "__main__":
    main()
