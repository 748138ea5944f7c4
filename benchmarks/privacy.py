"""Personal data beside Presidio: the same findings, and how much faster: `python benchmarks/privacy.py`.

Presidio's analyzer with the same recognisers reads each whole text, with no prefilter; ours reads the same
texts. Both search again once what was found is blotted out, as redaction needs it. Findings (entity, start,
end, score, recogniser) are compared text by text over all sets; CPU seconds are of this process, in turns,
the first turn after everything is loaded. Sets, of ../shared/data: short records and pages of a few kB.

Quality is measured on the labelled records: a labelled value is found where a finding of its entity overlaps
it, a finding is right where a labelled value of its entity overlaps it. The figures go to
`docs/measured/privacy.json`, which `docs/privacy.py` renders.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
from reports import DATA, MEASURED, machine, records, save

from assets.intervals import wilson
from assets.privacy.credentials import CREDENTIALS
from assets.privacy.findings import PiiPolicy, find_pii
from assets.privacy.hits import blot
from assets.privacy.keys import PiiKey
from assets.privacy.recognizers import PATTERNED, analyzer

KEY = PiiKey(b"a key for benchmarks only")

# Path, field of the text, most documents, and whether speed is measured on the first of them.
SETS = {
    "personal records": ("pii/presidio-generated-large.jsonl.gz", "full_text", 6000, "short records"),
    "instructions": ("sft/dolly-3k-filtered.jsonl.gz", "output", 3000, "short records"),
    "Korean instructions": ("sft/ko-alpaca-11k.jsonl.gz", "output", 4000, "short records"),
    "privacy questions": ("corpora/privacyqa.jsonl.gz", "text", 1000, None),
    "encyclopedia passages": ("corpora/boolq-wikipedia.jsonl.gz", "text", 4000, None),
    "API documentation": ("corpora/botocore-docs.jsonl.gz", "text", 4000, None),
    "film reviews": ("corpora/movie-reviews.jsonl.gz", "text", 1000, "pages"),
    "legal summaries": ("corpora/multilexsum.jsonl.gz", "text", 868, "pages"),
    "commands' documentation": ("corpora/windows-powershell-docs.jsonl.gz", "text", 1500, "pages"),
}
LABELLED = "pii/presidio-generated-large.jsonl.gz"
TIMED = 150_000
LISTED = 20


def read(path: str, field: str, most: int) -> list[str]:
    """The texts of a set, none of them longer than Presidio takes."""
    texts = [record.get(field) or "" for record in records(DATA / path)[:most]]
    return [text for text in texts if text and len(text) < 200_000]


def ours(texts: list[str]) -> list[set[tuple]]:
    documents = pa.table(
        {
            "doc_id": pa.array(map(str, range(len(texts)))),
            "source": pa.repeat("s", len(texts)),
            "text": pa.array(texts, pa.string()),
            "language": pa.nulls(len(texts), pa.string()),
        }
    )
    found: list[set[tuple]] = [set() for _ in texts]
    for row in find_pii(documents, KEY).to_pylist():
        found[int(row["doc_id"])].add(
            (row["entity"], row["start"], row["end"], row["score"], row["recognizer"])
        )
    return found


def by_presidio(text: str, language: str, entities: list[str], threshold: float) -> list:
    """What Presidio finds, again and again until what was found hides nothing."""
    found = []
    while results := analyzer().analyze(text, language, entities=entities, score_threshold=threshold):
        found += results
        text = blot(text, [(result.start, result.end) for result in results])
    return found


def theirs(texts: list[str]) -> list[set[tuple]]:
    policy = PiiPolicy()
    found = []
    for text in texts:
        language = "ko" if any("\uac00" <= character <= "\ud7a3" for character in text) else "en"
        found.append(
            {
                (r.entity_type, r.start, r.end, r.score, r.recognition_metadata[r.RECOGNIZER_NAME_KEY])
                for r in by_presidio(text, language, list(PATTERNED), policy.score_threshold)
            }
        )
    return found


def timed(texts: list[str], turns: int) -> dict[str, object]:
    """Of one kind of text: MB a CPU second of both, and the ratio of each turn."""
    size = sum(len(text.encode()) for text in texts) / 1e6
    ratios, rates = [], []
    for _ in range(turns):
        costs = []
        for find in (theirs, ours):
            started = time.process_time()
            find(texts)
            costs.append(time.process_time() - started)
        ratios.append(costs[0] / costs[1])
        rates.append([size / cost for cost in costs])
    return {
        "megabytes": size,
        "texts": len(texts),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "presidio_megabytes_per_cpu_second": statistics.median(rate for rate, _ in rates),
        "megabytes_per_cpu_second": statistics.median(rate for _, rate in rates),
    }


def quality() -> dict[str, dict]:
    """Of each entity that is labelled: how many of the values are found, and how many findings are right."""
    labelled_records = records(DATA / LABELLED)
    labelled: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    findings: Counter[str] = Counter()
    right: Counter[str] = Counter()
    texts = [record["full_text"] for record in labelled_records]
    for record, found in zip(labelled_records, ours(texts), strict=True):
        values = [(s["entity_type"], s["start_position"], s["end_position"]) for s in record["spans"]]
        spans = [(entity, start, end) for entity, start, end, *_ in found]
        for one, other, counted, good in ((values, spans, labelled, hit), (spans, values, findings, right)):
            for entity, start, end in one:
                counted[entity] += 1
                good[entity] += any(e == entity and s < end and start < t for e, s, t in other)
    return {
        entity: {
            "labelled": labelled[entity],
            "found": hit[entity],
            "findings": findings[entity],
            "right": right[entity],
        }
        for entity in sorted(labelled.keys() | findings.keys())
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--most", type=int, default=10_000, help="texts of each set")
    parser.add_argument("--json", type=Path, default=MEASURED / "privacy.json")
    arguments = parser.parse_args()
    analyzer()
    ours(["Load what there is to load: jane@example.org, +1 202-555-0143."])
    report: dict = {
        "machine": machine(),
        "same": {},
        "speed": {},
        "findings": Counter(),
        "credentials": Counter(),
    }
    for kind in ("short records", "pages"):
        texts = []
        for path, field, most, of_kind in SETS.values():
            if of_kind == kind:
                size, part = 0, []
                for text in read(path, field, most):
                    part.append(text)
                    size += len(text)
                    if size > TIMED * (3 if kind == "pages" else 1):
                        break
                texts += part
        report["speed"][kind] = measured = timed(texts, arguments.turns)
        print(
            f"{kind}: {measured['ratio']:.0f}x; {measured['megabytes_per_cpu_second']:.1f} MB per CPU s "
            f"against {measured['presidio_megabytes_per_cpu_second']:.2f}"
        )
    total = differing = 0
    for name, (path, field, most, _) in SETS.items():
        texts = read(path, field, min(most, arguments.most))
        pairs = list(zip(ours(texts), theirs(texts), strict=True))
        different = [
            number
            for number, (one, other) in enumerate(pairs)
            if {each for each in one if each[0] in PATTERNED} != other
        ]
        report["findings"].update(entity for one, _ in pairs for entity, *_ in one)
        report["credentials"]["texts"] += len(pairs)
        report["credentials"]["with"] += sum(
            any(entity in CREDENTIALS for entity, *_ in one) for one, _ in pairs
        )
        report["same"][name] = {
            "texts": len(texts),
            "different": len(different),
            "first": different[:LISTED],
        }
        total, differing = total + len(texts), differing + len(different)
        print(f"{name}: {len(different)} of {len(texts)} texts differ {different[:LISTED]}")
    print(f"the same findings: {wilson(total - differing, total).percent()}")
    report["quality"] = quality()
    for entity, counts in report["quality"].items():
        recall, precision = (
            wilson(counts["found"], counts["labelled"]),
            wilson(counts["right"], counts["findings"]),
        )
        print(f"{entity}: found {recall.percent()}, right {precision.percent()}")
    save(report, arguments.json)


if __name__ == "__main__":
    main()
