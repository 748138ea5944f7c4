"""Boilerplate: lines and paragraphs that many documents share, and how much of each document they are.

Lines are compared as in CCNet (Wenzek et al. 2020), by the hash of their folded text. No text is held: of a
line 8 bytes of hash, its document and its length. What stands in a removed duplicate is measured and not
counted: in a corpus with four versions of each page, every line would be boilerplate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from assets.filters.folding import fold, word_hashes

ROWS_AT_ONCE = 4096
EXAMPLES = 3

SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("boilerplate_line_ratio", pa.float64(), nullable=False),
        pa.field("boilerplate_char_ratio", pa.float64(), nullable=False),
        pa.field("boilerplate_para_char_ratio", pa.float64(), nullable=False),
    ]
)

PASSAGES = pa.schema(
    [
        pa.field("passage_hash", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("words", pa.int64(), nullable=False),
        pa.field("characters", pa.int64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("sources", pa.int64(), nullable=False),
        pa.field("examples", pa.list_(pa.string()), nullable=False),
    ]
)

BASE = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xD6E8FEB86659FD93)
HALF = np.uint64(32)


@dataclass(frozen=True)
class BoilerplatePolicy:
    """When a line or paragraph is boilerplate: `words` words or more, in at least `documents` documents."""

    documents: int = 10
    words: int = 4

    def __post_init__(self) -> None:
        if self.documents < 2 or self.words < 1:
            raise ValueError("documents is at least 2, words at least 1")


@dataclass(frozen=True)
class _Passages:
    """Lines or paragraphs that are not blank: arrays of one length.

    Attributes:
        document: The row of the document that each is in.
        key: The hash of its words.
        words: How many words it has.
        characters: Code points without the white space around its lines.
    """

    document: npt.NDArray[np.int64]
    key: npt.NDArray[np.uint64]
    words: npt.NDArray[np.int32]
    characters: npt.NDArray[np.int32]


def find_boilerplate(
    documents: pa.Table | Iterable[pa.Table], policy: BoilerplatePolicy | None = None
) -> tuple[pa.Table, pa.Table]:
    """How much of each document is boilerplate (SCHEMA, by doc_id), and what the boilerplate is (PASSAGES).

    Of a document's lines that are not blank, `boilerplate_line_ratio` is the share that is boilerplate and
    `boilerplate_char_ratio` the share of their characters; `boilerplate_para_char_ratio` is the share of
    characters in paragraphs, between blank lines, that as a whole are. Case, punctuation, spacing and
    Unicode form don't tell lines apart. A document without a line has 0.

    A passage is told by its hash: its text may be personal, and three documents that hold it are named, those
    of smallest id. The most widespread stand first.

    Args:
        documents: Columns doc_id, source and text, each doc_id once; and `counted`, if present, for whether
            a document counts where passages are counted. Tables are read once, one after the other.
    """
    policy = policy or BoilerplatePolicy()
    facts, parts, rows = [], [], 0
    for table in _tables(documents):
        facts.append(table.drop_columns("text"))
        parts.append(_passages(table["text"], rows))
        rows += len(table)
    if not rows:
        return SCHEMA.empty_table(), PASSAGES.empty_table()
    read = pa.concat_tables(facts)
    order = pc.sort_indices(read["doc_id"])
    read = read.take(order)
    place = np.argsort(np.asarray(order))

    ratios, tables = [], [PASSAGES.empty_table()]
    for kind, found in zip(("line", "paragraph"), zip(*parts, strict=True), strict=True):
        passages = _joined(found, place)
        repeated, table = _repeated(kind, passages, read, policy)
        tables.append(table)
        characters = passages.characters.astype(np.float64)
        ratios += [
            _shares(passages.document, np.ones(len(repeated)), repeated, len(read)),
            _shares(passages.document, characters, repeated, len(read)),
        ]
    by_line, by_character, _, by_paragraph = ratios
    shares = [pa.array(share) for share in (by_line, by_character, by_paragraph)]
    signals = pa.table([read["doc_id"], read["source"], *shares], schema=SCHEMA)
    keys = [("documents", "descending"), ("kind", "ascending"), ("passage_hash", "ascending")]
    return signals, pa.concat_tables(tables).sort_by(keys)


def _tables(documents: pa.Table | Iterable[pa.Table]) -> Iterator[pa.Table]:
    for table in [documents] if isinstance(documents, pa.Table) else documents:
        known = [name for name in ("doc_id", "source", "text", "counted") if name in table.column_names]
        for start in range(0, len(table), ROWS_AT_ONCE):
            yield table.select(known).slice(start, ROWS_AT_ONCE)


def _joined(parts: Sequence[_Passages], place: npt.NDArray[np.int64]) -> _Passages:
    """Parts as one, each document at its place."""
    return _Passages(
        place[np.concatenate([part.document for part in parts])],
        np.concatenate([part.key for part in parts]),
        np.concatenate([part.words for part in parts]),
        np.concatenate([part.characters for part in parts]),
    )


def _passages(texts: pa.ChunkedArray, rows: int) -> tuple[_Passages, _Passages]:
    """The lines and the paragraphs of texts, the first of which is that of document `rows`."""
    whole = texts.cast(pa.large_string()).fill_null("").combine_chunks()
    split = pc.split_pattern(whole, "\n")
    lines = pc.utf8_trim_whitespace(split.flatten())
    lengths = np.asarray(pc.utf8_length(lines)).astype(np.int32)
    document = rows + np.repeat(np.arange(len(whole)), np.asarray(pc.list_value_length(split)))
    words, bounds = word_hashes(fold(lines))
    keys, opens = _keys(words, bounds, document, lengths)
    written = lengths > 0
    counts = np.diff(bounds).astype(np.int32)
    starts = np.flatnonzero(opens)
    line = _Passages(document[written], keys[written, 0], counts[written], lengths[written])
    if not len(starts):
        return line, line
    # The last line of a paragraph has the hash of all its words.
    ends = np.append(starts[1:], len(opens)) - 1
    return line, _Passages(
        document[starts],
        keys[ends, 1],
        np.add.reduceat(counts, starts),
        np.add.reduceat(lengths, starts),
    )


def _repeated(
    kind: str, passages: _Passages, documents: pa.Table, policy: BoilerplatePolicy
) -> tuple[npt.NDArray[np.bool_], pa.Table]:
    """Which passages are boilerplate, and a table of those (PASSAGES); `documents` are sorted by doc_id."""
    counted = np.ones(len(documents), bool)
    if "counted" in documents.column_names:
        counted = np.asarray(documents["counted"].combine_chunks())
    long = passages.words >= policy.words
    keys, first, number = np.unique(passages.key, return_index=True, return_inverse=True)
    counts = long & counted[passages.document]
    # Each passage with each document that holds it, once, ordered by both.
    pairs = np.unique(number[counts] * len(documents) + passages.document[counts])
    passage, document = np.divmod(pairs, max(len(documents), 1))
    spread = np.bincount(passage, minlength=len(keys))
    widespread = np.flatnonzero(spread >= policy.documents)

    source = np.asarray(documents["source"].combine_chunks().dictionary_encode().indices)
    of_sources, _ = np.divmod(
        np.unique(passage * (len(documents) + 1) + source[document]), len(documents) + 1
    )
    starts = np.searchsorted(passage, widespread)
    ids = documents["doc_id"]
    examples = [ids.take(pa.array(document[start : start + EXAMPLES])).to_pylist() for start in starts]
    columns = [
        pa.array([f"{key:016x}" for key in keys[widespread].tolist()], pa.string()),
        pa.repeat(kind, len(widespread)),
        pa.array(passages.words[first[widespread]].astype(np.int64)),
        pa.array(passages.characters[first[widespread]].astype(np.int64)),
        pa.array(spread[widespread]),
        pa.array(np.bincount(of_sources, minlength=len(keys))[widespread]),
        pa.array(examples, pa.list_(pa.string())),
    ]
    return long & (spread >= policy.documents)[number], pa.table(columns, schema=PASSAGES)


def _shares(
    document: npt.NDArray[np.int64],
    weight: npt.NDArray[np.float64],
    repeated: npt.NDArray[np.bool_],
    rows: int,
) -> npt.NDArray[np.float64]:
    """The share of each document's weight that is repeated; 0 where it has none."""
    whole = np.bincount(document, weight, rows)
    return np.bincount(document, weight * repeated, rows) / np.where(whole > 0, whole, 1)


@njit(nogil=True, cache=True)
def _keys(words, bounds, document, lengths):  # type: ignore[no-untyped-def]
    """The hash of each line, and of its paragraph up to its end; and which lines open a paragraph."""
    lines = len(lengths)
    keys = np.zeros((lines, 2), np.uint64)
    opens = np.zeros(lines, np.bool_)
    paragraph = np.uint64(0)
    inside = False
    for line in range(lines):
        inside = inside and document[line] == document[line - 1]
        if lengths[line] > 0:
            if not inside:
                opens[line], paragraph = True, np.uint64(0)
            value = np.uint64(0)
            for word in words[bounds[line] : bounds[line + 1]]:
                value = value * BASE + word
                paragraph = paragraph * BASE + word
            keys[line, 0] = (value ^ value >> HALF) * MIX
        inside = lengths[line] > 0
        keys[line, 1] = (paragraph ^ paragraph >> HALF) * MIX
    return keys, opens
