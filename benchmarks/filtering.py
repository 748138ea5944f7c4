"""How fast documents are filtered, beside datatrove 0.10.0: the same files, the same run, CPU seconds.

    .venv/bin/python benchmarks/filtering.py [--megabytes 80] [--pairs 3] [--json FILE]

It writes one JSONL.gz file of English documents of about 4.6 kB, made of the passages of ../shared/data, and
gives it to both as whole processes, start-up included, in turns: datatrove, then Winnow. Both write what they
keep and what they decided to Parquet. The figure is the ratio of CPU seconds (of a process and its children,
by the kernel's count) a megabyte of text; the median of the pairs, with all of them.

datatrove gets a smaller file (`--peer-megabytes`), as it takes minutes for what Winnow does in seconds.
Start-up is measured on one short document, and the ratio is given with it and without it in both.

The figures go to `docs/measured/filtering.json`.

datatrove is installed into `var/peers`, with pip, from the package index.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from peers.environment import peer_python
from reports import DATA, MEASURED, PROJECT, machine, save

PIPELINES = PROJECT / "benchmarks" / "peers" / "datatrove_pipelines.py"
WINNOW = str(Path(sys.executable).parent / "winnow")
ENGLISH = (
    "boolq-wikipedia",
    "movie-reviews",
    "brown",
    "multilexsum",
    "nltk-public-domain",
    "wikitext2-valid-test",
    "quac-wikipedia",
    "bold-wikipedia",
    "pubmedqa",
)
SIZE = 4600
MB = 1_000_000


@dataclass(frozen=True)
class Comparison:
    """One job done by both: datatrove's pipelines, run one after the other, and Winnow's command."""

    name: str
    peer: tuple[str, ...]
    command: tuple[str, ...]
    aim: float


COMPARISONS = (
    Comparison(
        "four rule sets",
        ("rules",),
        ("filter", "--profile", "web", "--no-dedup", "--no-language"),
        100,
    ),
    Comparison(
        "four rule sets, exact parity",
        ("rules",),
        ("filter", "--profile", "parity", "--no-dedup", "--no-language"),
        20,
    ),
    Comparison(
        "rule sets, language, near duplicates' signatures",
        ("rules", "language", "signatures"),
        ("filter", "--profile", "web"),
        40,
    ),
    Comparison("near duplicates, whole job", ("dedup",), ("dedup",), 20),
)


@dataclass(frozen=True)
class Cost:
    """What one whole process took."""

    cpu: float
    wall: float
    peak_mb: float


def run(command: list[str]) -> Cost:
    """A command run to its end; CPU seconds are its own and its children's.

    Raises:
        RuntimeError: It failed; with the end of what it said.
    """
    with tempfile.TemporaryFile("w+") as said:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, cwd=PROJECT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)}\n{said.read()[-3000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1000)


def write_corpus(path: Path, megabytes: float) -> float:
    """English documents of about `SIZE` characters as JSONL.gz; returns how many MB of text they hold."""
    texts = []
    for name in ENGLISH:
        with gzip.open(DATA / "corpora" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                text = json.loads(line).get("text") or ""
                texts += [text[at : at + SIZE] for at in range(0, len(text), SIZE)]
    dice = random.Random(1)
    number = size = 0
    path.parent.mkdir(parents=True)
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        while size < megabytes * MB:
            dice.shuffle(texts)
            parts: list[str] = []
            for part in texts:
                parts.append(part)
                if sum(map(len, parts)) < 0.8 * SIZE:
                    continue
                text = "\n\n".join(parts)
                lines.write(json.dumps({"id": f"d{number}", "text": text}) + "\n")
                number, size, parts = number + 1, size + len(text.encode()), []
                if size >= megabytes * MB:
                    break
    return size / MB


@dataclass(frozen=True)
class Pair:
    """A comparison's two sides in one turn; start-up is a run over no documents."""

    peer: Cost
    peer_startup: Cost
    ours: Cost
    ours_startup: Cost


def measure(comparison: Comparison, places: dict[str, Path], model: str, turn: int) -> Pair:
    out = places["out"] / f"{comparison.name.replace(' ', '-')}-{turn}"

    def peer(documents: str) -> Cost:
        costs = [
            run(
                [
                    peer_python(),
                    str(PIPELINES),
                    step,
                    str(places[documents]),
                    f"{out}/{documents}/{step}",
                    model,
                ]
            )
            for step in comparison.peer
        ]
        return Cost(sum(c.cpu for c in costs), sum(c.wall for c in costs), max(c.peak_mb for c in costs))

    def ours(documents: str) -> Cost:
        inputs = [str(path) for path in sorted(places[documents].iterdir())]
        return run([WINNOW, *comparison.command, *inputs, "--out", f"{out}/{documents}/winnow"])

    return Pair(peer("part"), peer("none"), ours("all"), ours("none"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=80)
    parser.add_argument("--peer-megabytes", type=float, default=5)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--json", type=Path, default=MEASURED / "filtering.json")
    arguments = parser.parse_args()

    from assets.filters.language import model_path

    report: dict = {"machine": machine(), "comparisons": {}}
    with tempfile.TemporaryDirectory(prefix="winnow-filtering-") as folder:
        places = {name: Path(folder) / name for name in ("all", "part", "none", "out")}
        size = write_corpus(places["all"] / "documents.jsonl.gz", arguments.megabytes)
        part = write_corpus(places["part"] / "documents.jsonl.gz", arguments.peer_megabytes)
        # One short document: an empty input is an error to one and nothing to do for the other.
        write_corpus(places["none"] / "documents.jsonl.gz", 0.001)
        print(f"{size:.0f} MB of text for Winnow, {part:.0f} MB for datatrove; documents of {SIZE / 1000} kB")
        for comparison in COMPARISONS:
            pairs = [measure(comparison, places, str(model_path()), turn) for turn in range(arguments.pairs)]
            ratios = [(p.peer.cpu / part) / (p.ours.cpu / size) for p in pairs]
            bare = [
                ((p.peer.cpu - p.peer_startup.cpu) / part) / ((p.ours.cpu - p.ours_startup.cpu) / size)
                for p in pairs
            ]
            theirs = statistics.median(part / p.peer.cpu for p in pairs)
            own = statistics.median(size / p.ours.cpu for p in pairs)
            print(
                f"{comparison.name}: {statistics.median(ratios):.0f}x with start-up "
                f"({' '.join(f'{r:.0f}' for r in ratios)}), {statistics.median(bare):.0f}x without; "
                f"{own:.1f} MB per CPU s against {theirs:.3f}; aim {comparison.aim:.0f}x"
            )
            report["comparisons"][comparison.name] = {
                "aim": comparison.aim,
                "ratio": statistics.median(ratios),
                "ratio_without_startup": statistics.median(bare),
                "ratios": ratios,
                "megabytes": size,
                "peer_megabytes": part,
                "pairs": [asdict(pair) for pair in pairs],
            }
    save(report, arguments.json)


if __name__ == "__main__":
    main()
