"""How much faster two workers are than one, by the wall: `python benchmarks/workers.py`.

`winnow filter` of profile `web`, language and near duplicates included, as whole processes in turns: one
worker, then two, start-up included. The figures go to `docs/measured/workers.json`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from filtering import WINNOW, run, write_corpus
from reports import MEASURED, machine, save


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=240)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", type=Path, default=MEASURED / "workers.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="winnow-workers-") as folder:
        source, out = Path(folder) / "in" / "documents.jsonl.gz", Path(folder) / "out"
        size = write_corpus(source, arguments.megabytes)
        command = [WINNOW, "filter", str(source), "--profile", "web", "--out", str(out), "--workers"]
        walls = [[run([*command, number]).wall for number in ("1", "2")] for _ in range(arguments.turns)]
    ratios = [one / two for one, two in walls]
    said = " ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"two workers: {statistics.median(ratios):.2f}x of one by the wall ({said}); {size:.0f} MB")
    report = {
        "machine": machine(),
        "megabytes": size,
        "wall_seconds": walls,
        "ratio": statistics.median(ratios),
    }
    save(report, arguments.json)


if __name__ == "__main__":
    main()
