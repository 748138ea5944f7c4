"""Personal data beside Presidio: the same findings, and how much faster: `python benchmarks/privacy.py`.

Presidio's analyzer with the same recognisers reads each whole text, with no prefilter; ours reads the same
texts. Both search again once what was found is blotted out, as redaction needs it. Findings (entity, start,
end, score, recogniser) are compared text by text over all sets; CPU seconds are of this process, in turns,
the first turn after everything is loaded. Sets, of ../shared/data: short records and pages of a few kB.

Quality is measured on the labelled records: a labelled value is found where a finding of its entity overlaps
it, a finding is right where a labelled value of its entity overlaps it. Names are measured for each tier: the
same, F1 with a bootstrap interval over records, the speed of everything together, how many of the documents
that name hardly anybody gain a finding, and what a second search finds once names are redacted. The figures go
to `docs/measured/privacy.json`, which `docs/privacy.py` renders.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import Counter
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa
from reports import DATA, MEASURED, machine, records, save

from assets.documents import MESSAGES
from assets.intervals import wilson
from assets.privacy.credentials import CREDENTIALS
from assets.privacy.findings import PiiPolicy, find_pii
from assets.privacy.hits import blot
from assets.privacy.keys import PiiKey
from assets.privacy.names import NAMES, load_model, version
from assets.privacy.recognizers import PATTERNED, analyzer
from assets.privacy.redaction import PLACEHOLDER, redact
from assets.settings import NER_TIERS

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
# Where a name is rarely a person's or a place's, and where it often is.
UNLABELLED = ("API documentation", "encyclopedia passages")
UNLABELLED_MOST = 1_500
TIMED = 1_000_000
TIMED_NAMES = 60_000
RESAMPLES = 2_000
LISTED = 20


def read(path: str, field: str, most: int) -> list[str]:
    """The texts of a set, none of them longer than Presidio takes."""
    texts = [record.get(field) or "" for record in records(DATA / path)[:most]]
    return [text for text in texts if text and len(text) < 200_000]


def documents_of(texts: list[str]) -> pa.Table:
    return pa.table(
        {
            "doc_id": pa.array(map(str, range(len(texts)))),
            "source": pa.repeat("s", len(texts)),
            "content_hash": pa.repeat("", len(texts)),
            "text": pa.array(texts, pa.string()),
            "messages": pa.nulls(len(texts), MESSAGES),
            "language": pa.nulls(len(texts), pa.string()),
        }
    )


def ours(texts: list[str], policy: PiiPolicy | None = None) -> list[set[tuple]]:
    found: list[set[tuple]] = [set() for _ in texts]
    for row in find_pii(documents_of(texts), KEY, policy).to_pylist():
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
    """Of the same texts: MB a CPU second of both, the ratio of each turn, and how many texts hold something."""
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
        "with_findings": sum(map(bool, ours(texts))),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "presidio_megabytes_per_cpu_second": statistics.median(rate for rate, _ in rates),
        "megabytes_per_cpu_second": statistics.median(rate for _, rate in rates),
    }


def scored(labelled: list[dict], found: list[set[tuple]]) -> dict[str, np.ndarray]:
    """Of each entity, a row a record: values labelled, of them found, findings, of them right."""
    counted: dict[str, np.ndarray] = {}
    for number, (record, findings) in enumerate(zip(labelled, found, strict=True)):
        values = [(s["entity_type"], s["start_position"], s["end_position"]) for s in record["spans"]]
        spans = [(entity, start, end) for entity, start, end, *_ in findings]
        for one, other, column in ((values, spans, 0), (spans, values, 2)):
            for entity, start, end in one:
                counts = counted.setdefault(entity, np.zeros((len(labelled), 4), np.int64))
                met = any(e == entity and s < end and start < t for e, s, t in other)
                counts[number, column : column + 2] += (1, met)
    return counted


def summed(counts: np.ndarray) -> dict[str, int]:
    return dict(zip(("labelled", "found", "findings", "right"), counts.sum(axis=0).tolist(), strict=True))


def quality() -> dict[str, dict]:
    """Of each entity that is labelled: how many of the values are found, and how many findings are right."""
    labelled = records(DATA / LABELLED)
    counted = scored(labelled, ours([record["full_text"] for record in labelled]))
    return {entity: summed(counted[entity]) for entity in sorted(counted)}


def f1(counts: np.ndarray) -> dict[str, float]:
    """The harmonic mean of precision and recall, with a bootstrap interval over records."""

    def of(sums: np.ndarray) -> np.ndarray:
        labelled, found, findings, right = np.moveaxis(sums, -1, 0)
        recall, precision = found / labelled, right / findings
        return 2 * recall * precision / (recall + precision)

    drawn = np.random.default_rng(1).integers(len(counts), size=(RESAMPLES, len(counts)))
    low, high = np.quantile(of(np.stack([counts[rows].sum(axis=0) for rows in drawn])), (0.025, 0.975))
    return {"value": float(of(counts.sum(axis=0))), "low": float(low), "high": float(high), "n": len(counts)}


def some_texts(of_kind: str, most: int) -> dict[str, list[str]]:
    """The first texts of each set of a kind, so many characters of each."""
    some: dict[str, list[str]] = {}
    for name, (path, field, limit, kind) in SETS.items():
        if kind == of_kind:
            texts = read(path, field, limit)
            sizes = accumulate(map(len, texts), initial=0)
            some[name] = [text for text, before in zip(texts, sizes, strict=False) if before <= most]
    return some


def credentials() -> dict[str, object]:
    """How many documents of all corpora hold a credential, and which detectors fire: documentation shows some."""
    texts = with_one = 0
    fired: Counter[str] = Counter()
    for path in sorted((DATA / "corpora").glob("*.jsonl.gz")):
        found = ours([record.get("text") or "" for record in records(path)], PiiPolicy(entities=CREDENTIALS))
        texts += len(found)
        with_one += sum(map(bool, found))
        fired.update(recognizer for one in found for *_, recognizer in one)
    print(f"credentials: {wilson(with_one, texts).percent(3)}, {dict(fired)}")
    return {"texts": texts, "with": with_one, "fired": fired}


def names(turns: int) -> dict[str, object]:
    """What each tier finds of names, and what it costs."""
    load_model()
    labelled = records(DATA / LABELLED)
    texts = [record["full_text"] for record in labelled]
    tiers: dict[str, dict] = {}
    for tier in NER_TIERS:
        policy = PiiPolicy(ner=tier)
        each: dict[str, dict] = {"speed": {}, "quality": {}, "gain": {}}
        for kind in ("short records", "pages"):
            some = [text for texts in some_texts(kind, TIMED_NAMES).values() for text in texts]
            rates = []
            for _ in range(turns):
                started = time.process_time()
                ours(some, policy)
                rates.append(sum(len(text.encode()) for text in some) / 1e6 / (time.process_time() - started))
            each["speed"][kind] = statistics.median(rates)
        if tier != "off":
            counted = scored(labelled, ours(texts, policy))
            each["quality"] = {
                entity: summed(counted[entity]) | {"f1": f1(counted[entity])} for entity in NAMES
            }
            for name in UNLABELLED:
                path, field, most, _ = SETS[name]
                found = ours(read(path, field, min(most, UNLABELLED_MOST)), policy)
                gained = sum(any(entity in NAMES for entity, *_ in one) for one in found)
                each["gain"][name] = {"texts": len(found), "with": gained}
            each["left"] = left(texts, policy)
        tiers[tier] = each
        print(tier, each)
    return {"version": version("full"), "tiers": tiers}


def left(texts: list[str], policy: PiiPolicy) -> dict[str, int]:
    """Of the documents that a name was redacted in: how many hold one for a second search."""
    documents = documents_of(texts)
    findings = find_pii(documents, KEY, policy)
    redacted = redact(documents, findings)
    named = {row["doc_id"] for row in findings.to_pylist() if row["entity"] in NAMES}
    again = find_pii(redacted.append_column("language", documents["language"]), KEY, policy).to_pylist()
    # A placeholder is no name, though the model may take it for one.
    held = [[match.span() for match in PLACEHOLDER.finditer(text)] for text in redacted["text"].to_pylist()]
    still = {
        row["doc_id"]
        for row in again
        if row["entity"] in NAMES
        and not any(s < row["end"] and row["start"] < t for s, t in held[int(row["doc_id"])])
    }
    return {"documents": len(named), "still": len(still & named)}


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
        for name, texts in some_texts(kind, TIMED * (3 if kind == "pages" else 1)).items():
            report["speed"][name] = measured = {"kind": kind} | timed(texts, arguments.turns)
            print(
                f"{name}: {measured['ratio']:.0f}x; {measured['megabytes_per_cpu_second']:.1f} MB per CPU s "
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
    report["credentials"] = credentials()
    report["names"] = names(arguments.turns)
    save(report, arguments.json)


if __name__ == "__main__":
    main()
