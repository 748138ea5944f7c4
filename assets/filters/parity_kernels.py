"""The counts behind datatrove's filters, and C4's editing of lines, as kernels over code points.

Texts lie end to end: text t is points[bounds[t]:bounds[t + 1]]. Everything counted is a whole number; parity.py
says what is divided by what. Strings are told apart by 64-bit hashes. As in kernels.py, numba's cache watches
this file alone, so what compiled code depends on stands here.
"""

from __future__ import annotations

import functools
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from assets.filters import characters
from assets.filters.buffers import code_point
from assets.filters.english_words import Words

# What a character is to datatrove: its own flags, indexed by code point.
SPACE, BREAK, ALPHABETIC, DECIMAL, TERMINAL, SYMBOL, PUNCTUATION, FULL_STOP = (1 << bit for bit in range(8))

# With the sentence terminals and the control characters, what datatrove calls punctuation.
SYMBOLS = "\"#$%&'()*+,-/:;<=>@[\\]^_`{|}~«´»–—’“”„…∶━►、〈〉《》「」【】％（），１：；～"
CONTROLS = "0-8 B-1F 7F-9F"

SHORT_LINE = 30
LONGEST_WORD = 1000
FEWEST_WORDS = 3
FIRST_TOP, LAST_TOP = 2, 4
FIRST_DUPLICATED, LAST_DUPLICATED = 5, 10

BASE = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xD6E8FEB86659FD93)
ONE = np.uint64(1)
ZERO = np.uint64(0)
HALF = np.uint64(32)
HASH, POINT, BRACE, NEWLINE, RETURN, ELLIPSIS, BULLET, DASH, BLANK = (ord(c) for c in "#.{\n\r…•- ")
OPEN, CLOSE, QUESTION, EXCLAMATION, QUOTE, APOSTROPHE, KELVIN, SMALL_K = (ord(c) for c in "[]?!\"'\u212ak")


class Count(IntEnum):
    """What is counted in a text as it is given, in the order of the columns."""

    CHARACTERS = 0
    WORDS = 1
    PROPER_WORDS = 2  # with at least one character that is no punctuation
    PROPER_WORD_CHARACTERS = 3
    ALPHABETIC_WORDS = 4
    STOP_WORDS = 5
    HASHES = 6
    ELLIPSES = 7
    LINES = 8
    BULLET_LINES = 9
    ELLIPSIS_LINES = 10
    PARAGRAPHS = 11
    DUPLICATE_PARAGRAPHS = 12
    DUPLICATE_PARAGRAPH_CHARACTERS = 13
    PIECES = 14  # between runs of line feeds
    DUPLICATE_PIECES = 15
    DUPLICATE_PIECE_CHARACTERS = 16
    TOP_2_GRAM_CHARACTERS = 17
    TOP_3_GRAM_CHARACTERS = 18
    TOP_4_GRAM_CHARACTERS = 19
    DUPLICATE_5_GRAM_CHARACTERS = 20
    DUPLICATE_6_GRAM_CHARACTERS = 21
    DUPLICATE_7_GRAM_CHARACTERS = 22
    DUPLICATE_8_GRAM_CHARACTERS = 23
    DUPLICATE_9_GRAM_CHARACTERS = 24
    DUPLICATE_10_GRAM_CHARACTERS = 25


class LineCount(IntEnum):
    """What FineWeb's rules count over the lines between line feeds that are not blank."""

    LINES = 0
    TERMINAL_LINES = 1
    SHORT_LINES = 2
    DUPLICATE_LINE_CHARACTERS = 3
    CHARACTERS = 4  # of the text, line feeds left out
    NEWLINES = 5
    WORDS = 6


class EditCount(IntEnum):
    """What C4's editor did: lines kept and removed by rule, and why it gave up on a text."""

    KEPT_LINES = 0
    LONG_WORD_LINES = 1
    UNPUNCTUATED_LINES = 2
    SHORT_LINES = 3
    JAVASCRIPT_LINES = 4
    POLICY_LINES = 5
    CITATIONS = 6
    SENTENCES = 7
    LOREM_IPSUM = 8
    CURLY_BRACKET = 9


COUNTS, LINE_COUNTS, EDIT_COUNTS = len(Count), len(LineCount), len(EditCount)


class Edited(NamedTuple):
    """Texts after C4's editor: the kept lines of each, joined by line feeds.

    Args:
        points: The code points of all texts.
        bounds: Where each text starts in `points`, white space at its ends included.
        trimmed: Where each text starts and ends without that; shape (texts, 2).
        lines: Where each kept line starts and ends in `points`.
        origins: Where each kept line started in the texts before.
        firsts: Those of text t are lines firsts[t] to firsts[t + 1].
        counts: One row of `EditCount` a text; SENTENCES is yet to be counted.
    """

    points: npt.NDArray[np.uint32]
    bounds: npt.NDArray[np.int64]
    trimmed: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    origins: npt.NDArray[np.int64]
    firsts: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


def _packed(word: str) -> int:
    return int.from_bytes(word.encode(), "big")


def _points(text: str) -> npt.NDArray[np.uint32]:
    return np.array([ord(character) for character in text], np.uint32)


STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
PACKED_STOP_WORDS = np.array([_packed(word) for word in STOP_WORDS], np.int64)
EDIT, CITATION_NEEDED = _points("[edit]"), _points("[citation needed]")
LOREM_IPSUM, JAVASCRIPT = _points("lorem ipsum"), _points("javascript")
TERMS_OF_USE, PRIVACY_POLICY, COOKIE_POLICY, USES_COOKIES, USE_OF_COOKIES, USE_COOKIES = (
    _points(phrase)
    for phrase in (
        "terms of use",
        "privacy policy",
        "cookie policy",
        "uses cookies",
        "use of cookies",
        "use cookies",
    )
)


@functools.cache
def flags() -> npt.NDArray[np.uint8]:
    """The flags of every code point, by the Unicode version of the running Python and the installed spaCy."""
    from spacy.pipeline import Sentencizer

    common = characters.flags()
    table = np.zeros(characters.CODE_POINTS, np.uint8)
    letters = np.arange(characters.CODE_POINTS, dtype=np.uint32).view("U1")
    pairs = (
        (SPACE, characters.SPACE),
        (BREAK, characters.BREAK),
        (DECIMAL, characters.DIGIT),
        (TERMINAL | SYMBOL, characters.TERMINAL),
    )
    for flag, other in pairs:
        table[common & other != 0] |= flag
    table[np.char.isalpha(letters)] |= ALPHABETIC
    table[characters.categories().astype("U1") == "P"] |= PUNCTUATION
    table[characters.code_points(CONTROLS)] |= SYMBOL
    table[[ord(character) for character in SYMBOLS]] |= SYMBOL
    table[[ord(character) for character in Sentencizer.default_punct_chars]] |= FULL_STOP
    return table


@njit(nogil=True, cache=True)
def decode(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Texts in UTF-8, which must be valid as in Arrow, to code points end to end and their bounds."""
    points = np.empty(offsets[-1] - offsets[0], np.uint32)
    bounds = np.empty(len(offsets), np.int64)
    size = 0
    for text in range(len(offsets) - 1):
        bounds[text] = size
        at, stop = offsets[text], offsets[text + 1]
        while at < stop:
            points[size], width = code_point(data, at)
            at += width
            size += 1
    bounds[-1] = size
    return points[:size], bounds


@njit(nogil=True, cache=True)
def encode(
    points: npt.NDArray[np.uint32], spans: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Spans of code points, shape (texts, 2), to UTF-8 and its offsets."""
    size = 0
    for text in range(len(spans)):
        size += 4 * (spans[text, 1] - spans[text, 0])
    data = np.empty(size, np.uint8)
    offsets = np.empty(len(spans) + 1, np.int64)
    at = 0
    for text in range(len(spans)):
        offsets[text] = at
        for point in points[spans[text, 0] : spans[text, 1]]:
            if point < 0x80:
                data[at] = point
                at += 1
                continue
            if point < 0x800:
                data[at] = 0xC0 | point >> 6
                at += 1
            else:
                if point < 0x10000:
                    data[at] = 0xE0 | point >> 12
                    at += 1
                else:
                    data[at] = 0xF0 | point >> 18
                    data[at + 1] = 0x80 | (point >> 12 & 0x3F)
                    at += 2
                data[at] = 0x80 | (point >> 6 & 0x3F)
                at += 1
            data[at] = 0x80 | (point & 0x3F)
            at += 1
    offsets[-1] = at
    return data[:at], offsets


@njit(nogil=True, cache=True)
def count(
    points: npt.NDArray[np.uint32],
    bounds: npt.NDArray[np.int64],
    words: Words,
    flags: npt.NDArray[np.uint8],
) -> npt.NDArray[np.int64]:
    """Every `Count` of every text: shape (texts, len(Count))."""
    texts = len(bounds) - 1
    longest = most = 0
    for text in range(texts):
        longest = max(longest, bounds[text + 1] - bounds[text])
        most = max(most, words.firsts[text + 1] - words.firsts[text])
    hashes = np.empty(most, np.uint64)
    joined = np.empty(most + 1, np.uint64)
    lengths = np.empty(most + 1, np.int64)
    powers = np.empty(longest + 1, np.uint64)
    powers[0] = ONE
    for i in range(longest):
        powers[i + 1] = powers[i] * BASE
    table = _table(max(most, longest + 1))
    counts = np.zeros((texts, COUNTS), np.int64)
    stamp = 0
    for text in range(texts):
        row = counts[text]
        start, stop = bounds[text], bounds[text + 1]
        newlines = _count_characters(points, start, stop, row)
        _count_lines(points, start, stop, flags, row)
        _count_pieces(points, start, stop, flags, newlines + 1, row, table, stamp)
        first, last = words.firsts[text], words.firsts[text + 1]
        size = last - first
        _count_words(
            points,
            words.starts[first:last],
            words.ends[first:last],
            flags,
            row,
            powers,
            hashes,
            joined,
            lengths,
        )
        _count_top(hashes, lengths, size, row, table, stamp + 2)
        _count_duplicated(joined, lengths, size, powers, row, table, stamp + 5)
        stamp += 11
    return counts


@njit(nogil=True, cache=True)
def _count_characters(points, start, stop, row):  # type: ignore[no-untyped-def]
    """Counts over the characters; returns how many line feeds there are."""
    hashes = ellipses = newlines = dots = 0
    for i in range(start, stop):
        point = points[i]
        hashes += point == HASH
        ellipses += point == ELLIPSIS
        newlines += point == NEWLINE
        dots = dots + 1 if point == POINT else 0
        if dots == 3:
            ellipses += 1
            dots = 0
    row[Count.CHARACTERS] = stop - start
    row[Count.HASHES] = hashes
    row[Count.ELLIPSES] = ellipses
    return newlines


@njit(nogil=True, cache=True)
def _count_lines(points, start, stop, flags, row):  # type: ignore[no-untyped-def]
    """Lines as str.splitlines has them, blank ones too, and what they begin and end with."""
    lines = bullets = ellipses = 0
    at = start
    while at < stop:
        first = at
        while at < stop and not flags[points[at]] & BREAK:
            at += 1
        last = at
        if at + 1 < stop and points[at] == RETURN and points[at + 1] == NEWLINE:
            at += 1
        at += 1
        first, last = _strip(points, first, last, flags)
        lines += 1
        if last > first:
            bullets += points[first] == BULLET or points[first] == DASH
            ellipses += points[last - 1] == ELLIPSIS or _ends_in_dots(points, first, last)
    row[Count.LINES] = lines
    row[Count.BULLET_LINES] = bullets
    row[Count.ELLIPSIS_LINES] = ellipses


@njit(nogil=True, cache=True)
def _count_pieces(points, start, stop, flags, most, row, table, stamp):  # type: ignore[no-untyped-def]
    """Pieces between runs of line feeds, and paragraphs of the stripped text, between runs of two or more."""
    at = start
    while True:
        first, value = at, ZERO
        while at < stop and points[at] != NEWLINE:
            value = value * BASE + np.uint64(points[at]) + ONE
            at += 1
        row[Count.PIECES] += 1
        if _seen(table, stamp, most, value):
            row[Count.DUPLICATE_PIECES] += 1
            row[Count.DUPLICATE_PIECE_CHARACTERS] += at - first
        if at == stop:
            break
        while at < stop and points[at] == NEWLINE:
            at += 1
    at, end = _strip(points, start, stop, flags)
    while True:
        first, value = at, ZERO
        while at < end and not (points[at] == NEWLINE and at + 1 < end and points[at + 1] == NEWLINE):
            value = value * BASE + np.uint64(points[at]) + ONE
            at += 1
        row[Count.PARAGRAPHS] += 1
        if _seen(table, stamp + 1, most, value):
            row[Count.DUPLICATE_PARAGRAPHS] += 1
            row[Count.DUPLICATE_PARAGRAPH_CHARACTERS] += at - first
        if at == end:
            break
        while at < end and points[at] == NEWLINE:
            at += 1


@njit(nogil=True, cache=True)
def _count_words(points, starts, ends, flags, row, powers, hashes, joined, lengths):  # type: ignore[no-untyped-def]
    """Counts over the words, the hash of each, and of all up to each: joined, with their length."""
    proper = proper_characters = alphabetic = stops = 0
    joined[0], lengths[0] = ZERO, 0
    for word in range(len(starts)):
        seen, unseen, value, packed = 0, 0, ZERO, 0
        for i in range(starts[word], ends[word]):
            point = points[i]
            seen |= flags[point]
            unseen |= ~flags[point]
            value = value * BASE + np.uint64(point) + ONE
            packed = packed << 8 | point & 0xFF if point < 0x80 else -1
        length = ends[word] - starts[word]
        if unseen & SYMBOL:
            proper += 1
            proper_characters += length
        alphabetic += seen & ALPHABETIC != 0
        if 2 <= length <= 4:
            for bit in range(len(PACKED_STOP_WORDS)):
                if packed == PACKED_STOP_WORDS[bit]:
                    stops |= 1 << bit
        hashes[word] = (value ^ value >> HALF) * MIX
        joined[word + 1] = joined[word] * powers[length] + value
        lengths[word + 1] = lengths[word] + length
    for bit in range(len(PACKED_STOP_WORDS)):
        row[Count.STOP_WORDS] += stops >> bit & 1
    row[Count.WORDS] = len(starts)
    row[Count.PROPER_WORDS] = proper
    row[Count.PROPER_WORD_CHARACTERS] = proper_characters
    row[Count.ALPHABETIC_WORDS] = alphabetic


@njit(nogil=True, cache=True)
def _count_top(hashes, lengths, words, row, table, stamp):  # type: ignore[no-untyped-def]
    """Characters of the most frequent n words, joined by spaces, times their occurrences; the first wins."""
    keys, stamps, tallies, firsts = table
    mask = _mask(words)
    for n in range(FIRST_TOP, LAST_TOP + 1):
        if words < n:
            return
        top, where = 0, 0
        for i in range(words - n + 1):
            key = hashes[i]
            for j in range(i + 1, i + n):
                key = key * BASE + hashes[j]
            slot = _slot(keys, stamps, stamp, mask, key)
            if stamps[slot] != stamp:
                stamps[slot], keys[slot], tallies[slot], firsts[slot] = stamp, key, 0, i
            tallies[slot] += 1
            if tallies[slot] > top or (tallies[slot] == top and firsts[slot] < where):
                top, where = tallies[slot], firsts[slot]
        row[Count.TOP_2_GRAM_CHARACTERS + n - FIRST_TOP] = (lengths[where + n] - lengths[where] + n - 1) * top
        stamp += 1


@njit(nogil=True, cache=True)
def _count_duplicated(joined, lengths, words, powers, row, table, stamp):  # type: ignore[no-untyped-def]
    """Characters of the runs of n words, joined by nothing, met before, read without overlap."""
    keys, stamps, _, _ = table
    mask = _mask(words)
    for n in range(FIRST_DUPLICATED, LAST_DUPLICATED + 1):
        total = i = 0
        while i <= words - n:
            length = lengths[i + n] - lengths[i]
            key = joined[i + n] - joined[i] * powers[length]
            slot = _slot(keys, stamps, stamp, mask, key)
            if stamps[slot] == stamp:
                total += length
                i += n
            else:
                stamps[slot], keys[slot] = stamp, key
                i += 1
        row[Count.DUPLICATE_5_GRAM_CHARACTERS + n - FIRST_DUPLICATED] = total
        stamp += 1


@njit(nogil=True, cache=True)
def count_lines(
    points: npt.NDArray[np.uint32],
    spans: npt.NDArray[np.int64],
    words: Words,
    flags: npt.NDArray[np.uint8],
) -> npt.NDArray[np.int64]:
    """Every `LineCount` of the texts at these spans, shape (texts, 2): shape (texts, len(LineCount))."""
    longest = 0
    for text in range(len(spans)):
        longest = max(longest, spans[text, 1] - spans[text, 0])
    table = _table(longest // 2 + 1)
    counts = np.zeros((len(spans), LINE_COUNTS), np.int64)
    for text in range(len(spans)):
        row = counts[text]
        row[LineCount.WORDS] = words.firsts[text + 1] - words.firsts[text]
        at, stop = spans[text]
        size = (stop - at) // 2 + 1
        while at <= stop:
            first, value, blank = at, ZERO, True
            while at < stop and points[at] != NEWLINE:
                value = value * BASE + np.uint64(points[at]) + ONE
                blank &= flags[points[at]] & SPACE != 0
                at += 1
            row[LineCount.CHARACTERS] += at - first
            row[LineCount.NEWLINES] += at < stop
            if not blank:
                row[LineCount.LINES] += 1
                row[LineCount.TERMINAL_LINES] += flags[points[at - 1]] & TERMINAL != 0
                row[LineCount.SHORT_LINES] += at - first <= SHORT_LINE
                if _seen(table, text + 1, size, value):
                    row[LineCount.DUPLICATE_LINE_CHARACTERS] += at - first
            at += 1
    return counts


@njit(nogil=True, cache=True)
def edit(
    points: npt.NDArray[np.uint32],
    bounds: npt.NDArray[np.int64],
    flags: npt.NDArray[np.uint8],
    terminal: bool,
) -> Edited:
    """C4's editor over the lines of every text; `terminal` removes lines without a mark that ends them.

    A text that it gives up on, for placeholder text or a curly bracket, stays as it was.
    """
    texts = len(bounds) - 1
    out = np.empty(len(points) + texts, np.uint32)
    out_bounds = np.empty(texts + 1, np.int64)
    trimmed = np.empty((texts, 2), np.int64)
    lines = np.empty((len(points) // 2 + 1, 2), np.int64)
    origins = np.empty(len(lines), np.int64)
    firsts = np.empty(texts + 1, np.int64)
    counts = np.zeros((texts, EDIT_COUNTS), np.int64)
    size = kept = 0
    for text in range(texts):
        row = counts[text]
        begin, first_line = size, kept
        out_bounds[text], firsts[text] = begin, kept
        at, stop = bounds[text], bounds[text + 1]
        while at < stop:
            first = at
            while at < stop and not flags[points[at]] & BREAK:
                at += 1
            first, last = _strip(points, first, at, flags)
            if at + 1 < stop and points[at] == RETURN and points[at + 1] == NEWLINE:
                at += 1
            at += 1
            words, longest = _split(points, first, last, flags)
            if longest > LONGEST_WORD:
                row[EditCount.LONG_WORD_LINES] += 1
                continue
            start = size + (kept > first_line)
            end, citations = _without_citations(points, first, last, flags, out, start)
            row[EditCount.CITATIONS] += citations
            if terminal and not _ends_a_sentence(out, start, end):
                row[EditCount.UNPUNCTUATED_LINES] += 1
                continue
            if words < FEWEST_WORDS:
                row[EditCount.SHORT_LINES] += 1
                continue
            lorem, javascript, brace, policy = _phrases(out, start, end)
            if lorem:
                row[EditCount.LOREM_IPSUM] = 1
                break
            if javascript:
                row[EditCount.JAVASCRIPT_LINES] += 1
                continue
            if brace:
                row[EditCount.CURLY_BRACKET] = 1
                break
            if policy:
                row[EditCount.POLICY_LINES] += 1
                continue
            if kept > first_line:
                out[size] = NEWLINE
            lines[kept, 0], lines[kept, 1], origins[kept] = start, end, first
            kept += 1
            size = end
        if row[EditCount.LOREM_IPSUM] or row[EditCount.CURLY_BRACKET]:
            size, kept = begin, first_line
            for i in range(bounds[text], stop):
                out[size] = points[i]
                size += 1
            trimmed[text, 0], trimmed[text, 1] = begin, size
        else:
            trimmed[text] = _strip(out, begin, size, flags)
        row[EditCount.KEPT_LINES] = kept - first_line
    out_bounds[texts], firsts[texts] = size, kept
    return Edited(out[:size], out_bounds, trimmed, lines[:kept], origins[:kept], firsts, counts)


@njit(nogil=True, cache=True)
def carry_words(edited: Edited, bounds: npt.NDArray[np.int64], words: Words, cut: Words) -> Words:
    """The words of edited texts, from those of the texts before; no word reaches beyond its line.

    Args:
        bounds: Where each text started before.
        words: The words of the texts before.
        cut: Of each text that lost a citation its words, counted from where it starts; of the others none.
    """
    texts = len(bounds) - 1
    starts = np.empty(len(words.starts) + len(cut.starts), np.int64)
    ends = np.empty(len(starts), np.int64)
    firsts = np.empty(texts + 1, np.int64)
    size = 0
    for text in range(texts):
        firsts[text] = size
        row, begin = edited.counts[text], edited.bounds[text]
        word, last = words.firsts[text], words.firsts[text + 1]
        if row[EditCount.LOREM_IPSUM] or row[EditCount.CURLY_BRACKET]:
            shift = begin - bounds[text]
            for i in range(word, last):
                starts[size], ends[size] = words.starts[i] + shift, words.ends[i] + shift
                size += 1
        elif row[EditCount.CITATIONS]:
            for i in range(cut.firsts[text], cut.firsts[text + 1]):
                starts[size], ends[size] = cut.starts[i] + begin, cut.ends[i] + begin
                size += 1
        else:
            for line in range(edited.firsts[text], edited.firsts[text + 1]):
                start, end = edited.lines[line]
                origin = edited.origins[line]
                shift = start - origin
                while word < last and words.starts[word] < origin:
                    word += 1
                while word < last and words.starts[word] + shift < end:
                    starts[size], ends[size] = words.starts[word] + shift, words.ends[word] + shift
                    size += 1
                    word += 1
    firsts[texts] = size
    return Words(starts[:size], ends[:size], firsts)


@njit(nogil=True, cache=True)
def count_sentences(edited: Edited, words: Words, flags: npt.NDArray[np.uint8]) -> None:
    """Enter in the counts the sentences of the kept lines, each line read as a text of its own.

    A sentence ends before the first word after a full stop that is no punctuation; white space that spaCy
    keeps as a token, which is all but single spaces between words, counts as such a word.
    """
    points = edited.points
    for text in range(len(edited.bounds) - 1):
        word, last = words.firsts[text], words.firsts[text + 1]
        sentences = 0
        for line in range(edited.firsts[text], edited.firsts[text + 1]):
            at, stop = edited.lines[line]
            ended = False
            sentences += 1
            while word < last and words.starts[word] < stop:
                start, end = words.starts[word], words.ends[word]
                if ended and start > at and (start > at + 1 or points[at] != BLANK):
                    sentences += 1
                    ended = False
                punctuation = True
                for i in range(start, end):
                    punctuation &= flags[points[i]] & PUNCTUATION != 0
                full_stop = end == start + 1 and flags[points[start]] & FULL_STOP != 0
                if ended and not punctuation and not full_stop:
                    sentences += 1
                    ended = False
                elif full_stop:
                    ended = True
                at = end
                word += 1
            if ended and stop > at and (stop > at + 1 or points[at] != BLANK):
                sentences += 1
        edited.counts[text, EditCount.SENTENCES] = sentences


@njit(nogil=True, cache=True)
def _split(points, start, stop, flags):  # type: ignore[no-untyped-def]
    """How many pieces white space leaves, and the length of the longest."""
    pieces = longest = length = 0
    for i in range(start, stop):
        if flags[points[i]] & SPACE:
            length = 0
        else:
            pieces += length == 0
            length += 1
            longest = max(longest, length)
    return pieces, longest


@njit(nogil=True, cache=True)
def _without_citations(points, start, stop, flags, out, size):  # type: ignore[no-untyped-def]
    """Copy a line without `[1]`, `[]`, `[edit]`, `[citation needed]`; returns the copy's end and how many."""
    at, citations = start, 0
    while at < stop:
        end = at
        if points[at] == OPEN:
            close = at + 1
            while close < stop and flags[points[close]] & DECIMAL:
                close += 1
            if close < stop and points[close] == CLOSE:
                end = close + 1
            elif _stands(points, at, stop, EDIT, False):
                end = at + len(EDIT)
            elif _stands(points, at, stop, CITATION_NEEDED, False):
                end = at + len(CITATION_NEEDED)
        if end > at:
            citations += 1
            at = end
        else:
            out[size] = points[at]
            size += 1
            at += 1
    return size, citations


@njit(nogil=True, cache=True)
def _ends_a_sentence(points, start, stop):  # type: ignore[no-untyped-def]
    if stop == start:
        return False
    last = points[stop - 1]
    if last == POINT:
        return not _ends_in_dots(points, start, stop)
    return last == QUESTION or last == EXCLAMATION or last == QUOTE or last == APOSTROPHE


@njit(nogil=True, cache=True)
def _ends_in_dots(points, start, stop):  # type: ignore[no-untyped-def]
    if stop - start < 3:
        return False
    return points[stop - 1] == POINT and points[stop - 2] == POINT and points[stop - 3] == POINT


@njit(nogil=True, cache=True)
def _phrases(points, start, stop):  # type: ignore[no-untyped-def]
    """Whether a line holds placeholder text, javascript, a curly bracket, a phrase about policies."""
    lorem = javascript = brace = policy = False
    for i in range(start, stop):
        point = _lower(points[i])
        if point == ord("l"):
            lorem |= _stands(points, i, stop, LOREM_IPSUM, True)
        elif point == ord("j"):
            javascript |= _stands(points, i, stop, JAVASCRIPT, True)
        elif point == BRACE:
            brace = True
        elif point == ord("t"):
            policy |= _stands(points, i, stop, TERMS_OF_USE, True)
        elif point == ord("p"):
            policy |= _stands(points, i, stop, PRIVACY_POLICY, True)
        elif point == ord("c"):
            policy |= _stands(points, i, stop, COOKIE_POLICY, True)
        elif point == ord("u"):
            policy |= (
                _stands(points, i, stop, USES_COOKIES, True)
                or _stands(points, i, stop, USE_OF_COOKIES, True)
                or _stands(points, i, stop, USE_COOKIES, True)
            )
    return lorem, javascript, brace, policy


@njit(nogil=True, cache=True)
def _lower(point):  # type: ignore[no-untyped-def]
    """The ASCII character that lower-casing gives; the Kelvin sign is the one other that gives a letter."""
    if point == KELVIN:
        return np.uint32(SMALL_K)
    return np.uint32(point + 32) if 0x41 <= point <= 0x5A else np.uint32(point)


@njit(nogil=True, cache=True)
def _stands(points, start, stop, wanted, either_case):  # type: ignore[no-untyped-def]
    """Whether a lower-case ASCII phrase stands at a place."""
    if start + len(wanted) > stop:
        return False
    for i in range(len(wanted)):
        point = points[start + i]
        if point != wanted[i] and not (either_case and _lower(point) == wanted[i]):
            return False
    return True


@njit(nogil=True, cache=True)
def _strip(points, start, stop, flags):  # type: ignore[no-untyped-def]
    while start < stop and flags[points[start]] & SPACE:
        start += 1
    while stop > start and flags[points[stop - 1]] & SPACE:
        stop -= 1
    return start, stop


@njit(nogil=True, cache=True)
def _table(members):  # type: ignore[no-untyped-def]
    """An open-addressing table for so many members; an older stamp than the one in use means free."""
    slots = _mask(members) + ONE
    return (
        np.empty(slots, np.uint64),
        np.full(slots, -1, np.int64),
        np.empty(slots, np.int64),
        np.empty(slots, np.int64),
    )


@njit(nogil=True, cache=True)
def _mask(members):  # type: ignore[no-untyped-def]
    """The size, less one, of a table that so many members leave at most half full: a power of two."""
    slots = 4
    while slots < 2 * members:
        slots *= 2
    return np.uint64(slots - 1)


@njit(nogil=True, cache=True)
def _slot(keys, stamps, stamp, mask, key):  # type: ignore[no-untyped-def]
    slot = (key ^ key >> HALF) * MIX >> HALF & mask
    while stamps[slot] == stamp and keys[slot] != key:
        slot = slot + ONE & mask
    return slot


@njit(nogil=True, cache=True)
def _seen(table, stamp, members, key):  # type: ignore[no-untyped-def]
    """Whether a key was met under this stamp before; it has been from now on."""
    keys, stamps, _, _ = table
    slot = _slot(keys, stamps, stamp, _mask(members), key)
    if stamps[slot] == stamp:
        return True
    stamps[slot], keys[slot] = stamp, key
    return False
