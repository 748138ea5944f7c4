"""Profile `parity` beside datatrove 0.10.0 on real documents: `python benchmarks/parity.py`.

Up to --most documents of each file of ../shared/data/corpora, drawn by a seed, go through the five filters of
datatrove, one by one and in FineWeb's order, and through ours. Verdicts, first reasons and the texts that are
kept must be the same; each difference is listed in `docs/measured/parity.json`, which docs/benchmarks.md tells.
datatrove runs in its own environment, in the same run. With --vectors it only says anew what datatrove makes
of the texts of peers/hard_texts.py, for tests/test_parity.py.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from peers.environment import VERSION, peer_python
from peers.hard_texts import texts as hard_texts
from reports import DATA, MEASURED, PROJECT, records, save

from assets.filters import parity
from assets.intervals import wilson
from assets.rules import load_rules, of_profile

VERDICTS = Path(__file__).parent / "peers" / "datatrove_verdicts.py"
VECTORS = PROJECT / "tests" / "parity_vectors.jsonl"

# What datatrove raises on a text of no characters is a verdict of ours.
RAISED = {("ZeroDivisionError", "empty_text")}
LISTED = 20


def documents(most: int) -> Iterator[tuple[str, str]]:
    """Ids, with the corpus before the colon, and texts."""
    for path in sorted((DATA / "corpora").glob("*.jsonl.gz")):
        texts = [record.get("text") or "" for record in records(path)]
        chosen = random.Random(1).sample(range(len(texts)), min(most, len(texts)))
        yield from ((f"{path.name.removesuffix('.jsonl.gz')}:{at}", texts[at]) for at in sorted(chosen))


def theirs(texts: list[tuple[str, str]]) -> tuple[list[dict], dict[str, float]]:
    """What datatrove says of each text, and the CPU seconds that each configuration took."""
    with tempfile.TemporaryDirectory(prefix="winnow-parity-") as folder:
        source, out = Path(folder) / "texts.jsonl.gz", Path(folder) / "said.jsonl.gz"
        with gzip.open(source, "wt", encoding="utf-8") as file:
            for id, text in texts:
                file.write(json.dumps({"id": id, "text": text}) + "\n")
        subprocess.run([peer_python(), str(VERDICTS), str(source), str(out)], check=True)
        with gzip.open(out, "rt", encoding="utf-8") as file:
            *said, last = map(json.loads, file)
    return said, last["cpu_seconds"]


def same(ours: dict, said: dict, text: str) -> bool:
    """Whether both say the same of a text, and leave the same of it."""
    reason = ours["reason"] or "keep"
    if reason != said["reason"]:
        return (said["reason"], reason) in RAISED
    return reason != "keep" or ours["text"] == said.get("text", text)


def write_vectors() -> None:
    """Texts and what datatrove says of them, a line a text."""
    texts = hard_texts()
    said, _ = theirs(list(texts.items()))
    rows = [
        {"id": each.pop("id"), "text": text, **each} for each, text in zip(said, texts.values(), strict=True)
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    VECTORS.write_text(lines, encoding="utf-8")
    print(f"{VECTORS.relative_to(PROJECT)}: {len(texts)} texts")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most", type=int, default=1500)
    parser.add_argument("--json", type=Path, default=MEASURED / "parity.json")
    parser.add_argument("--vectors", action="store_true")
    arguments = parser.parse_args()
    if arguments.vectors:
        write_vectors()
        return

    texts = list(documents(arguments.most))
    said, their_seconds = theirs(texts)
    rules = of_profile(load_rules(), "parity")
    column = pa.array([text for _, text in texts], pa.large_string())
    configurations = (*parity.CONFIGURATIONS, parity.PIPELINE)
    parity.judge(pa.array(["The first call loads what is compiled."]), rules, configurations)
    report: dict = {
        "datatrove": VERSION,
        "documents": len(texts),
        "megabytes": round(sum(len(text.encode()) for _, text in texts) / 1e6, 1),
        "by_corpus": Counter(id.partition(":")[0] for id, _ in texts),
        "configurations": {},
    }
    for configuration in configurations:
        seconds = []
        for _ in range(3):
            started = time.process_time()
            judged = parity.judge(column, rules, (configuration,))[configuration.name]
            seconds.append(time.process_time() - started)
        rows = judged.to_pylist()
        differences = [
            {"id": id, "ours": ours["reason"] or "keep", "theirs": each[configuration.name]["reason"]}
            for (id, text), ours, each in zip(texts, rows, said, strict=True)
            if not same(ours, each[configuration.name], text)
        ]
        raised = Counter(
            each[configuration.name]["reason"]
            for each in said
            if each[configuration.name]["reason"].endswith("Error")
        )
        equal = wilson(len(texts) - len(differences), len(texts))
        ratio = their_seconds[configuration.name] / statistics.median(seconds)
        report["configurations"][configuration.name] = {
            "equal": len(texts) - len(differences),
            "kept": sum(row["verdict"] == "keep" for row in rows),
            "edited": sum("text" in each[configuration.name] for each in said),
            "raised": raised,
            "cpu_seconds": round(statistics.median(seconds), 2),
            "their_cpu_seconds": round(their_seconds[configuration.name], 1),
            "differences": differences[:LISTED],
        }
        print(f"{configuration.name}: the same {equal.percent()}; {ratio:.0f} times fewer CPU seconds")
    save(report, arguments.json)


if __name__ == "__main__":
    main()
