"""Texts folded for comparison: case, punctuation, spacing and Unicode variants set aside."""

from __future__ import annotations

import functools
import unicodedata

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from assets.filters import characters
from assets.filters.buffers import code_point, from_text_buffers, text_buffers

SPACE = 0x20
DROPPED = 0
# In the table beside the folded code point: a word of its own.
ALONE = 1 << 31

FNV_OFFSET = np.uint64(0xCBF29CE484222325)
FNV_PRIME = np.uint64(0x100000001B3)
MIX = np.uint64(0xD6E8FEB86659FD93)
HALF = np.uint64(32)


def fold(texts: pa.Array, *, digits: bool = True) -> pa.Array:
    """Each text as its words: NFKC, lower case, words of letters and digits divided by single spaces.

    Compatibility composition keeps Hangul whole, unlike the NFD with marks removed that is common in the
    field. Characters of scripts without spaces (Han, kana, Thai, …) are words of their own, so word n-grams
    are character n-grams there. Without `digits` every digit reads as 0. Invisible format characters vanish.
    A null text is an empty one.
    """
    texts = texts.cast(pa.large_string()).fill_null("")
    foreign = pc.invert(pc.string_is_ascii(texts))
    if pc.any(foreign).as_py():
        # Not pyarrow's utf8_normalize: its NFC and NFKC leave letters and Hangul decomposed (pyarrow 25).
        composed = [unicodedata.normalize("NFKC", text) for text in texts.filter(foreign).to_pylist()]
        texts = pc.replace_with_mask(texts, foreign, pa.array(composed, pa.large_string()))
    data, offsets = text_buffers(texts)
    return from_text_buffers(*_fold(data, offsets, _table(digits)))


def word_hashes(folded: pa.Array) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """A 64-bit hash of every word of folded texts, and where each text's words start (length + 1)."""
    hashes, bounds = _hash_words(*text_buffers(folded))
    return hashes, bounds


@functools.cache
def _table(digits: bool) -> npt.NDArray[np.uint32]:
    """What each code point folds to: a code point, SPACE or DROPPED, with ALONE set on words of their own."""
    category = characters.categories()
    flags = characters.flags()
    table = np.full(characters.CODE_POINTS, SPACE, np.uint32)
    kept = np.isin(category.astype("U1"), ["L", "M", "N"])
    table[kept] = np.flatnonzero(kept)
    table[category == "Cf"] = DROPPED
    for point in np.flatnonzero(flags & characters.UPPER):
        lower = chr(point).lower()
        table[point] = ord(lower) if len(lower) == 1 else point
    if not digits:
        table[category == "Nd"] = ord("0")
    table[(flags & characters.UNSPACED) != 0] |= ALONE
    return table


@njit(nogil=True, cache=True)
def _fold(data, offsets, table):  # type: ignore[no-untyped-def]
    """Folded bytes and their offsets."""
    documents = len(offsets) - 1
    # A lower-case letter can take half as many bytes again, and a character alone takes one space.
    folded = np.empty(2 * (offsets[documents] - offsets[0]) + 4, np.uint8)
    bounds = np.zeros(documents + 1, np.int64)
    size = 0
    for document in range(documents):
        at, stop = offsets[document], offsets[document + 1]
        begin = size
        gap = alone = False
        while at < stop:
            point, width = code_point(data, at)
            at += width
            entry = table[point]
            point = entry & np.uint32(0x1FFFFF)
            if point == SPACE:
                gap = True
                continue
            if point == DROPPED:
                continue
            single = entry & ALONE != 0
            if (gap or single or alone) and size > begin:
                folded[size] = SPACE
                size += 1
            gap, alone = False, single
            if point < 0x80:
                folded[size] = point
                size += 1
            elif point < 0x800:
                folded[size] = 0xC0 | point >> 6
                folded[size + 1] = 0x80 | point & 0x3F
                size += 2
            elif point < 0x10000:
                folded[size] = 0xE0 | point >> 12
                folded[size + 1] = 0x80 | point >> 6 & 0x3F
                folded[size + 2] = 0x80 | point & 0x3F
                size += 3
            else:
                folded[size] = 0xF0 | point >> 18
                folded[size + 1] = 0x80 | point >> 12 & 0x3F
                folded[size + 2] = 0x80 | point >> 6 & 0x3F
                folded[size + 3] = 0x80 | point & 0x3F
                size += 4
        bounds[document + 1] = size
    return folded[:size].copy(), bounds


@njit(nogil=True, cache=True)
def _hash_words(data, offsets):  # type: ignore[no-untyped-def]
    """FNV-1a of each word's bytes, mixed."""
    documents = len(offsets) - 1
    hashes = np.empty((offsets[documents] - offsets[0] + documents) // 2 + 1, np.uint64)
    bounds = np.zeros(documents + 1, np.int64)
    words = 0
    for document in range(documents):
        start, stop = offsets[document], offsets[document + 1]
        value = FNV_OFFSET
        for at in range(start, stop):
            if data[at] != SPACE:
                value = (value ^ np.uint64(data[at])) * FNV_PRIME
            if data[at] == SPACE or at == stop - 1:
                hashes[words] = (value ^ value >> HALF) * MIX
                words += 1
                value = FNV_OFFSET
        bounds[document + 1] = words
    return hashes[:words].copy(), bounds
