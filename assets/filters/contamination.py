"""Benchmark items inside training documents, by the share of an item's word n-grams that a document holds.

After Brown et al. 2020 and Gao et al. 2021: n-grams of words, case and punctuation set aside.
Items are hashed once; every document is read once, whatever the number of benchmarks.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assets.filters.folding import fold, word_hashes

BENCHMARKS = Path(__file__).parent / "benchmarks"
ROWS_AT_ONCE = 4096
SIEVE_BITS = 22

SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("overlap", pa.float64(), nullable=False),
        pa.field("ngrams_matched", pa.int64(), nullable=False),
    ]
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ContaminationPolicy:
    """When a document holds an item: `overlap` of its distinct n-grams, `ngram` words each.

    An item of fewer words than that is searched as a whole; under `shortest` words it can't be told from
    ordinary language and is not searched.
    """

    ngram: int = 8
    overlap: float = 0.5
    shortest: int = 4


@dataclass(frozen=True)
class Item:
    """One benchmark item: its text or question, and its answer choices where it has them."""

    item_id: str
    text: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Benchmark:
    """A named set of items that must not be trained on."""

    name: str
    items: tuple[Item, ...]


def packaged_benchmarks() -> tuple[Path, ...]:
    """The benchmark files that come with the project."""
    return tuple(sorted(BENCHMARKS.glob("*.jsonl")))


def load_benchmark(path: Path) -> Benchmark:
    """A benchmark from a JSONL file, named by the file's stem.

    Each line is an object with `text` or `question`, optionally `choices` (a list of strings) and `id`;
    without an id the item is named by its line.

    Raises:
        ValueError: A line is not such an object, or two items have one id; names the file and the line.
    """
    items: dict[str, Item] = {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{path.name}, line {number}"
            try:
                item = _item(json.loads(line), number)
            except (ValueError, TypeError) as error:
                raise ValueError(f"{where}: {error}") from error
            if item.item_id in items:
                raise ValueError(f"{where}: a second item with id {item.item_id!r}")
            items[item.item_id] = item
    return Benchmark(path.stem, tuple(items.values()))


def find_contamination(
    documents: pa.Table, benchmarks: Iterable[Benchmark], policy: ContaminationPolicy | None = None
) -> pa.Table:
    """The benchmark items that documents hold (SCHEMA), sorted by document, benchmark and item.

    What is searched for is the item's question; its choices join where the question alone is shorter than an
    n-gram. In scripts without spaces every character counts as a word. Items too short to search are logged.

    Args:
        documents: Columns doc_id, source and text.

    Raises:
        ValueError: Two benchmarks have one name.
    """
    policy = policy or ContaminationPolicy()
    benchmarks = tuple(benchmarks)
    names = [benchmark.name for benchmark in benchmarks]
    if len(set(names)) < len(names):
        raise ValueError(f"two benchmarks have one name: {', '.join(sorted(names))}")
    index = _index(benchmarks, policy)
    tables = [_find(batch, index, policy) for batch in documents.to_batches(max_chunksize=ROWS_AT_ONCE)]
    found = pa.concat_tables([SCHEMA.empty_table(), *tables])
    return found.sort_by([(name, "ascending") for name in ("doc_id", "source", "benchmark", "item_id")])


def _item(row: Any, number: int) -> Item:
    if not isinstance(row, dict):
        raise TypeError("not a JSON object")
    text = row.get("text") or row.get("question")
    choices = row.get("choices") or []
    if not isinstance(text, str) or not text.strip():
        raise ValueError("neither a text nor a question")
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        raise ValueError("choices are not a list of strings")
    return Item(str(row.get("id", f"line {number}")), text, tuple(choices))


@dataclass(frozen=True)
class _Index:
    """The n-grams of all items.

    Attributes:
        names: Benchmark and id of every item.
        sizes: Distinct n-grams of every item; 0 for one that isn't searched.
        widths: The lengths of n-gram in use: the policy's, and those of shorter items.
        keys: Hashes of the n-grams, sorted.
        sieve: Whether any key begins with these SIEVE_BITS bits; it spares most words the search.
        starts: Where the holders of each key begin, and where the last ones end.
        holders: The items that hold each key, one key after the other.
    """

    names: list[tuple[str, str]]
    sizes: npt.NDArray[np.int64]
    widths: list[int]
    keys: npt.NDArray[np.uint64]
    sieve: npt.NDArray[np.bool_]
    starts: npt.NDArray[np.int64]
    holders: npt.NDArray[np.int64]


def _index(benchmarks: tuple[Benchmark, ...], policy: ContaminationPolicy) -> _Index:
    named = [(benchmark.name, item) for benchmark in benchmarks for item in benchmark.items]
    questions = fold(pa.array([item.text for _, item in named], pa.string()))
    wholes = fold(pa.array([" ".join((item.text, *item.choices)) for _, item in named], pa.string()))
    words, bounds = word_hashes(questions)
    whole_words, whole_bounds = word_hashes(wholes)
    widths: set[int] = set()
    keys: list[npt.NDArray[np.uint64]] = []
    skipped: Counter[str] = Counter()
    for number, (name, _) in enumerate(named):
        sought = words[bounds[number] : bounds[number + 1]]
        if len(sought) < policy.ngram:
            sought = whole_words[whole_bounds[number] : whole_bounds[number + 1]]
        width = min(policy.ngram, len(sought))
        if width < policy.shortest:
            skipped[name] += 1
            sought, width = sought[:0], policy.ngram
        widths.add(width)
        keys.append(np.unique(_ngrams(sought, width)))
    for name, count in skipped.items():
        log.warning("%s: %d items of fewer than %d words are not searched", name, count, policy.shortest)

    sizes = np.array([len(found) for found in keys], np.int64)
    together = np.concatenate([np.zeros(0, np.uint64), *keys])
    order = np.argsort(together, kind="stable")
    distinct, starts = np.unique(together[order], return_index=True)
    sieve = np.zeros(1 << SIEVE_BITS, bool)
    sieve[distinct >> np.uint64(64 - SIEVE_BITS)] = True
    return _Index(
        names=[(name, item.item_id) for name, item in named],
        sizes=sizes,
        widths=sorted(widths),
        keys=distinct,
        sieve=sieve,
        starts=np.append(starts, len(together)),
        holders=np.repeat(np.arange(len(named)), sizes)[order],
    )


def _ngrams(words: npt.NDArray[np.uint64], width: int) -> npt.NDArray[np.uint64]:
    """The hash of every run of `width` words, by where it starts."""
    count = max(len(words) - width + 1, 0)
    grams = np.zeros(count, np.uint64)
    for place in range(width):
        grams = grams * np.uint64(0x9E3779B97F4A7C15) + words[place : place + count]
    return (grams ^ (grams >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)


def _find(batch: pa.RecordBatch, index: _Index, policy: ContaminationPolicy) -> pa.Table:
    words, bounds = word_hashes(fold(batch.column("text")))
    document, key = _occurrences(words, bounds, index)
    held = index.starts[key + 1] - index.starts[key]
    # Every holder of every key found: the k-th of a key lies k places after the key's first.
    ordinal = np.arange(held.sum()) - np.repeat(np.cumsum(held) - held, held)
    item = index.holders[np.repeat(index.starts[key], held) + ordinal]
    pairs, matched = np.unique(np.repeat(document, held) * len(index.names) + item, return_counts=True)
    document, item = np.divmod(pairs, max(len(index.names), 1))
    overlap = matched / index.sizes[item]
    hits = overlap >= policy.overlap
    rows, names = pa.array(document[hits]), [index.names[number] for number in item[hits]]
    columns = [
        batch.column("doc_id").take(rows).cast(pa.string()),
        batch.column("source").take(rows).cast(pa.string()),
        pa.array([benchmark for benchmark, _ in names], pa.string()),
        pa.array([item_id for _, item_id in names], pa.string()),
        pa.array(overlap[hits]),
        pa.array(matched[hits]),
    ]
    return pa.table(columns, schema=SCHEMA)


def _occurrences(
    words: npt.NDArray[np.uint64], bounds: npt.NDArray[np.int64], index: _Index
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The distinct pairs of a document and a key (its number in the index) that occurs in it."""
    found = [np.zeros(0, np.int64)]
    for width in index.widths:
        grams = _ngrams(words, width)
        at = np.flatnonzero(index.sieve[grams >> np.uint64(64 - SIEVE_BITS)])
        key = np.searchsorted(index.keys, grams[at])
        known = index.keys[np.minimum(key, len(index.keys) - 1)] == grams[at] if len(at) else at > 0
        at, key = at[known], key[known]
        document = np.searchsorted(bounds, at, side="right") - 1
        # A run that begins in one document and ends in the next is in neither.
        inside = at + width <= bounds[document + 1]
        found.append(document[inside] * len(index.keys) + key[inside])
    return np.divmod(np.unique(np.concatenate(found)), max(len(index.keys), 1))
