"""Benchmark items inside training documents: where a run of an item's words occurs, the two are aligned.

N-grams alone (Brown et al. 2020, Gao et al. 2021) find what is copied and lose what is edited: one word in
ten changed leaves few runs of 8 words whole. Here a shared n-gram only says where to look; what counts is
the longest common subsequence of the item's words and the document's there. Case, punctuation, spacing and
Unicode form are set aside. Items are indexed once; every document is read once, whatever the number of
benchmarks.
"""

from __future__ import annotations

import gzip
import json
import logging
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from assets.filters.folding import fold, word_hashes
from assets.intervals import wilson

BENCHMARKS = Path(__file__).parent / "benchmarks"
ROWS_AT_ONCE = 4096
SIEVE_BITS = 22
# Words of an item that are searched: an alignment costs their square.
LONGEST = 512
# An n-gram of more items than that points at none of them, unless it is the rarest that they have.
COMMON = 16

# The names that benchmarks give an item's parts, the most telling first.
TEXTS = ("question", "text", "prompt", "problem", "query", "instruction", "goal", "ctx", "sentence", "input")
CHOICES = ("choices", "options", "endings", "answers", "answer")
LETTER = re.compile(r"^\s*\(?[A-Z][.):]\s+")
IDS = ("id", "item_id", "task_id", "question_id", "qid")

SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("overlap", pa.float64(), nullable=False),
        pa.field("words_matched", pa.int64(), nullable=False),
    ]
)

REPORT = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("benchmark", pa.string(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("documents_hit", pa.int64(), nullable=False),
        pa.field("document_share", pa.float64()),
        pa.field("document_share_low", pa.float64(), nullable=False),
        pa.field("document_share_high", pa.float64(), nullable=False),
        pa.field("items", pa.int64(), nullable=False),
        pa.field("items_hit", pa.int64(), nullable=False),
        pa.field("item_share", pa.float64()),
        pa.field("item_share_low", pa.float64(), nullable=False),
        pa.field("item_share_high", pa.float64(), nullable=False),
        pa.field("items_not_searched", pa.int64(), nullable=False),
    ]
)

BASE = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xD6E8FEB86659FD93)
HALF = np.uint64(32)
SIEVE_SHIFT = np.uint64(64 - SIEVE_BITS)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ContaminationPolicy:
    """When a document holds an item.

    Of the item's words, in their order and at one place, the document has at least `overlap`, and at least
    `words` of them; of an item too short for that, at least `short_overlap`. A place is looked at where
    `ngram` words in a row are the item's, or all words of a shorter item; one of fewer than `shortest` can't
    be told from ordinary language and is not searched.
    """

    ngram: int = 5
    shortest: int = 4
    overlap: float = 0.5
    words: int = 16
    short_overlap: float = 0.8

    def __post_init__(self) -> None:
        if not 1 <= self.shortest <= self.ngram:
            raise ValueError("1 <= shortest <= ngram does not hold")
        if not 0 < self.overlap <= self.short_overlap <= 1:
            raise ValueError("0 < overlap <= short_overlap <= 1 does not hold")


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
    """A benchmark from a JSONL file, plain or compressed (`.gz`, `.zst`), named by what precedes `.jsonl`.

    Each line is an object. The item's text is the first of TEXTS that it has; its choices, which may be
    missing, are the first list, object or lines of text among CHOICES; its id is the first of IDS, or its
    line.

    Raises:
        ValueError: A line is not such an object, two items have one id, or the file is damaged; names the
            file and the line.
    """
    items: dict[str, Item] = {}
    for number, line in enumerate(_read(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            item = _item(json.loads(line), number)
            if item.item_id in items:
                raise ValueError(f"a second item with id {item.item_id!r}")
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path.name}, line {number}: {error}") from error
        items[item.item_id] = item
    return Benchmark(path.name.split(".jsonl")[0], tuple(items.values()))


def find_contamination(
    documents: pa.Table | Iterable[pa.Table],
    benchmarks: Iterable[Benchmark],
    policy: ContaminationPolicy | None = None,
) -> pa.Table:
    """The benchmark items that documents hold (SCHEMA), sorted by document, benchmark and item.

    What is searched for is the item's question, without an answer. A question of fewer than `shortest` words
    is searched together with its choices, bare and lettered. In scripts without spaces every character counts
    as a word. Items too short even so are logged.

    Args:
        documents: Columns doc_id, source and text; tables are read once, one after the other.

    Raises:
        ValueError: Two benchmarks have one name.
    """
    index = index_items(benchmarks, policy)
    tables = [documents] if isinstance(documents, pa.Table) else documents
    found = [
        find_items(batch, index)
        for table in tables
        for batch in table.select(["doc_id", "source", "text"]).to_batches(max_chunksize=ROWS_AT_ONCE)
    ]
    return pa.concat_tables([SCHEMA.empty_table(), *found]).sort_by(
        [(name, "ascending") for name in ("doc_id", "source", "benchmark", "item_id")]
    )


def report(
    found: pa.Table,
    source: str,
    documents: int,
    benchmarks: Iterable[Benchmark],
    policy: ContaminationPolicy | None = None,
) -> pa.Table:
    """What one source holds of each benchmark (REPORT): documents hit and items hit, with 95 % intervals.

    Args:
        found: What `find_contamination` found in the source.
        documents: How many documents the source has.
    """
    benchmarks = tuple(benchmarks)
    named = [(benchmark.name, item) for benchmark in benchmarks for item in benchmark.items]
    searched_items, _, _ = _sequences([item for _, item in named], policy or ContaminationPolicy())
    not_searched = _not_searched([(name, item.item_id) for name, item in named], searched_items)
    rows = found.select(["doc_id", "benchmark", "item_id"]).to_pylist()
    lines = []
    for benchmark in benchmarks:
        hits = [row for row in rows if row["benchmark"] == benchmark.name]
        searched = len(benchmark.items) - not_searched[benchmark.name]
        line: dict[str, Any] = {
            "source": source,
            "benchmark": benchmark.name,
            "items_not_searched": not_searched[benchmark.name],
        }
        for unit, column, n in (("document", "doc_id", documents), ("item", "item_id", searched)):
            share = wilson(len({row[column] for row in hits}), n)
            line |= {
                f"{unit}s": n,
                f"{unit}s_hit": len({row[column] for row in hits}),
                f"{unit}_share": share.value if n else None,
                f"{unit}_share_low": share.low,
                f"{unit}_share_high": share.high,
            }
        lines.append(line)
    return pa.Table.from_pylist(lines, REPORT)


def _read(path: Path) -> bytes:
    import zstandard

    data = path.read_bytes()
    try:
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        elif path.suffix == ".zst":
            data = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise ValueError(f"{path.name}: the compressed data is damaged: {error}") from error
    return data


def _item(row: Any, number: int) -> Item:
    if not isinstance(row, dict):
        raise TypeError("not a JSON object")
    texts = (row[name] for name in TEXTS if isinstance(row.get(name), str) and row[name].strip())
    text = next(texts, None)
    if text is None:
        raise ValueError(f"no text in any of {', '.join(TEXTS)}; the row has {', '.join(row) or 'nothing'}")
    choices = next(filter(None, (_choices(name, row[name]) for name in CHOICES if row.get(name))), ())
    named = next((str(row[name]) for name in IDS if row.get(name) not in (None, "")), f"line {number}")
    return Item(named, _whole(text), tuple(map(_whole, choices)))


def _choices(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, dict):
        # Either {"text": [...], "label": [...]} or {"A": ..., "B": ...}.
        value = value["text"] if isinstance(value.get("text"), list) else list(value.values())
    if isinstance(value, str) and name == "options":
        return tuple(LETTER.sub("", line) for line in value.splitlines() if line.strip())
    if isinstance(value, list) and all(isinstance(choice, str) for choice in value):
        return tuple(value)
    if name.startswith("answer"):
        # One answer is no choice, whatever its type.
        return ()
    raise ValueError(f"{name} are not a list of strings")


def _whole(text: str) -> str:
    """A text without the lone surrogates that JSON may hold and UTF-8 may not."""
    return text.encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class Index:
    """What is searched for: sequences of words, one an item or, where choices join, two.

    Attributes:
        names: Benchmark and id of every item.
        item: The item that each sequence is of.
        words: Hashes of the sequences' words, one sequence after the other.
        bounds: Where each sequence starts in `words`, and where the last one ends.
        needed: Words of each sequence that a document must have.
        widths: The lengths of n-gram in use: the policy's, and those of shorter sequences.
        keys: Hashes of the n-grams that say where to look, sorted.
        starts: Where the holders of each key begin, and where the last ones end.
        holders: The sequences that hold each key, one key after the other.
        places: Where the key begins in each of these sequences.
        sieve: Whether any key begins with these SIEVE_BITS bits; it spares most words the search.
    """

    names: list[tuple[str, str]]
    item: npt.NDArray[np.int64]
    words: npt.NDArray[np.uint64]
    bounds: npt.NDArray[np.int64]
    needed: npt.NDArray[np.int64]
    widths: npt.NDArray[np.int64]
    keys: npt.NDArray[np.uint64]
    starts: npt.NDArray[np.int64]
    holders: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    sieve: npt.NDArray[np.bool_]


def index_items(benchmarks: Iterable[Benchmark], policy: ContaminationPolicy | None = None) -> Index:
    """Benchmarks as `find_items` searches them; see `find_contamination`.

    Raises:
        ValueError: Two benchmarks have one name.
    """
    policy = policy or ContaminationPolicy()
    benchmarks = tuple(benchmarks)
    names = [benchmark.name for benchmark in benchmarks]
    if len(set(names)) < len(names):
        raise ValueError(f"two benchmarks have one name: {', '.join(sorted(names))}")
    named = [(benchmark.name, item) for benchmark in benchmarks for item in benchmark.items]
    item, words, bounds = _sequences([item for _, item in named], policy)
    lengths = np.diff(bounds)
    needed = np.maximum(policy.overlap * lengths, np.minimum(policy.short_overlap * lengths, policy.words))

    # Every n-gram of every sequence, by its hash, its sequence and its first place there.
    width = np.minimum(lengths, policy.ngram)
    grams = lengths - width + 1
    holder = np.repeat(np.arange(len(item)), grams)
    place = np.arange(len(holder)) - np.repeat(np.cumsum(grams) - grams, grams)
    key = _ngrams(words, bounds[holder] + place, width[holder])
    order = np.lexsort((place, holder, key))
    key, holder, place = key[order], holder[order], place[order]
    first = np.append(True, (key[1:] != key[:-1]) | (holder[1:] != holder[:-1]))[: len(key)]
    key, holder, place = key[first], holder[first], place[first]

    _, group, sharing = np.unique(key, return_inverse=True, return_counts=True)
    rarest = np.full(len(item), len(key))
    np.minimum.at(rarest, holder, sharing[group])
    telling = sharing[group] <= np.maximum(rarest[holder], COMMON)
    key, holder, place = key[telling], holder[telling], place[telling]
    keys, starts = np.unique(key, return_index=True)
    sieve = np.zeros(1 << SIEVE_BITS, bool)
    sieve[keys >> SIEVE_SHIFT] = True
    for name, count in _not_searched([(name, item.item_id) for name, item in named], item).items():
        log.warning("%s: %d items of fewer than %d words are not searched", name, count, policy.shortest)
    return Index(
        names=[(name, item.item_id) for name, item in named],
        item=item,
        words=words,
        bounds=bounds,
        needed=np.ceil(needed - 1e-9).astype(np.int64),
        widths=np.unique(width),
        keys=keys,
        starts=np.append(starts, len(key)),
        holders=holder,
        places=place,
        sieve=sieve,
    )


def _sequences(
    items: list[Item], policy: ContaminationPolicy
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """The items' words to search: the item of each sequence, all words, and where each sequence starts."""
    questions, bounds = word_hashes(fold(pa.array([item.text for item in items], pa.string())))
    short = np.flatnonzero(np.diff(bounds) < policy.shortest)
    joined = [
        " ".join([items[number].text, *choices])
        for number in short
        for choices in (items[number].choices, _lettered(items[number].choices))
    ]
    wholes, whole_bounds = word_hashes(fold(pa.array(joined, pa.string())))
    sequences = [
        (number, questions[bounds[number] : bounds[number + 1]])
        for number in range(len(items))
        if bounds[number + 1] - bounds[number] >= policy.shortest
    ]
    sequences += [
        (number, wholes[whole_bounds[at] : whole_bounds[at + 1]])
        for at, number in enumerate(np.repeat(short, 2).tolist())
        if whole_bounds[at + 1] - whole_bounds[at] >= policy.shortest
    ]
    words = [sequence[:LONGEST] for _, sequence in sequences]
    return (
        np.array([number for number, _ in sequences], np.int64),
        np.concatenate([np.zeros(0, np.uint64), *words]),
        np.cumsum([0, *map(len, words)]),
    )


def _lettered(choices: tuple[str, ...]) -> Iterator[str]:
    """Choices as most prompts print them: A, B, C, …"""
    return (f"{chr(ord('A') + number)}. {choice}" for number, choice in enumerate(choices))


def _not_searched(names: list[tuple[str, str]], searched: npt.NDArray[np.int64]) -> Counter[str]:
    """How many items of each benchmark are too short to be searched."""
    found = set(searched.tolist())
    return Counter(name for number, (name, _) in enumerate(names) if number not in found)


def find_items(batch: pa.RecordBatch | pa.Table, index: Index) -> pa.Table:
    """The benchmark items that some documents (doc_id, source, text) hold (SCHEMA), document by document."""
    texts = batch.column("text")
    words, bounds = word_hashes(fold(texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts))
    document, sequence, matched = _aligned(
        words,
        bounds,
        index.widths,
        index.sieve,
        index.keys,
        index.starts,
        index.holders,
        index.places,
        index.words,
        index.bounds,
        index.needed,
    )
    overlap = matched / np.diff(index.bounds)[sequence]
    # Of an item's two sequences, and of its places in a document, the best counts.
    order = np.lexsort((-matched, -overlap, index.item[sequence], document))
    document, item = document[order], index.item[sequence][order]
    best = np.append(True, (document[1:] != document[:-1]) | (item[1:] != item[:-1]))[: len(order)]
    rows, names = pa.array(document[best]), [index.names[number] for number in item[best]]
    columns = [
        batch.column("doc_id").take(rows).cast(pa.string()),
        batch.column("source").take(rows).cast(pa.string()),
        pa.array([benchmark for benchmark, _ in names], pa.string()),
        pa.array([item_id for _, item_id in names], pa.string()),
        pa.array(overlap[order][best]),
        pa.array(matched[order][best]),
    ]
    return pa.table(columns, schema=SCHEMA)


@njit(nogil=True, cache=True)
def _ngram(words, start, width):  # type: ignore[no-untyped-def]
    key = np.uint64(width)
    for word in range(start, start + width):
        key = key * BASE + words[word]
    return (key ^ key >> HALF) * MIX


@njit(nogil=True, cache=True)
def _ngrams(words, starts, widths):  # type: ignore[no-untyped-def]
    """The hash of each run of words."""
    keys = np.empty(len(starts), np.uint64)
    for run in range(len(starts)):
        keys[run] = _ngram(words, starts[run], widths[run])
    return keys


@njit(nogil=True, cache=True)
def _aligned(  # type: ignore[no-untyped-def]
    words, bounds, widths, sieve, keys, starts, holders, places, item_words, item_bounds, needed
):
    """Every alignment with enough words: document, sequence, words matched; a pair may come more than once.

    A run at word d of the document and word i of the sequence lays the sequence over the words from d - i
    on; a quarter of its length, at least 4 words, may be inserted or lost on either side. A place near the
    last one that was tried for the pair isn't tried again.
    """
    found = np.empty((64, 3), np.int64)
    size = 0
    sequences = len(item_bounds) - 1
    tried = np.full(sequences, -1, np.int64)
    tried_at = np.zeros(sequences, np.int64)
    row = np.empty(2 * LONGEST + 16, np.int64)
    for document in range(len(bounds) - 1):
        begin, end = bounds[document], bounds[document + 1]
        for width in widths:
            for at in range(begin, end - width + 1):
                key = _ngram(words, at, width)
                if not sieve[key >> SIEVE_SHIFT]:
                    continue
                slot = np.searchsorted(keys, key)
                if slot == len(keys) or keys[slot] != key:
                    continue
                for holder in range(starts[slot], starts[slot + 1]):
                    sequence = holders[holder]
                    first, last = item_bounds[sequence], item_bounds[sequence + 1]
                    slack = max(4, (last - first) // 4)
                    place = at - places[holder]
                    if tried[sequence] == document and abs(place - tried_at[sequence]) <= slack // 2:
                        continue
                    tried[sequence], tried_at[sequence] = document, place
                    window = words[max(begin, place - slack) : min(end, place + last - first + slack)]
                    matched = _common(item_words[first:last], window, row)
                    if matched >= needed[sequence]:
                        if size == len(found):
                            found = np.concatenate((found, found))
                        found[size, 0], found[size, 1], found[size, 2] = document, sequence, matched
                        size += 1
    return found[:size, 0].copy(), found[:size, 1].copy(), found[:size, 2].copy()


@njit(nogil=True, cache=True)
def _common(one, other, row):  # type: ignore[no-untyped-def]
    """The length of the longest common subsequence; `row` is room for len(other) + 1 numbers."""
    row[: len(other) + 1] = 0
    for word in one:
        diagonal = 0
        for at in range(len(other)):
            above = row[at + 1]
            if word == other[at]:
                row[at + 1] = diagonal + 1
            elif row[at] > above:
                row[at + 1] = row[at]
            diagonal = above
    return row[len(other)]
