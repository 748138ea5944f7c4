"""A fastText classifier read from its file and applied to whole columns by compiled code.

The library hashes and adds the same vectors a text at a time at about 5 MB/s, which would be most of what
measuring a document costs. This reads what it needs of the same file (Joulin et al. 2016, "FastText.zip":
product-quantised input vectors of words and character n-grams, hierarchical softmax) and adds the same
single-precision numbers in the same order. Tests hold it equal to the library.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from numba import njit

from assets.filters.buffers import code_point
from assets.filters.characters import LETTER, SPACE

MAGIC, VERSION = 793712314, 12
HIERARCHICAL_SOFTMAX, SUPERVISED = 1, 3
CENTROIDS = 256
LABEL = "__label__"
END_OF_SENTENCE = "</s>"

FNV_OFFSET = np.uint32(2166136261)
FNV_PRIME = np.uint32(16777619)
# Words are told apart by 64 bits: of a few thousand, two share them once in 10^12 models.
WIDE_OFFSET = np.uint64(0xCBF29CE484222325)
WIDE_PRIME = np.uint64(0x100000001B3)
MIX = np.uint64(0xD6E8FEB86659FD93)
HALF = np.uint64(32)
ONE = np.uint64(1)
OPENS, CLOSES = np.uint8(ord("<")), np.uint8(ord(">"))


@dataclass(frozen=True)
class Classifier:
    """What classifying needs of a model.

    Attributes:
        labels: The names of the classes, in the order of the model.
        vectors: Input vectors of words and then of n-grams, float32 of shape (rows, dimensions).
        words: Open-addressing table of the words' 64-bit hashes; 0 is a free place.
        word_rows: The row of `vectors` of each place in `words`.
        ngram_rows: The row of each n-gram bucket, -1 for one that was pruned.
        kept: One bit for each bucket: whether it was not pruned.
        shortest, longest: The lengths of n-grams in characters.
        end: The row of the end of a sentence, which closes every text.
        output: The vectors of the inner nodes of the tree of classes, float32 (classes, dimensions).
        left, right: The children of each node of the tree; leaves are the classes, the last is the root.
    """

    labels: tuple[str, ...]
    vectors: npt.NDArray[np.float32]
    words: npt.NDArray[np.uint64]
    word_rows: npt.NDArray[np.int32]
    ngram_rows: npt.NDArray[np.int32]
    kept: npt.NDArray[np.uint8]
    shortest: int
    longest: int
    end: int
    output: npt.NDArray[np.float32]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]

    def classify(
        self, data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], flags: npt.NDArray[np.uint16]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """The most probable class of each text, its probability, and how many letters the text has.

        White space of every kind and NUL divide words.

        Args:
            data: The UTF-8 bytes of all texts; must be valid.
            offsets: Where each text starts, and where the last one ends; shape (texts + 1,).
            flags: The flags of every code point (characters.flags).
        """
        return _classify(
            data,
            offsets,
            flags,
            self.vectors,
            self.words,
            self.word_rows,
            self.ngram_rows,
            self.kept,
            self.shortest,
            self.longest,
            self.end,
            self.output,
            self.left,
            self.right,
        )


def load(path: Path) -> Classifier:
    """A quantised supervised model (`.ftz`) with hierarchical softmax and single words.

    Raises:
        ValueError: The file is not such a model; names the file and what it is instead.
    """
    with path.open("rb") as file:
        magic, version = _read(file, "ii")
        if (magic, version) != (MAGIC, VERSION):
            raise ValueError(f"{path.name}: not a fastText model of version {VERSION}")
        arguments = _read(file, "12id")
        word_ngrams, loss, model, buckets, shortest, longest = arguments[5:11]
        if (loss, model, word_ngrams) != (HIERARCHICAL_SOFTMAX, SUPERVISED, 1):
            raise ValueError(f"{path.name}: not a classifier of single words with hierarchical softmax")
        size, n_words, _, _, n_pruned = _read(file, "iiiqq")
        entries = [_entry(file) for _ in range(size)]
        pruned = np.frombuffer(file.read(8 * max(n_pruned, 0)), np.int32).reshape(-1, 2)
        vectors = _quantised(file, path)
        if _read(file, "?")[0]:
            raise ValueError(f"{path.name}: its output is quantised too")
        rows, dimensions = _read(file, "qq")
        output = np.frombuffer(file.read(4 * rows * dimensions), np.float32).reshape(rows, dimensions)
    words = [word for word, _ in entries[:n_words]]
    if n_pruned < 0:
        ngram_rows = np.arange(n_words, n_words + buckets, dtype=np.int32)
    else:
        ngram_rows = np.full(buckets, -1, np.int32)
        ngram_rows[pruned[:, 0]] = n_words + pruned[:, 1]
    table, table_rows = _word_table(words)
    labels = entries[n_words:]
    left, right = _tree([count for _, count in labels])
    return Classifier(
        labels=tuple(name.removeprefix(LABEL) for name, _ in labels),
        vectors=vectors,
        words=table,
        word_rows=table_rows,
        ngram_rows=ngram_rows,
        kept=np.packbits(ngram_rows >= 0, bitorder="little"),
        shortest=shortest,
        longest=longest,
        end=words.index(END_OF_SENTENCE),
        output=output,
        left=left,
        right=right,
    )


def _read(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(f"<{form}", file.read(struct.calcsize(f"<{form}")))


def _entry(file: BinaryIO) -> tuple[str, int]:
    """A word or label of the dictionary, and how often it was met."""
    name = bytearray()
    while (byte := file.read(1)) != b"\0":
        name += byte
    count, _ = _read(file, "qb")
    return name.decode("utf-8", "replace"), count


def _quantised(file: BinaryIO, path: Path) -> npt.NDArray[np.float32]:
    """The input vectors, each looked up piece by piece in its codebook, and its norm in a book of norms."""
    quantised, with_norms = _read(file, "??")
    if not quantised:
        raise ValueError(f"{path.name}: its vectors are not quantised")
    rows, _, size = _read(file, "qqi")
    codes = np.frombuffer(file.read(size), np.uint8).reshape(rows, -1)
    books = _codebooks(file, path)
    vectors = np.concatenate([book[codes[:, piece]] for piece, book in enumerate(books)], axis=1)
    if not with_norms:
        return vectors
    norms = np.frombuffer(file.read(rows), np.uint8)
    return vectors * _codebooks(file, path)[0][norms]


def _codebooks(file: BinaryIO, path: Path) -> npt.NDArray[np.float32]:
    """Centroids, of shape (pieces, CENTROIDS, width of a piece)."""
    dimensions, pieces, width, last = _read(file, "4i")
    if width != last:
        raise ValueError(f"{path.name}: vectors of {dimensions} are not made of pieces of {width}")
    centroids = np.frombuffer(file.read(4 * dimensions * CENTROIDS), np.float32)
    return centroids.reshape(pieces, CENTROIDS, width)


def _word_table(words: list[str]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
    slots = 1 << (2 * len(words) - 1).bit_length()
    table, rows = np.zeros(slots, np.uint64), np.full(slots, -1, np.int32)
    for row, word in enumerate(words):
        key = np.uint64(_wide_hash(np.frombuffer(word.encode(), np.uint8)))
        slot = _slot(table, key)
        table[slot], rows[slot] = key, row
    return table, rows


def _tree(counts: list[int]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """The Huffman tree over classes sorted by falling count: children of each node, -1 for a leaf."""
    classes = len(counts)
    weights = counts + [10**15] * (classes - 1)
    left, right = np.full(2 * classes - 1, -1, np.int32), np.full(2 * classes - 1, -1, np.int32)
    leaf, node = classes - 1, classes
    for parent in range(classes, 2 * classes - 1):
        children = []
        for _ in range(2):
            if leaf >= 0 and weights[leaf] < weights[node]:
                children.append(leaf)
                leaf -= 1
            else:
                children.append(node)
                node += 1
        left[parent], right[parent] = children
        weights[parent] = weights[children[0]] + weights[children[1]]
    return left, right


@njit(nogil=True, cache=True)
def _wide_hash(word):  # type: ignore[no-untyped-def]
    value = WIDE_OFFSET
    for byte in word:
        value = (value ^ np.uint64(byte)) * WIDE_PRIME
    return value | ONE


@njit(nogil=True, cache=True)
def _slot(table, key):  # type: ignore[no-untyped-def]
    """Where a key lies in the table, or the free place for it."""
    mask = np.uint64(len(table) - 1)
    slot = (key ^ (key >> HALF)) * MIX >> HALF & mask
    while table[slot] != 0 and table[slot] != key:
        slot = slot + ONE & mask
    return slot


@njit(nogil=True, cache=True)
def _classify(  # type: ignore[no-untyped-def]
    data,
    offsets,
    flags,
    vectors,
    table,
    word_rows,
    ngram_rows,
    kept,
    shortest,
    longest,
    end,
    output,
    left,
    right,
):
    texts = len(offsets) - 1
    classes = (len(left) + 1) // 2
    labels = np.zeros(texts, np.int32)
    scores = np.zeros(texts, np.float32)
    letters = np.zeros(texts, np.int64)
    hidden = np.empty(vectors.shape[1], np.float32)
    spelled = np.empty(1024, np.uint8)
    for text in range(texts):
        hidden[:] = 0
        inputs = 0
        at, stop = offsets[text], offsets[text + 1]
        start = at
        while at <= stop:
            divides = at == stop
            width = 1
            if not divides:
                point, width = code_point(data, at)
                kind = flags[point]
                divides = point == 0 or kind & SPACE != 0
                letters[text] += kind & LETTER != 0
            if divides:
                if at > start:
                    if at - start + 2 > len(spelled):
                        spelled = np.empty(2 * (at - start + 2), np.uint8)
                    inputs += _add_word(
                        data[start:at],
                        spelled,
                        hidden,
                        vectors,
                        table,
                        word_rows,
                        ngram_rows,
                        kept,
                        shortest,
                        longest,
                    )
                start = at + width
            at += width
        for i in range(len(hidden)):
            hidden[i] += vectors[end, i]
        hidden *= np.float32(1.0 / (inputs + 1))
        labels[text], scores[text] = _best(hidden, output, left, right, classes)
    return labels, scores, letters


@njit(nogil=True, cache=True)
def _add_word(  # type: ignore[no-untyped-def]
    word, spelled, hidden, vectors, table, word_rows, ngram_rows, kept, shortest, longest
):
    """Adds the vectors of a word and of the n-grams of `<word>`; returns how many there were.

    `spelled` is room for the word in its brackets; `kept` has a bit for each bucket, which spares most
    n-grams the look into a table far larger than the processor's cache.
    """
    if _is_label(word):
        return 0
    inputs = 0
    wide = WIDE_OFFSET
    for i in range(len(word)):
        spelled[i + 1] = word[i]
        wide = (wide ^ np.uint64(word[i])) * WIDE_PRIME
    size = len(word) + 2
    spelled[0], spelled[size - 1] = OPENS, CLOSES
    row = word_rows[_slot(table, wide | ONE)]
    if row >= 0:
        _add(hidden, vectors, row)
        inputs += 1
    buckets = np.uint32(len(ngram_rows))
    for first in range(size):
        if spelled[first] & 0xC0 == 0x80:
            continue
        value = FNV_OFFSET
        at, characters = first, 0
        while at < size and characters < longest:
            value = _hashed(value, spelled[at])
            at += 1
            while at < size and spelled[at] & 0xC0 == 0x80:
                value = _hashed(value, spelled[at])
                at += 1
            characters += 1
            if characters >= shortest and not (characters == 1 and (first == 0 or at == size)):
                bucket = np.uint32(value % buckets)
                if kept[bucket >> 3] >> (bucket & 7) & 1:
                    _add(hidden, vectors, ngram_rows[bucket])
                    inputs += 1
    return inputs


@njit(nogil=True, cache=True)
def _hashed(value, byte):  # type: ignore[no-untyped-def]
    """FNV-1a over bytes taken as signed numbers, as the library takes them."""
    return np.uint32((value ^ np.uint32(np.int8(byte))) * FNV_PRIME)


@njit(nogil=True, cache=True)
def _is_label(word):  # type: ignore[no-untyped-def]
    """Words that look like a label are no input."""
    if len(word) < 9:
        return False
    return (
        word[0] == 95
        and word[1] == 95
        and word[2] == 108
        and word[3] == 97
        and word[4] == 98
        and word[5] == 101
        and word[6] == 108
        and word[7] == 95
        and word[8] == 95
    )


@njit(nogil=True, cache=True)
def _add(hidden, vectors, row):  # type: ignore[no-untyped-def]
    for i in range(len(hidden)):
        hidden[i] += vectors[row, i]


@njit(nogil=True, cache=True)
def _best(hidden, output, left, right, classes):  # type: ignore[no-untyped-def]
    """The most probable leaf of the tree and its probability, branches that can't win left out."""
    nodes = np.empty(2 * classes, np.int32)
    logs = np.empty(2 * classes, np.float32)
    nodes[0], logs[0] = len(left) - 1, 0
    waiting = 1
    best, best_log = np.int32(0), np.float32(-np.inf)
    while waiting:
        waiting -= 1
        node, log = nodes[waiting], logs[waiting]
        if log < best_log:
            continue
        if left[node] < 0:
            best, best_log = node, log
            continue
        product = np.float32(0)
        for i in range(len(hidden)):
            product += output[node - classes, i] * hidden[i]
        to_right = np.float32(1 / (1 + np.exp(np.float64(-product))))
        # The library's logarithm keeps off 0 by as much.
        nodes[waiting], logs[waiting] = right[node], log + np.float32(np.log(np.float64(to_right) + 1e-5))
        waiting += 1
        nodes[waiting] = left[node]
        logs[waiting] = log + np.float32(np.log(1.0 - np.float64(to_right) + 1e-5))
        waiting += 1
    return best, np.float32(np.exp(best_log))
