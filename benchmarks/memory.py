"""How much memory the filter stage needs while its input grows tenfold: `python benchmarks/memory.py`.

English documents of about 4.6 kB, made of the passages of ../shared/data, as JSONL.gz; each command is a whole
process, and its figure is the largest resident set that the kernel saw. Without a search for copies nothing
grows but the ids; with one, what is known of each document stays in memory and its text waits on disk: pages
of that file that are mapped count as resident as long as nothing else wants the memory. The figures go to
`docs/measured/memory.json`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from filtering import WINNOW, run, write_corpus
from reports import MEASURED, save

COMMANDS = {
    "filter, no search for copies": ("filter", "--profile", "web", "--no-dedup"),
    "filter, no search for copies, 2 workers": ("filter", "--profile", "web", "--no-dedup", "--workers", "2"),
    "filter": ("filter", "--profile", "web"),
    "dedup": ("dedup",),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=40, help="of the smaller input")
    parser.add_argument("--json", type=Path, default=MEASURED / "memory.json")
    arguments = parser.parse_args()
    report: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="winnow-memory-") as folder:
        inputs = {}
        for size in (arguments.megabytes, 10 * arguments.megabytes):
            path = Path(folder) / f"{size:.0f}" / "documents.jsonl.gz"
            inputs[f"{write_corpus(path, size):.0f} MB"] = path
        for name, command in COMMANDS.items():
            report[name] = {
                size: round(run([WINNOW, *command, str(path), "--out", f"{folder}/out"]).peak_mb)
                for size, path in inputs.items()
            }
            print(name, report[name], file=sys.stderr)
    save(report, arguments.json)


if __name__ == "__main__":
    main()
