"""How good and how fast duplicates are found: pairs against exact similarity and against known groups.

    .venv/bin/python benchmarks/duplicates.py [--json FILE]

It reads three corpora of `../shared/data` and prints, and writes to `docs/measured/duplicates.json`,

- the job: CPU seconds and MB of text a second from JSONL.gz to a Parquet file of duplicates, by step;
- against exact similarity, on a sample of whole groups: every pair of distinct texts is compared by its sets
  of word n-grams, made in plain Python. `removed` are pairs of a document and its keeper: is the keeper as
  near as it must be? `found` are pairs that are near: does one cluster hold both? `joined` are all pairs in
  a cluster: are they near themselves, or only joined by a chain?
- how candidates are best verified: by the sketch, or by the MinHash signature that is there anyhow;
- against the known groups, pages in several versions: pairs of one keeper, and pairs of one cluster.

Every share has n and its 95 % interval (Wilson), as if pairs were independent; those of one group are not,
so the true intervals are wider. CPU seconds are this process's, all threads.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from reports import DATA, MEASURED, machine, records, save, share
from scipy.sparse import csr_array

from assets import engine
from assets.documents import content_hash, document_id
from assets.filters.duplicates import NearDuplicatePolicy, digest, find_duplicates
from assets.filters.folding import fold

CORPORA_FOLDER = DATA / "corpora"
# One group in so many goes into the sample.
CORPORA = {"windows-powershell-docs": 6, "azure-docs-cli": 1, "botocore-docs": 2}
ROUNDS = 3
MB = 1_000_000

Pairs = set[tuple[str, str]]


@contextmanager
def cpu(seconds: dict[str, list[float]], step: str) -> Iterator[None]:
    """Adds the CPU seconds of a block to a step's."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    yield
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    seconds.setdefault(step, []).append(spent)


def table(rows: Iterable[dict[str, Any]]) -> pa.Table:
    rows = list(rows)
    return pa.table(
        {
            "doc_id": [document_id(row["source"], row["id"]) for row in rows],
            "source": [row["source"] for row in rows],
            "text": pa.array([row["text"] for row in rows], pa.large_string()),
            "content_hash": [content_hash(row["text"]) for row in rows],
            "license": [row["license"] for row in rows],
        }
    )


def job(path: Path, policy: NearDuplicatePolicy) -> dict[str, Any]:
    """What the job costs, by step: the least CPU seconds of some rounds, after one that compiles."""
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS + 1):
            with cpu(seconds, "read and hash"):
                documents = table(records(path))
            with cpu(seconds, "find duplicates"):
                found = find_duplicates(documents, policy)
            with cpu(seconds, "write"):
                pq.write_table(found, Path(folder) / "duplicates.parquet")
    best = {step: min(spent[1:]) for step, spent in seconds.items()}
    size = documents["text"].nbytes / MB
    return {
        "documents": len(documents),
        "text_mb": round(size, 2),
        "duplicates": len(found),
        "clusters": len(set(found["cluster_id"].to_pylist())),
        "keepers": sum(found["is_keeper"].to_pylist()),
        "cpu_seconds": {step: round(spent, 3) for step, spent in best.items()},
        "mb_per_cpu_second": round(size / sum(best.values()), 1),
        "mb_per_cpu_second_of_finding": round(size / best["find duplicates"], 1),
    }


def exact_pairs(texts: list[str], policy: NearDuplicatePolicy, least: float) -> dict[tuple[int, int], float]:
    """The pairs of texts of at least some Jaccard similarity, by plain Python's sets of n-grams."""
    numbers: dict[str, int] = {}
    sets = []
    for folded in fold(pa.array(texts), digits=False).to_pylist():
        words = folded.split()
        grams = {" ".join(words[at : at + policy.ngram]) for at in range(len(words) - policy.ngram + 1)}
        sets.append(sorted(numbers.setdefault(gram, len(numbers)) for gram in grams))
    sizes = np.array([len(one) for one in sets])
    columns = np.fromiter(itertools.chain.from_iterable(sets), np.int64)
    shape = (len(texts), max(len(numbers), 1))
    held = csr_array((np.ones(len(columns), np.int32), columns, np.append(0, np.cumsum(sizes))), shape=shape)
    shared = (held @ held.T).tocoo()
    upper = shared.row < shared.col
    left, right, common = shared.row[upper], shared.col[upper], shared.data[upper]
    similarity = common / (sizes[left] + sizes[right] - common)
    near = similarity >= least
    return dict(
        zip(zip(left[near].tolist(), right[near].tolist(), strict=True), similarity[near], strict=True)
    )


def against_exact(rows: list[dict[str, Any]], policy: NearDuplicatePolicy) -> dict[str, Any]:
    texts = list({content_hash(row["text"]): row for row in rows}.values())
    documents = table(texts)
    ids = documents["doc_id"].to_pylist()
    exact = {
        pair(ids[one], ids[other]): similarity
        for (one, other), similarity in exact_pairs([row["text"] for row in texts], policy, 0.3).items()
    }
    near = {one for one, similarity in exact.items() if similarity >= policy.similarity}
    found = find_duplicates(documents, policy).to_pylist()
    removed = {pair(row["doc_id"], row["keeper_id"]) for row in found if not row["is_keeper"]}
    joined = pairs({row["doc_id"]: row["cluster_id"] for row in found})
    stated = [(row["similarity"], exact.get(pair(row["doc_id"], row["keeper_id"]), 0)) for row in found]
    errors = [abs(one - other) for one, other in stated if one < 1]
    return {
        "distinct_documents": len(texts),
        "near_pairs": len(near),
        "removed_that_are_near": part(near, removed),
        "found_of_near": part(joined, near),
        "found_from_similarity": {
            str(least): part(joined, {one for one in near if exact[one] >= least})
            for least in (0.75, 0.8, 0.9)
        },
        "joined_that_are_near": part(near, joined),
        "largest_error_of_a_stated_similarity": round(max(errors, default=0.0), 4),
        "verification": verification(documents, exact, policy),
    }


def verification(
    documents: pa.Table, exact: dict[tuple[str, str], float], policy: NearDuplicatePolicy
) -> dict[str, Any]:
    """Of the candidate pairs that may be near: how well the sketch and the signature tell which ones are."""
    digested = digest(documents, policy)
    ids = documents["doc_id"].to_pylist()
    row = {doc_id: at for at, doc_id in enumerate(ids)}
    candidates = [
        (one, row[one[0]], row[one[1]])
        for one in exact
        if (digested.bands[row[one[0]]] == digested.bands[row[one[1]]]).any()
    ]
    folded = fold(documents["text"].combine_chunks(), digits=False)
    hashes = policy.bands * policy.rows
    signatures = engine.minhash(folded, hashes=hashes, ngram=policy.ngram, seed=policy.seed)
    values = np.asarray(signatures.fill_null([0] * hashes).flatten()).reshape(len(documents), hashes)

    def by_signature(one: int, other: int) -> float:
        return float((values[one] == values[other]).mean())

    def by_sketch(one: int, other: int) -> float:
        left, right = (
            digested.sketches[digested.bounds[at] : digested.bounds[at + 1]] for at in (one, other)
        )
        smallest = np.union1d(left, right)[: policy.sketch]
        return float(np.isin(smallest, np.intersect1d(left, right)).mean())

    near = {one for one, _, _ in candidates if exact[one] >= policy.similarity}
    results = {}
    measures: dict[str, Callable[[int, int], float]] = {"signature": by_signature, "sketch": by_sketch}
    for name, measure in measures.items():
        said = {one for one, left, right in candidates if measure(left, right) >= policy.similarity}
        results[name] = {
            "precision": part(near, said),
            "recall": part(said, near),
        }
    return {"candidates": len(candidates)} | results


def against_groups(rows: list[dict[str, Any]], policy: NearDuplicatePolicy) -> dict[str, Any]:
    documents = table(rows)
    ids = documents["doc_id"].to_pylist()
    known = pairs(
        {doc_id: row["dup_group"] for doc_id, row in zip(ids, rows, strict=True) if row["dup_group"]}
    )
    found = find_duplicates(documents, policy).to_pylist()
    results: dict[str, Any] = {"known_pairs": len(known)}
    for name in ("keeper_id", "cluster_id"):
        named = pairs({row["doc_id"]: row[name] for row in found})
        results[name] = {
            "precision": part(known, named),
            "recall": part(named, known),
        }
    return results


def pairs(labels: dict[str, str]) -> Pairs:
    """The pairs of ids that carry one label."""
    members = defaultdict(list)
    for key, label in labels.items():
        members[label].append(key)
    return {pair for ids in members.values() for pair in itertools.combinations(sorted(ids), 2)}


def pair(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)


def part(some: set, of: set) -> dict[str, Any]:
    """How many of a set are in another one, with the interval."""
    return share(len(some & of), len(of))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, default=MEASURED / "duplicates.json")
    arguments = parser.parse_args()
    if not CORPORA_FOLDER.is_dir():
        raise SystemExit("no ../shared/data beside the project: there is nothing to measure on")
    policy = NearDuplicatePolicy()
    results: dict[str, Any] = {}
    for corpus, sample in CORPORA.items():
        path = CORPORA_FOLDER / f"{corpus}.jsonl.gz"
        rows = records(path)
        sampled = [
            row for row in rows if zlib.crc32((row.get("dup_group") or row["id"]).encode()) % sample == 0
        ]
        results[corpus] = {"job": job(path, policy), "exact": against_exact(sampled, policy)}
        if "dup_group" in rows[0]:
            results[corpus]["groups"] = against_groups(rows, policy)
        print(json.dumps({corpus: results[corpus]}, indent=2, ensure_ascii=False), flush=True)
    save({"machine": machine(), "policy": vars(policy), "corpora": results}, arguments.json)


if __name__ == "__main__":
    main()
