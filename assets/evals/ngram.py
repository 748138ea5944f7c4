"""A language model small enough to train in seconds: interpolated modified Kneser-Ney in numpy.

Chen & Goodman 1998, "An Empirical Study of Smoothing Techniques for Language Modeling". It sees `order`
words and nothing beyond them, so it measures how predictable text is, not what a large model would learn.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]

_TOKEN = re.compile(r"\w+|[^\w\s]")

# Discounts of Kneser-Ney where a corpus is too small to estimate them, as KenLM falls back.
_FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)


def tokenise(text: str) -> list[str]:
    """Lower-cased words and single punctuation marks of the NFC form of a text."""
    return _TOKEN.findall(unicodedata.normalize("NFC", text).lower())


@dataclass(frozen=True)
class Level:
    """The n-grams of one order, as a level of a trie.

    `keys` are sorted int64, prefix node x vocabulary size + word; `share` is each n-gram's discounted
    probability; `backoff` is the mass each prefix node leaves to the next lower order (1 where the prefix
    was never continued).
    """

    keys: npt.NDArray[np.int64]
    share: Floats
    backoff: Floats


@dataclass(frozen=True)
class KneserNey:
    """A trained model over word ids 0 … `vocabulary_size` - 1; `levels` hold orders 2 upwards."""

    vocabulary_size: int
    unigram: Floats
    levels: tuple[Level, ...]

    @property
    def order(self) -> int:
        """The longest n-gram the model knows, in words."""
        return len(self.levels) + 1


def train(tokens: Ints, offsets: Ints, *, vocabulary_size: int, order: int = 5) -> KneserNey:
    """Fits the model to documents.

    Args:
        tokens: Word ids of all documents, one after the other, each in [0, vocabulary_size).
        offsets: Where documents begin, and the end of the last: d is tokens[offsets[d]:offsets[d + 1]]. No
            n-gram crosses from one document to the next.
        vocabulary_size: How many words there are; every one of them gets a probability, seen or not.
        order: The longest n-gram, at least 2; shorter where no document is that long.

    Raises:
        ValueError: There is no token, an id outside the vocabulary, or an order below 2.
    """
    if order < 2:
        raise ValueError(f"order {order}: at least 2")
    stream, position = _padded(tokens, offsets, vocabulary_size)
    grams = [_Grams(np.arange(vocabulary_size + 1), np.bincount(stream), np.empty(0, np.int64), stream)]
    for length in range(2, min(order, int(position.max()) + 1) + 1):
        grams.append(_extend(grams[-1].nodes, stream, position, length, vocabulary_size))

    counts = []
    for length, (gram, longer) in enumerate(pairwise(grams), start=1):
        # Below the highest order a count is the number of different words seen to the left. Nothing can
        # stand left of a document's start, so an n-gram that begins there keeps its raw count.
        left = np.bincount(gram.nodes[longer.example], minlength=len(gram.keys))
        if length == 1:
            counts.append(left[:vocabulary_size])  # the start mark is never predicted
        else:
            counts.append(np.where(position[gram.example] == length - 1, gram.raw, left))
    counts.append(grams[-1].raw)

    share, backoff = _discounted(counts[0], np.zeros(vocabulary_size, np.int64), 1)
    levels = [
        Level(gram.keys, *_discounted(count, gram.keys // vocabulary_size, len(shorter.keys)))
        for (shorter, gram), count in zip(pairwise(grams), counts[1:], strict=True)
    ]
    return KneserNey(vocabulary_size, share + backoff[0] / vocabulary_size, tuple(levels))


def negative_log_likelihood(model: KneserNey, tokens: Ints, offsets: Ints) -> Floats:
    """The surprise of each token given the words before it in its document, in nats, shape of `tokens`.

    Args:
        model: The trained model.
        tokens: Word ids of all documents, one after the other.
        offsets: Where documents begin, and the end of the last, as in `train`.
    """
    size = model.vocabulary_size
    stream, position = _padded(tokens, offsets, size)
    predicted = position > 0
    probability = np.where(predicted, model.unigram[np.minimum(stream, size - 1)], 1.0)
    nodes = stream
    for length, level in enumerate(model.levels, start=2):
        prefix = np.concatenate([[-1], nodes[:-1]])
        at = np.flatnonzero((position >= length - 1) & (prefix >= 0))
        keys = prefix[at] * size + stream[at]
        found = np.minimum(np.searchsorted(level.keys, keys), len(level.keys) - 1)
        seen = level.keys[found] == keys
        probability[at] = level.backoff[prefix[at]] * probability[at] + np.where(
            seen, level.share[found], 0.0
        )
        nodes = np.full(len(stream), -1, np.int64)
        nodes[at] = np.where(seen, found, -1)
    return -np.log(probability[predicted])


@dataclass(frozen=True)
class _Grams:
    """All n-grams of one length: keys, raw counts, where one example of each ends, each position's n-gram."""

    keys: npt.NDArray[np.int64]
    raw: npt.NDArray[np.int64]
    example: npt.NDArray[np.int64]
    nodes: Ints


def _extend(shorter: Ints, stream: Ints, position: Ints, length: int, vocabulary_size: int) -> _Grams:
    """The n-grams of one length from the nodes of those one word shorter."""
    at = np.flatnonzero(position >= length - 1)
    keys, inverse, raw = np.unique(
        shorter[at - 1] * vocabulary_size + stream[at], return_inverse=True, return_counts=True
    )
    example = np.empty(len(keys), np.int64)
    example[inverse] = at
    nodes = np.full(len(stream), -1, np.int64)
    nodes[at] = inverse
    return _Grams(keys, raw, example, nodes)


def _discounted(counts: Ints, prefixes: Ints, width: int) -> tuple[Floats, Floats]:
    """Each n-gram's discounted share of its prefix's count, and the mass each of `width` prefixes frees."""
    removed = _discounts(counts)[np.minimum(counts, 3)]
    total = np.bincount(prefixes, weights=counts, minlength=width)
    freed = np.bincount(prefixes, weights=removed, minlength=width)
    backoff = np.divide(freed, total, out=np.ones(width), where=total > 0)
    return (counts - removed) / total[prefixes], backoff


def _discounts(counts: Ints) -> Floats:
    """What is taken from counts of 0, 1, 2 and 3 or more (Chen & Goodman 1998, equation 26)."""
    n1, n2, n3, n4 = (int(np.count_nonzero(counts == count)) for count in (1, 2, 3, 4))
    if 0 in (n1, n2, n3, n4):
        return np.array([0.0, *_FALLBACK_DISCOUNTS])
    y = n1 / (n1 + 2 * n2)
    estimated = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
    if any(not 0 < d <= count for count, d in enumerate(estimated, start=1)):
        return np.array([0.0, *_FALLBACK_DISCOUNTS])
    return np.array([0.0, *estimated])


def _padded(tokens: Ints, offsets: Ints, vocabulary_size: int) -> tuple[Ints, Ints]:
    """The stream with one start mark (id `vocabulary_size`) before each document, and places in documents."""
    tokens, offsets = np.asarray(tokens, np.int64), np.asarray(offsets, np.int64)
    if len(tokens) == 0 or offsets[-1] != len(tokens):
        raise ValueError(f"{len(tokens)} tokens, the last document ends at {offsets[-1]}")
    if tokens.min() < 0 or tokens.max() >= vocabulary_size:
        raise ValueError(f"word ids must lie in [0, {vocabulary_size})")
    starts = offsets[:-1] + np.arange(len(offsets) - 1)
    stream = np.insert(tokens, offsets[:-1], vocabulary_size)
    return stream, np.arange(len(stream)) - np.repeat(starts, np.diff(offsets) + 1)
