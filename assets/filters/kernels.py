"""The counts behind every signal: one pass over the Arrow buffers, compiled, without the interpreter lock.

A document is decoded once into code points and their flags; words, lines and repetition are then counted
over those. Everything a kernel returns is a whole number, so signals.py can say what each signal means by
naming a numerator and a denominator. `Count` lives here because numba's cache watches this file alone: a
count that moved in another file would leave compiled code writing to the old place. For the same reason a
changed flag in characters.py needs an edit here.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt
from numba import njit

from assets.filters.characters import (
    BREAK,
    BULLET,
    CLOSING,
    CONTROL,
    DASH,
    DIGIT,
    LETTER,
    SPACE,
    SYMBOL,
    TERMINAL,
    UPPER,
)

SHORT_LINE = 30
FIRST_TOP, LAST_TOP = 2, 4
FIRST_DUPLICATED, LAST_DUPLICATED = 5, 10
STAMPS = 16

# A polynomial over code points, modulo 2^64: the hash of two texts joined follows from the hashes of both.
BASE = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xD6E8FEB86659FD93)
ONE = np.uint64(1)
ZERO = np.uint64(0)
HALF = np.uint64(32)
BLANK = np.uint64(33)

HASH, POINT, BRACE, REPLACEMENT, NEWLINE, RETURN, ELLIPSIS = (ord(c) for c in "#.{\ufffd\n\r…")
COLON, SLASH = ord(":"), ord("/")


class Count(IntEnum):
    """What is counted in each document, in the order of the columns."""

    CHARACTERS = 0
    LETTERS = 1
    UPPERS = 2
    DIGITS = 3
    SPACES = 4
    SYMBOLS = 5
    CONTROLS = 6
    REPLACEMENTS = 7
    BRACES = 8
    HASHES = 9
    ELLIPSES = 10
    NEWLINES = 11
    NEITHER_LETTERS_NOR_SPACES = 12
    WORDS = 13
    WORD_CHARACTERS = 14
    LONGEST_WORD = 15
    LETTER_WORDS = 16
    UNIQUE_WORDS = 17
    STOP_WORDS = 18
    URL_WORDS = 19
    LOREM_IPSUM = 20
    LINES = 21
    LONGEST_LINE = 22
    BULLET_LINES = 23
    ELLIPSIS_LINES = 24
    TERMINAL_LINES = 25
    SHORT_LINES = 26
    DUPLICATE_LINES = 27
    DUPLICATE_LINE_CHARACTERS = 28
    PARAGRAPHS = 29
    DUPLICATE_PARAGRAPHS = 30
    DUPLICATE_PARAGRAPH_CHARACTERS = 31
    TOP_2_GRAM_CHARACTERS = 32
    TOP_3_GRAM_CHARACTERS = 33
    TOP_4_GRAM_CHARACTERS = 34
    DUPLICATE_5_GRAM_CHARACTERS = 35
    DUPLICATE_6_GRAM_CHARACTERS = 36
    DUPLICATE_7_GRAM_CHARACTERS = 37
    DUPLICATE_8_GRAM_CHARACTERS = 38
    DUPLICATE_9_GRAM_CHARACTERS = 39
    DUPLICATE_10_GRAM_CHARACTERS = 40
    NON_SYMBOL_WORDS = 41


COUNTS = len(Count)


def _packed(word: str) -> int:
    return int.from_bytes(word.encode(), "big")


STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
PACKED_STOP_WORDS = np.array([_packed(word) for word in STOP_WORDS], np.int64)
LOREM_IPSUM = np.array([ord(c) for c in "lorem ipsum"], np.uint32)
WWW = np.array([ord(c) for c in "www."], np.uint32)


@njit(nogil=True, cache=True)
def count(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], flags: npt.NDArray[np.uint16]
) -> npt.NDArray[np.int64]:
    """Every `Count` of every document: an array of shape (documents, COUNTS).

    Args:
        data: The UTF-8 bytes of all documents; must be valid, as Arrow strings are.
        offsets: Where each document starts in `data`, and where the last one ends; shape (documents + 1,).
        flags: The flags of every code point (characters.flags).
    """
    documents = len(offsets) - 1
    longest = 0
    for document in range(documents):
        longest = max(longest, offsets[document + 1] - offsets[document])
    points = np.empty(longest, np.uint32)
    kinds = np.empty(longest, np.uint16)
    most = longest // 2 + 1
    hashes = np.empty(most, np.uint64)
    powers = np.empty(most, np.uint64)
    lengths = np.empty(most, np.int64)
    grams = np.empty(most, np.uint64)
    slots = _slots_for(most)
    table = (
        np.empty(slots, np.uint64),
        np.zeros(slots, np.int64),
        np.empty(slots, np.int64),
        np.empty(slots, np.int64),
    )
    counts = np.zeros((documents, COUNTS), np.int64)
    for document in range(documents):
        row = counts[document]
        size = _decode(data, offsets[document], offsets[document + 1], flags, points, kinds)
        stamp = document * STAMPS + 1
        _count_characters(points, kinds, size, row)
        words = _count_words(points, kinds, size, row, hashes, powers, lengths)
        _count_lines(points, kinds, size, row, table, stamp)
        _count_repetition(hashes, powers, lengths, words, row, grams, table, stamp + 2)
    return counts


@njit(nogil=True, cache=True)
def _decode(data, start, stop, flags, points, kinds):  # type: ignore[no-untyped-def]
    """UTF-8 to code points and their flags; returns how many."""
    size = 0
    at = start
    while at < stop:
        lead = np.uint32(data[at])
        if lead < 0x80:
            point = lead
            at += 1
        elif lead < 0xE0:
            point = (lead & 0x1F) << 6 | (data[at + 1] & 0x3F)
            at += 2
        elif lead < 0xF0:
            point = (lead & 0x0F) << 12 | np.uint32(data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F)
            at += 3
        else:
            point = (
                (lead & 0x07) << 18
                | np.uint32(data[at + 1] & 0x3F) << 12
                | np.uint32(data[at + 2] & 0x3F) << 6
                | (data[at + 3] & 0x3F)
            )
            at += 4
        points[size] = point
        kinds[size] = flags[point]
        size += 1
    return size


@njit(nogil=True, cache=True)
def _count_characters(points, kinds, size, row):  # type: ignore[no-untyped-def]
    letters = uppers = digits = spaces = symbols = controls = neither = 0
    for i in range(size):
        kind = kinds[i]
        letters += (kind & LETTER) != 0
        uppers += (kind & UPPER) != 0
        digits += (kind & DIGIT) != 0
        spaces += (kind & SPACE) != 0
        symbols += (kind & SYMBOL) != 0
        controls += (kind & CONTROL) != 0
        neither += (kind & (LETTER | SPACE)) == 0
    replacements = braces = hashes = ellipses = newlines = dots = 0
    for i in range(size):
        point = points[i]
        replacements += point == REPLACEMENT
        braces += point == BRACE
        hashes += point == HASH
        newlines += point == NEWLINE
        ellipses += point == ELLIPSIS
        dots = dots + 1 if point == POINT else 0
        if dots == 3:
            ellipses += 1
            dots = 0
    row[Count.CHARACTERS] = size
    row[Count.LETTERS] = letters
    row[Count.UPPERS] = uppers
    row[Count.DIGITS] = digits
    row[Count.SPACES] = spaces
    row[Count.SYMBOLS] = symbols
    row[Count.CONTROLS] = controls
    row[Count.NEITHER_LETTERS_NOR_SPACES] = neither
    row[Count.REPLACEMENTS] = replacements
    row[Count.BRACES] = braces
    row[Count.HASHES] = hashes
    row[Count.ELLIPSES] = ellipses
    row[Count.NEWLINES] = newlines


@njit(nogil=True, cache=True)
def _count_words(points, kinds, size, row, hashes, powers, lengths):  # type: ignore[no-untyped-def]
    """Counts over the words, and the hash, the power of the base and the length of each; returns how many."""
    words = characters = longest = letter_words = non_symbol_words = urls = lorems = stops = 0
    start = 0
    while start < size:
        if kinds[start] & SPACE:
            start += 1
            continue
        end = start
        value, power = ZERO, ONE
        letters = packed = non_symbol = 0
        url = _matches(points, size, start, WWW)
        while end < size and not kinds[end] & SPACE:
            point = points[end]
            value = value * BASE + np.uint64(point) + ONE
            power *= BASE
            non_symbol |= ~kinds[end] & SYMBOL
            if kinds[end] & LETTER:
                letters += 1
                if letters <= 4:
                    packed = packed << 8 | _lower(point) if point < 0x80 else -1
            elif point == COLON and end + 2 < size and points[end + 1] == SLASH and points[end + 2] == SLASH:
                url = url or (end > start and kinds[end - 1] & LETTER != 0)
            end += 1
        if 2 <= letters <= 4:
            for bit in range(len(PACKED_STOP_WORDS)):
                if packed == PACKED_STOP_WORDS[bit]:
                    stops |= 1 << bit
        lorems += _matches(points, size, start, LOREM_IPSUM)
        urls += url
        letter_words += letters > 0
        non_symbol_words += non_symbol != 0
        length = end - start
        longest = max(longest, length)
        characters += length
        hashes[words], powers[words], lengths[words] = value, power, length
        words += 1
        start = end
    for bit in range(len(PACKED_STOP_WORDS)):
        row[Count.STOP_WORDS] += stops >> bit & 1
    row[Count.WORDS] = words
    row[Count.WORD_CHARACTERS] = characters
    row[Count.LONGEST_WORD] = longest
    row[Count.LETTER_WORDS] = letter_words
    row[Count.NON_SYMBOL_WORDS] = non_symbol_words
    row[Count.URL_WORDS] = urls
    row[Count.LOREM_IPSUM] = lorems
    return words


@njit(nogil=True, cache=True)
def _count_lines(points, kinds, size, row, table, stamp):  # type: ignore[no-untyped-def]
    """Counts over the lines that are not blank, stripped, and over the paragraphs between blank lines."""
    lines = longest = bullets = ellipses = terminals = shorts = 0
    paragraph, paragraph_length = ZERO, 0
    start = 0
    while start < size:
        stop = start
        while stop < size and not kinds[stop] & BREAK:
            stop += 1
        following = stop + 1
        if stop + 1 < size and points[stop] == RETURN and points[stop + 1] == NEWLINE:
            following += 1
        first, last = start, stop
        while first < last and kinds[first] & SPACE:
            first += 1
        while last > first and kinds[last - 1] & SPACE:
            last -= 1
        length = last - first
        if length == 0:
            _close_paragraph(row, table, stamp + 1, size, paragraph, paragraph_length)
            paragraph, paragraph_length = ZERO, 0
            start = following
            continue
        value = ZERO
        for i in range(first, last):
            value = value * BASE + np.uint64(points[i]) + ONE
        lines += 1
        longest = max(longest, length)
        shorts += length <= SHORT_LINE
        bullets += _opens_item(kinds, first, last)
        ellipses += _ends_in_ellipsis(points, first, last)
        terminals += _ends_sentence(kinds, first, last)
        if _seen(table, stamp, size, value):
            row[Count.DUPLICATE_LINES] += 1
            row[Count.DUPLICATE_LINE_CHARACTERS] += length
        paragraph = (paragraph ^ value) * MIX + ONE
        paragraph_length += length + (paragraph_length > 0)
        start = following
    _close_paragraph(row, table, stamp + 1, size, paragraph, paragraph_length)
    row[Count.LINES] = lines
    row[Count.LONGEST_LINE] = longest
    row[Count.BULLET_LINES] = bullets
    row[Count.ELLIPSIS_LINES] = ellipses
    row[Count.TERMINAL_LINES] = terminals
    row[Count.SHORT_LINES] = shorts


@njit(nogil=True, cache=True)
def _close_paragraph(row, table, stamp, size, paragraph, length):  # type: ignore[no-untyped-def]
    if length == 0:
        return
    row[Count.PARAGRAPHS] += 1
    if _seen(table, stamp, size, paragraph):
        row[Count.DUPLICATE_PARAGRAPHS] += 1
        row[Count.DUPLICATE_PARAGRAPH_CHARACTERS] += length


@njit(nogil=True, cache=True)
def _opens_item(kinds, first, last):  # type: ignore[no-untyped-def]
    if kinds[first] & BULLET:
        return True
    return kinds[first] & DASH != 0 and first + 1 < last and kinds[first + 1] & SPACE != 0


@njit(nogil=True, cache=True)
def _ends_in_ellipsis(points, first, last):  # type: ignore[no-untyped-def]
    if points[last - 1] == ELLIPSIS:
        return True
    if last - first < 3:
        return False
    return points[last - 1] == POINT and points[last - 2] == POINT and points[last - 3] == POINT


@njit(nogil=True, cache=True)
def _ends_sentence(kinds, first, last):  # type: ignore[no-untyped-def]
    while last > first and kinds[last - 1] & CLOSING:
        last -= 1
    return last > first and kinds[last - 1] & TERMINAL != 0


@njit(nogil=True, cache=True)
def _count_repetition(hashes, powers, lengths, words, row, grams, table, stamp):  # type: ignore[no-untyped-def]
    """Distinct words, and characters in the most frequent 2- to 4-gram and in repeated 5- to 10-grams.

    The hash of an n-gram is that of its words joined by one space; it comes from the (n-1)-gram before it.
    """
    keys, stamps, tallies, firsts = table
    mask = np.uint64(_slots_for(words) - 1)
    for i in range(words):
        grams[i] = hashes[i]
        slot = _slot(keys, stamps, stamp, mask, hashes[i])
        if stamps[slot] != stamp:
            stamps[slot], keys[slot] = stamp, hashes[i]
            row[Count.UNIQUE_WORDS] += 1
    for n in range(2, LAST_DUPLICATED + 1):
        count = words - n + 1
        stamp += 1
        for i in range(count):
            grams[i] = (grams[i] * BASE + BLANK) * powers[i + n - 1] + hashes[i + n - 1]
        if n <= LAST_TOP:
            top, where = 1, 0
            for i in range(count):
                slot = _slot(keys, stamps, stamp, mask, grams[i])
                if stamps[slot] != stamp:
                    stamps[slot], keys[slot], tallies[slot], firsts[slot] = stamp, grams[i], 1, i
                    continue
                tallies[slot] += 1
                if tallies[slot] > top or (tallies[slot] == top and firsts[slot] < where):
                    top, where = tallies[slot], firsts[slot]
            # Where no n-gram occurs twice, no longer one does.
            if top == 1:
                return
            length = n - 1
            for i in range(where, where + n):
                length += lengths[i]
            row[Count.TOP_2_GRAM_CHARACTERS + n - FIRST_TOP] = length * top
        else:
            total = 0
            i = 0
            while i < count:
                slot = _slot(keys, stamps, stamp, mask, grams[i])
                if stamps[slot] != stamp:
                    stamps[slot], keys[slot] = stamp, grams[i]
                    i += 1
                    continue
                for j in range(i, i + n):
                    total += lengths[j]
                i += n
            if total == 0:
                return
            row[Count.DUPLICATE_5_GRAM_CHARACTERS + n - FIRST_DUPLICATED] = total


@njit(nogil=True, cache=True)
def _matches(points, size, start, wanted):  # type: ignore[no-untyped-def]
    """Whether ASCII text stands at a place, in either case."""
    if start + len(wanted) > size:
        return False
    for i in range(len(wanted)):  # noqa: SIM110 - numba has no generator expressions
        if _lower(points[start + i]) != wanted[i]:
            return False
    return True


@njit(nogil=True, cache=True)
def _lower(point):  # type: ignore[no-untyped-def]
    return np.int64(point) + 32 if 0x41 <= point <= 0x5A else np.int64(point)


@njit(nogil=True, cache=True)
def _slots_for(members):  # type: ignore[no-untyped-def]
    """The size of an open-addressing table that stays at most half full: a power of two."""
    slots = 4
    while slots < 2 * members:
        slots *= 2
    return slots


@njit(nogil=True, cache=True)
def _slot(keys, stamps, stamp, mask, key):  # type: ignore[no-untyped-def]
    """Where a key lies in the table, or the free place for it; an older stamp means free."""
    slot = (key ^ (key >> HALF)) * MIX >> HALF & mask
    while stamps[slot] == stamp and keys[slot] != key:
        slot = slot + ONE & mask
    return slot


@njit(nogil=True, cache=True)
def _seen(table, stamp, size, key):  # type: ignore[no-untyped-def]
    """Whether a key was met under this stamp before; it has been from now on."""
    keys, stamps, _, _ = table
    slot = _slot(keys, stamps, stamp, np.uint64(_slots_for(size // 2 + 1) - 1), key)
    if stamps[slot] == stamp:
        return True
    stamps[slot], keys[slot] = stamp, key
    return False
