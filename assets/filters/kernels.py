"""The counts behind every signal: one pass over the Arrow buffers, compiled, without the interpreter lock.

A document is decoded once into code points and their flags; words, lines and repetition are then counted
over those, and what nobody asked for is left out (`Pass`). Everything a kernel returns is a whole number, so
signals.py can say what each signal means by naming a numerator and a denominator. What the C4 and RefinedWeb
editors would do to a line is decided by the same code whether it is counted or done.

All of it is one file because numba's cache watches only the file that a compiled function stands in: a count
that moved in another file would leave compiled code writing to the old place. For the same reason a changed
flag in characters.py or mark in phrases.py needs an edit here. Only `code_point` stands elsewhere: UTF-8
doesn't change.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np
import numpy.typing as npt
from numba import njit

from assets.filters.buffers import code_point
from assets.filters.characters import (
    ARABIC,
    BREAK,
    BULLET,
    CLOSING,
    CONTROL,
    CYRILLIC,
    DASH,
    DIGIT,
    EMOJI,
    HAN,
    HANGUL,
    INVISIBLE,
    KANA,
    LATIN,
    LETTER,
    NAMED,
    QUOTING,
    SPACE,
    STOP,
    SYMBOL,
    TERMINAL,
    TRAILING,
    UNASSIGNED,
    UNSPACED,
    UPPER,
)
from assets.filters.phrases import NONE, Automaton, Mark, Match

SHORT_LINE = 30
FIRST_TOP, LAST_TOP = 2, 4
FIRST_DUPLICATED, LAST_DUPLICATED = 5, 10

# C4's limits of a line, in characters and words, and RefinedWeb's in words.
LONG_WORD, FEW_WORDS = 1000, 3
SHORT_LINE_WORDS = 10

# Hashes are polynomials modulo 2^64, over code points and, of runs of words, over the hashes of the words.
BASE = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xD6E8FEB86659FD93)
ONE = np.uint64(1)
ZERO = np.uint64(0)
HALF = np.uint64(32)
FREE = np.uint64(0)
BASE_2, BASE_3, BASE_4 = (np.uint64(int(BASE) ** n % 2**64) for n in (2, 3, 4))
# From this many characters on a text is read in four parts at once.
PARTED = 1024

HASH, POINT, BRACE, REPLACEMENT, NEWLINE, RETURN, ELLIPSIS = (ord(c) for c in "#.{\ufffd\n\r…")
COLON, SLASH, BRACKET, BRACKET_END, ZERO_DIGIT = (ord(c) for c in ":/[]0")


class Count(IntEnum):
    """What is counted in each document, in the order of the columns; the counts of a `Pass` stand together."""

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
    LATIN = 13
    HAN = 14
    KANA = 15
    HANGUL = 16
    CYRILLIC = 17
    ARABIC = 18
    MAIN_SCRIPT = 19
    EMOJIS = 20
    INVISIBLES = 21
    UNASSIGNED = 22
    MOJIBAKE = 23
    WORDS = 24
    WORD_CHARACTERS = 25
    LONGEST_WORD = 26
    LETTER_WORDS = 27
    NON_SYMBOL_WORDS = 28
    STOP_WORDS = 29
    URL_WORDS = 30
    LOREM_IPSUM = 31
    UNIQUE_WORDS = 32
    TOP_2_GRAM_CHARACTERS = 33
    TOP_3_GRAM_CHARACTERS = 34
    TOP_4_GRAM_CHARACTERS = 35
    DUPLICATE_5_GRAM_CHARACTERS = 36
    DUPLICATE_6_GRAM_CHARACTERS = 37
    DUPLICATE_7_GRAM_CHARACTERS = 38
    DUPLICATE_8_GRAM_CHARACTERS = 39
    DUPLICATE_9_GRAM_CHARACTERS = 40
    DUPLICATE_10_GRAM_CHARACTERS = 41
    LINES = 42
    LINE_CHARACTERS = 43
    LONGEST_LINE = 44
    BULLET_LINES = 45
    ELLIPSIS_LINES = 46
    TERMINAL_LINES = 47
    SHORT_LINES = 48
    SENTENCES = 49
    PARAGRAPHS = 50
    DUPLICATE_LINES = 51
    DUPLICATE_LINE_CHARACTERS = 52
    DUPLICATE_PARAGRAPHS = 53
    DUPLICATE_PARAGRAPH_CHARACTERS = 54
    JAVASCRIPT_LINES = 55
    POLICY_LINES = 56
    BOILERPLATE_LINES = 57
    CITATIONS = 58
    BAD_WORDS_EN = 59
    BAD_WORDS_KO = 60
    C4_LONG_WORD_LINES = 61
    C4_UNTERMINATED_LINES = 62
    C4_FEW_WORD_LINES = 63
    C4_JAVASCRIPT_LINES = 64
    C4_POLICY_LINES = 65
    C4_REMOVED_CHARACTERS = 66
    C4_SENTENCES = 67
    REFINEDWEB_UPPERCASE_LINES = 68
    REFINEDWEB_NUMERIC_LINES = 69
    REFINEDWEB_COUNTER_LINES = 70
    REFINEDWEB_ONE_WORD_LINES = 71
    REFINEDWEB_PHRASE_LINES = 72
    REFINEDWEB_REMOVED_CHARACTERS = 73
    BYTES = 74
    COMPRESSED_BYTES = 75


COUNTS = len(Count)


class Pass(IntFlag):
    """A part of the work that can be left out."""

    CHARACTERS = 1 << 0
    SCRIPTS = 1 << 1
    WORDS = 1 << 2
    UNIQUE = 1 << 3
    GRAMS = 1 << 4
    LINES = 1 << 5
    DUPLICATES = 1 << 6
    PHRASES = 1 << 7
    C4 = 1 << 8
    REFINEDWEB = 1 << 9
    COMPRESSION = 1 << 10


# Each pass and the last of its counts. How many characters there are is known without any.
LAST_COUNTS = (
    (Pass(0), Count.CHARACTERS),
    (Pass.CHARACTERS, Count.NEITHER_LETTERS_NOR_SPACES),
    (Pass.SCRIPTS, Count.MOJIBAKE),
    (Pass.WORDS, Count.LOREM_IPSUM),
    (Pass.UNIQUE, Count.UNIQUE_WORDS),
    (Pass.GRAMS, Count.DUPLICATE_10_GRAM_CHARACTERS),
    (Pass.LINES, Count.PARAGRAPHS),
    (Pass.DUPLICATES, Count.DUPLICATE_PARAGRAPH_CHARACTERS),
    (Pass.PHRASES, Count.BAD_WORDS_KO),
    (Pass.C4, Count.C4_SENTENCES),
    (Pass.REFINEDWEB, Count.REFINEDWEB_REMOVED_CHARACTERS),
    (Pass.COMPRESSION, Count.COMPRESSED_BYTES),
)


def pass_of(count: Count) -> Pass:
    """The pass that counts it."""
    return next(each for each, last in LAST_COUNTS if count <= last)


WORD_PASSES = int(Pass.WORDS | Pass.UNIQUE | Pass.GRAMS | Pass.C4 | Pass.REFINEDWEB)
LINE_PASSES = int(Pass.LINES | Pass.DUPLICATES | Pass.PHRASES | Pass.C4 | Pass.REFINEDWEB)
SCAN_PASSES = int(Pass.PHRASES | Pass.C4 | Pass.REFINEDWEB)
_CHARACTERS, _SCRIPTS, _UNIQUE, _GRAMS, _LINES, _DUPLICATES, _PHRASES, _C4, _REFINEDWEB = (
    int(each)
    for each in (
        Pass.CHARACTERS,
        Pass.SCRIPTS,
        Pass.UNIQUE,
        Pass.GRAMS,
        Pass.LINES,
        Pass.DUPLICATES,
        Pass.PHRASES,
        Pass.C4,
        Pass.REFINEDWEB,
    )
)


class LineRule(IntEnum):
    """Why an editor removes a line, or cuts something out of it, in the order in which the rules are asked."""

    CITATION = 0
    C4_LONG_WORD = 1
    C4_UNTERMINATED = 2
    C4_FEW_WORDS = 3
    C4_JAVASCRIPT = 4
    C4_POLICY = 5
    REFINEDWEB_UPPERCASE = 6
    REFINEDWEB_NUMERIC = 7
    REFINEDWEB_COUNTER = 8
    REFINEDWEB_ONE_WORD = 9
    REFINEDWEB_PHRASE = 10


(
    CITATION_RULE,
    C4_LONG_WORD_RULE,
    C4_UNTERMINATED_RULE,
    C4_FEW_WORDS_RULE,
    C4_JAVASCRIPT_RULE,
    C4_POLICY_RULE,
    REFINEDWEB_UPPERCASE_RULE,
    REFINEDWEB_NUMERIC_RULE,
    REFINEDWEB_COUNTER_RULE,
    REFINEDWEB_ONE_WORD_RULE,
    REFINEDWEB_PHRASE_RULE,
) = (int(rule) for rule in LineRule)

# What the reading of a line for phrases finds: bits of its marks, counts, and the first place of each cut.
FOUND_MARKS, FOUND_CITATIONS, FOUND_BAD_EN, FOUND_BAD_KO = range(4)
FOUND_START, FOUND_END, FOUND_WITHIN, FOUND_WITHIN_END = range(4, 8)
FOUND = 8
_JAVASCRIPT, _POLICY, _BOILERPLATE, _COUNTER, _START, _END, _WITHIN, _BAD_EN, _BAD_KO, _CITATION = (
    int(mark) for mark in Mark
)
_SUBSTRING, _WORD = int(Match.SUBSTRING), int(Match.WORD)
CUTS = 1 << _START | 1 << _END | 1 << _WITHIN


def _packed(word: str) -> int:
    return int.from_bytes(word.encode(), "big")


STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
# The first table size that gives each stop word a place of its own.
STOP_SLOTS = next(
    n for n in range(1, 1000) if len({_packed(word) % n for word in STOP_WORDS}) == len(STOP_WORDS)
)
STOP_WORDS_AT, STOP_BITS = np.zeros(STOP_SLOTS, np.int64), np.zeros(STOP_SLOTS, np.int64)
for _bit, _stop_word in enumerate(STOP_WORDS):
    STOP_WORDS_AT[_packed(_stop_word) % STOP_SLOTS] = _packed(_stop_word)
    STOP_BITS[_packed(_stop_word) % STOP_SLOTS] = 1 << _bit
LOREM_IPSUM = np.array([ord(c) for c in "lorem ipsum"], np.uint32)
WWW = np.array([ord(c) for c in "www."], np.uint32)
EDIT = np.array([ord(c) for c in "[edit]"], np.uint32)
CITATION_NEEDED = np.array([ord(c) for c in "[citation needed]"], np.uint32)


@njit(nogil=True, cache=True)
def count(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    flags: npt.NDArray[np.uint16],
    scripts: npt.NDArray[np.uint8],
    phrases: Automaton,
    passes: int,
) -> npt.NDArray[np.int64]:
    """Every `Count` of the passes, of every document: an array of shape (documents, COUNTS), 0 elsewhere.

    Args:
        data: The UTF-8 bytes of all documents; must be valid.
        offsets: Where each document starts in `data`, and where the last one ends; shape (documents + 1,).
        flags: The flags of every code point (characters.flags).
        scripts: The script of every code point (characters.scripts).
        phrases: What phrases.automaton() gives.
        passes: The `Pass`es wanted, as one number.
    """
    documents = len(offsets) - 1
    longest = 0
    for document in range(documents):
        longest = max(longest, offsets[document + 1] - offsets[document])
    points = np.empty(longest, np.uint32)
    kinds = np.empty(longest, np.uint16)
    most = longest // 2 + 1
    words = np.empty(most, np.uint64), np.empty(most, np.int32), np.empty(most, np.int32)
    hits = np.empty(longest, np.int32), np.empty(longest, np.int32)
    grams = np.empty(most, np.uint64), np.empty(most, np.int32), np.empty(most, np.int32)
    slots = _slots_for(most)
    keys, stamps = np.empty(slots, np.uint64), np.zeros(slots, np.int64)
    tallies = np.empty(slots, np.uint64), np.empty(slots, np.int32), np.empty(slots, np.int32)
    found = np.zeros(FOUND, np.int64)
    counts = np.zeros((documents, COUNTS), np.int64)
    for document in range(documents):
        row = counts[document]
        stamp = document + 1
        start, stop = offsets[document], offsets[document + 1]
        size = _decode(data, start, stop, flags, points, kinds)
        row[Count.CHARACTERS] = size
        if passes & _CHARACTERS:
            _count_characters(points, kinds, size, row)
        if passes & _SCRIPTS:
            _count_scripts(points, kinds, size, size == stop - start, scripts, row)
        number = _count_words(points, kinds, size, row, words) if passes & WORD_PASSES else 0
        if passes & LINE_PASSES:
            marked = _find(points, size, phrases, hits) if passes & SCAN_PASSES else 0
            _count_lines(
                points,
                kinds,
                size,
                row,
                words,
                number,
                (keys, stamps),
                stamp,
                phrases,
                hits,
                marked,
                found,
                passes,
            )
        if passes & (_UNIQUE | _GRAMS):
            _count_grams(words, number, row, grams, tallies, passes & _GRAMS != 0)
    return counts


@njit(nogil=True, cache=True)
def edit(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    flags: npt.NDArray[np.uint16],
    phrases: Automaton,
    rules: int,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """The documents with lines removed, or parts of them cut out, by `LineRule`s (bits of `rules`).

    Returns:
        The bytes left; where each document starts in them (documents + 1); where each document's edits start
        (documents + 1); and the edits: number of the line from 1, rule, characters taken; shape (edits, 3).
    """
    documents = len(offsets) - 1
    longest = 0
    for document in range(documents):
        longest = max(longest, offsets[document + 1] - offsets[document])
    points = np.empty(longest, np.uint32)
    kinds = np.empty(longest, np.uint16)
    kept = np.empty(longest, np.bool_)
    most = longest // 2 + 1
    words = np.empty(most, np.uint64), np.empty(most, np.int32), np.empty(most, np.int32)
    hits = np.empty(longest, np.int32), np.empty(longest, np.int32)
    found = np.zeros(FOUND, np.int64)
    row = np.empty(COUNTS, np.int64)
    left = np.empty(offsets[documents] - offsets[0], np.uint8)
    bounds = np.zeros(documents + 1, np.int64)
    edits = np.empty((64, 3), np.int32)
    edit_bounds = np.zeros(documents + 1, np.int64)
    made = taken = 0
    for document in range(documents):
        size = _decode(data, offsets[document], offsets[document + 1], flags, points, kinds)
        kept[:size] = True
        row[:] = 0
        number = _count_words(points, kinds, size, row, words)
        marked = _find(points, size, phrases, hits)
        word = hit = line = start = 0
        while start < size:
            first, last, following = _line(points, kinds, size, start)
            line += 1
            if first == last:
                start = following
                continue
            line_words, word, long_word = _words_of(words, number, word, last)
            # A line can have its citations cut and then be removed or cut for another reason.
            if made + 2 > len(edits):
                edits = _doubled(edits)
            hit = _read(points, kinds, first, last, phrases, hits, hit, marked, found)
            if rules >> CITATION_RULE & 1 and found[FOUND_CITATIONS]:
                edits[made] = line, CITATION_RULE, _cut_citations(points, kinds, first, last, kept)
                made += 1
            rule = _c4_rule(points, kinds, first, last, line_words, long_word, found, rules)
            if rule < 0:
                rule = _refinedweb_rule(kinds, first, last, line_words, found, rules)
            if rule == REFINEDWEB_PHRASE_RULE:
                edits[made] = line, rule, _cut_phrases(kinds, first, last, found, kept)
                made += 1
                gone = not _anything_left(kinds, first, last, kept)
            elif rule >= 0:
                edits[made] = line, rule, np.sum(kept[first:last])
                made += 1
                gone = True
            else:
                gone = rules >> CITATION_RULE & 1 and not _anything_left(kinds, first, last, kept)
            if gone:
                kept[start:following] = False
            start = following
        at = offsets[document]
        for i in range(size):
            width = _width(points[i])
            if kept[i]:
                left[taken : taken + width] = data[at : at + width]
                taken += width
            at += width
        bounds[document + 1] = taken
        edit_bounds[document + 1] = made
    return left[:taken].copy(), bounds, edit_bounds, edits[:made].copy()


@njit(nogil=True, cache=True)
def _width(point):  # type: ignore[no-untyped-def]
    """How many bytes a code point takes in UTF-8."""
    return 1 + (point >= 0x80) + (point >= 0x800) + (point >= 0x10000)


@njit(nogil=True, cache=True)
def _doubled(edits):  # type: ignore[no-untyped-def]
    larger = np.empty((2 * len(edits), 3), np.int32)
    larger[: len(edits)] = edits
    return larger


@njit(nogil=True, cache=True)
def _decode(data, start, stop, flags, points, kinds):  # type: ignore[no-untyped-def]
    """UTF-8 to code points and their flags; returns how many."""
    size = 0
    at = start
    # Most texts begin in ASCII, and many never leave it.
    while at < stop and data[at] < 0x80:
        points[size] = data[at]
        kinds[size] = flags[data[at]]
        size += 1
        at += 1
    while at < stop:
        point, width = code_point(data, at)
        at += width
        points[size] = point
        kinds[size] = flags[point]
        size += 1
    return size


@njit(nogil=True, cache=True)
def _count_characters(points, kinds, size, row):  # type: ignore[no-untyped-def]
    # Sums of 32 bits, because numba would widen them to 64 and halve what the processor adds at once.
    zero = np.int32(0)
    letters = uppers = digits = spaces = symbols = controls = neither = zero
    for i in range(size):
        kind = kinds[i]
        letters = np.int32(letters + ((kind & LETTER) != 0))
        uppers = np.int32(uppers + ((kind & UPPER) != 0))
        digits = np.int32(digits + ((kind & DIGIT) != 0))
        spaces = np.int32(spaces + ((kind & SPACE) != 0))
        symbols = np.int32(symbols + ((kind & SYMBOL) != 0))
        controls = np.int32(controls + ((kind & CONTROL) != 0))
        neither = np.int32(neither + ((kind & (LETTER | SPACE)) == 0))
    replacements = braces = hashes = ellipses = newlines = triples = zero
    for i in range(size):
        point = points[i]
        replacements = np.int32(replacements + (point == REPLACEMENT))
        braces = np.int32(braces + (point == BRACE))
        hashes = np.int32(hashes + (point == HASH))
        newlines = np.int32(newlines + (point == NEWLINE))
        ellipses = np.int32(ellipses + (point == ELLIPSIS))
    for i in range(size - 2):
        triples = np.int32(
            triples + ((points[i] == POINT) & (points[i + 1] == POINT) & (points[i + 2] == POINT))
        )
    if triples:
        ellipses += _count_dots(points, size)
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
def _count_dots(points, size):  # type: ignore[no-untyped-def]
    """Three full stops in a row, counted without overlap."""
    ellipses = dots = 0
    for i in range(size):
        dots = dots + 1 if points[i] == POINT else 0
        if dots == 3:
            ellipses += 1
            dots = 0
    return ellipses


@njit(nogil=True, cache=True)
def _count_scripts(points, kinds, size, ascii, scripts, row):  # type: ignore[no-untyped-def]
    """Letters by script, characters that are no text, and UTF-8 that was read as Latin-1 or Windows-1252."""
    if ascii:
        letters = np.int32(0)
        for i in range(size):
            letters = np.int32(letters + ((kinds[i] & LETTER) != 0))
        row[Count.LATIN] = row[Count.MAIN_SCRIPT] = letters
        return
    tally = np.zeros(256, np.int64)
    mojibake = skip = 0
    for i in range(size):
        tally[scripts[points[i]]] += 1
        # The two-byte leads of Latin, Greek, Cyrillic, Hebrew and Arabic, then the three-byte ones.
        if skip > 0:
            skip -= 1
        elif 0xC2 <= points[i] <= 0xEF:
            skip = _mojibake(points, kinds, size, i)
            mojibake += skip > 0
    row[Count.LATIN] = tally[LATIN]
    row[Count.HAN] = tally[HAN]
    row[Count.KANA] = tally[KANA]
    row[Count.HANGUL] = tally[HANGUL]
    row[Count.CYRILLIC] = tally[CYRILLIC]
    row[Count.ARABIC] = tally[ARABIC]
    # Japanese is written in both.
    main = tally[HAN] + tally[KANA]
    for script in range(1, EMOJI):
        main = max(main, tally[script])
    row[Count.MAIN_SCRIPT] = main
    row[Count.EMOJIS] = tally[EMOJI]
    row[Count.INVISIBLES] = tally[INVISIBLE]
    row[Count.UNASSIGNED] = tally[UNASSIGNED]
    row[Count.MOJIBAKE] = mojibake


@njit(nogil=True, cache=True)
def _mojibake(points, kinds, size, i):  # type: ignore[no-untyped-def]
    """How many characters after this one complete a misread UTF-8 sequence; 0 where none does.

    Real text has é before a closing quotation mark, and À before a no-break space and another; so only Â and
    Ã, the commonest, count with any one character behind, and two other pairs must follow each other.
    """
    if i + 1 >= size or not kinds[i + 1] & TRAILING:
        return 0
    lead = points[i]
    if lead <= 0xC3:
        return 1
    if i + 2 >= size:
        return 0
    if lead >= 0xE0:
        return 2 if kinds[i + 2] & TRAILING and not kinds[i + 1] & QUOTING else 0
    pair = 0xC2 <= points[i + 2] <= 0xDF and i + 3 < size and kinds[i + 3] & TRAILING != 0
    return 3 if pair and not kinds[i + 1] & QUOTING else 0


@njit(nogil=True, cache=True)
def _count_words(points, kinds, size, row, words):  # type: ignore[no-untyped-def]
    """Counts over the words, and of each its hash, start and end; returns how many.

    White space ends a word. In a script without spaces a character is a word with the punctuation and marks
    behind it; punctuation before it belongs to it too.
    """
    hashes, starts, ends = words
    number = characters = longest = letter_words = non_symbol_words = urls = lorems = stops = 0
    start = 0
    while start < size:
        if kinds[start] & SPACE:
            start += 1
            continue
        end = start
        value = ZERO
        letters = packed = non_symbol = 0
        barrier = SPACE | UNSPACED
        url = points[start] | 0x20 == WWW[0] and _matches(points, size, start, WWW)
        while end < size:
            point, kind = points[end], kinds[end]
            if kind & barrier:
                if kind & SPACE or barrier & NAMED or _any_named(kinds, start, end):
                    break
                barrier |= NAMED
            value = value * BASE + np.uint64(point)
            non_symbol |= ~kind & SYMBOL
            if kind & LETTER:
                letters += 1
                # The lower case of an ASCII letter; another has a bit that none of the stop words has.
                packed = packed << 8 | (point & 0x7F) | 0x20 | (point >= 0x80) << 7
            elif point == COLON and end + 2 < size and points[end + 1] == SLASH and points[end + 2] == SLASH:
                url = url or (end > start and kinds[end - 1] & LETTER != 0)
            end += 1
        if 2 <= letters <= 4:
            stops |= STOP_BITS[packed % STOP_SLOTS] if STOP_WORDS_AT[packed % STOP_SLOTS] == packed else 0
        if points[start] | 0x20 == LOREM_IPSUM[0]:
            lorems += _matches(points, size, start, LOREM_IPSUM)
        urls += url
        letter_words += letters > 0
        non_symbol_words += non_symbol != 0
        length = end - start
        longest = max(longest, length)
        characters += length
        hashes[number], starts[number], ends[number] = (value + np.uint64(length)) * MIX, start, end
        number += 1
        start = end
    for bit in range(len(STOP_WORDS)):
        row[Count.STOP_WORDS] += stops >> bit & 1
    row[Count.WORDS] = number
    row[Count.WORD_CHARACTERS] = characters
    row[Count.LONGEST_WORD] = longest
    row[Count.LETTER_WORDS] = letter_words
    row[Count.NON_SYMBOL_WORDS] = non_symbol_words
    row[Count.URL_WORDS] = urls
    row[Count.LOREM_IPSUM] = lorems
    return number


@njit(nogil=True, cache=True)
def _line(points, kinds, size, start):  # type: ignore[no-untyped-def]
    """Of the line that starts there: where it begins and ends without white space, and the next one's start."""
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
    return first, last, following


@njit(nogil=True, cache=True)
def _count_lines(points, kinds, size, row, words, number, table, stamp, phrases, hits, marked, found, passes):  # type: ignore[no-untyped-def]
    """Counts over the lines that are not blank, stripped, and over the paragraphs between blank lines."""
    lines = characters = longest = bullets = ellipses = terminals = shorts = sentences = 0
    paragraph, paragraph_length = ZERO, 0
    word = hit = start = 0
    while start < size:
        first, last, following = _line(points, kinds, size, start)
        start = following
        length = last - first
        if length == 0:
            _close_paragraph(row, table, stamp, size, paragraph, paragraph_length)
            paragraph, paragraph_length = ZERO, 0
            continue
        paragraph_length += length + (paragraph_length > 0)
        if passes & _LINES:
            lines += 1
            characters += length
            longest = max(longest, length)
            shorts += length <= SHORT_LINE
            bullets += _opens_item(kinds, first, last)
            ellipses += _ends_in_ellipsis(points, first, last)
            terminals += _ends_sentence(kinds, first, last)
            sentences += _sentences(kinds, first, last)
        if passes & _DUPLICATES:
            value = _hash(points, first, last)
            if _seen(table, stamp, size, value):
                row[Count.DUPLICATE_LINES] += 1
                row[Count.DUPLICATE_LINE_CHARACTERS] += length
            paragraph = (paragraph ^ value) * MIX + ONE
        if passes & SCAN_PASSES:
            hit = _read(points, kinds, first, last, phrases, hits, hit, marked, found)
            marks = found[FOUND_MARKS]
            row[Count.JAVASCRIPT_LINES] += marks >> _JAVASCRIPT & 1
            row[Count.POLICY_LINES] += marks >> _POLICY & 1
            row[Count.BOILERPLATE_LINES] += marks >> _BOILERPLATE & 1
            row[Count.CITATIONS] += found[FOUND_CITATIONS]
            row[Count.BAD_WORDS_EN] += found[FOUND_BAD_EN]
            row[Count.BAD_WORDS_KO] += found[FOUND_BAD_KO]
        if passes & (_C4 | _REFINEDWEB):
            line_words, word, long_word = _words_of(words, number, word, last)
            rule = _c4_rule(points, kinds, first, last, line_words, long_word, found, -1)
            if rule < 0:
                end = _before_citations(points, kinds, first, last)
                row[Count.C4_SENTENCES] += _sentences(kinds, first, end)
            else:
                row[Count.C4_LONG_WORD_LINES + rule - C4_LONG_WORD_RULE] += 1
                row[Count.C4_REMOVED_CHARACTERS] += length
            rule = _refinedweb_rule(kinds, first, last, line_words, found, -1)
            if rule >= 0:
                row[Count.REFINEDWEB_UPPERCASE_LINES + rule - REFINEDWEB_UPPERCASE_RULE] += 1
                cut = rule == REFINEDWEB_PHRASE_RULE
                row[Count.REFINEDWEB_REMOVED_CHARACTERS] += _cut_length(first, last, found) if cut else length
    _close_paragraph(row, table, stamp, size, paragraph, paragraph_length)
    row[Count.LINES] = lines
    row[Count.LINE_CHARACTERS] = characters
    row[Count.LONGEST_LINE] = longest
    row[Count.BULLET_LINES] = bullets
    row[Count.ELLIPSIS_LINES] = ellipses
    row[Count.TERMINAL_LINES] = terminals
    row[Count.SHORT_LINES] = shorts
    row[Count.SENTENCES] = sentences


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
    if last > first and points[last - 1] == ELLIPSIS:
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
def _sentences(kinds, first, last):  # type: ignore[no-untyped-def]
    """Marks that end a sentence, in ASCII only before white space or what closes, and an unended rest."""
    ended = np.int32(0)
    for i in range(first, last - 1):
        after = kinds[i + 1] & (SPACE | CLOSING) != 0
        ended = np.int32(ended + ((kinds[i] & TERMINAL != 0) & (after | (kinds[i] & STOP != 0))))
    ended += kinds[last - 1] & TERMINAL != 0
    return ended + (not _ends_sentence(kinds, first, last))


@njit(nogil=True, cache=True)
def _words_of(words, number, word, last):  # type: ignore[no-untyped-def]
    """Of the words from `word` on that start before `last`: how many, the next one, whether any is too long."""
    _, starts, ends = words
    begin = word
    long_word = False
    while word < number and starts[word] < last:
        long_word = long_word or ends[word] - starts[word] > LONG_WORD
        word += 1
    return word - begin, word, long_word


@njit(nogil=True, cache=True)
def _hash(points, first, last):  # type: ignore[no-untyped-def]
    """The hash of a text, four characters a step because each waits for the one before."""
    value = ZERO
    i = first
    while i + 4 <= last:
        four = np.uint64(points[i]) * BASE_3 + np.uint64(points[i + 1]) * BASE_2
        four += np.uint64(points[i + 2]) * BASE + np.uint64(points[i + 3])
        value = value * BASE_4 + four
        i += 4
    while i < last:
        value = value * BASE + np.uint64(points[i])
        i += 1
    return (value + np.uint64(last - first)) * MIX


@njit(nogil=True, cache=True)
def _find(points, size, phrases, hits):  # type: ignore[no-untyped-def]
    """Where phrases end, and in which state, in order; returns how many places.

    A state waits for the one before; so four parts of a text are read at once, each with a run-up as long as
    a phrase. A part has no more hits than characters, so each writes them where it begins.
    """
    ends, states = hits
    classes, following, accepting = phrases.classes, phrases.following, phrases.accepting
    part = size // 4 if size >= PARTED else 0
    a = np.int32(0)
    b = _run_up(points, part, phrases)
    c = _run_up(points, 2 * part, phrases)
    d = _run_up(points, 3 * part, phrases)
    first, second, third, fourth = 0, part, 2 * part, 3 * part
    for i in range(part):
        a = following[a + classes[points[i]]]
        b = following[b + classes[points[i + part]]]
        c = following[c + classes[points[i + 2 * part]]]
        d = following[d + classes[points[i + 3 * part]]]
        if max(max(a, b), max(c, d)) >= accepting:
            if a >= accepting:
                ends[first], states[first] = i + 1, a
                first += 1
            if b >= accepting:
                ends[second], states[second] = i + part + 1, b
                second += 1
            if c >= accepting:
                ends[third], states[third] = i + 2 * part + 1, c
                third += 1
            if d >= accepting:
                ends[fourth], states[fourth] = i + 3 * part + 1, d
                fourth += 1
    for i in range(4 * part, size):
        d = following[d + classes[points[i]]]
        if d >= accepting:
            ends[fourth], states[fourth] = i + 1, d
            fourth += 1
    number = first
    for begin, stop in ((part, second), (2 * part, third), (3 * part, fourth)):
        for i in range(begin, stop):
            ends[number], states[number] = ends[i], states[i]
            number += 1
    return number


@njit(nogil=True, cache=True)
def _run_up(points, start, phrases):  # type: ignore[no-untyped-def]
    """The state of the automaton at a place, from the characters that a phrase there could have begun in."""
    state = np.int32(0)
    for i in range(max(start - phrases.reach, 0), start):
        state = phrases.following[state + phrases.classes[points[i]]]
    return state


@njit(nogil=True, cache=True)
def _read(points, kinds, first, last, phrases, hits, hit, marked, found):  # type: ignore[no-untyped-def]
    """What the phrases of a line mean, into `found`; returns the first hit behind the line."""
    ends, states = hits
    found[:] = 0
    while hit < marked and ends[hit] <= last:
        state = (states[hit] - phrases.accepting) // phrases.width
        _note(points, kinds, first, last, ends[hit], state, phrases, found)
        hit += 1
    return hit


@njit(nogil=True, cache=True)
def _note(points, kinds, first, last, end, state, phrases, found):  # type: ignore[no-untyped-def]
    """What the phrases that end at a place mean there."""
    at = phrases.first[state]
    while phrases.ending[at] != NONE:
        phrase = phrases.ending[at]
        at += 1
        begin = end - phrases.lengths[phrase]
        match, mark = phrases.matches[phrase], phrases.marks[phrase]
        if match != _SUBSTRING and begin > first and kinds[begin - 1] & (NAMED | LETTER):
            continue
        if match == _WORD and end < last and kinds[end] & (NAMED | LETTER):
            continue
        if mark == _BAD_EN:
            found[FOUND_BAD_EN] += 1
        elif mark == _BAD_KO:
            found[FOUND_BAD_KO] += 1
        elif mark == _CITATION:
            found[FOUND_CITATIONS] += _citation(points, last, begin) > 0
        elif mark == _COUNTER:
            if not _is_counter(kinds, first, last, begin, end):
                continue
        elif mark == _START:
            if _any_named(kinds, first, begin):
                continue
            found[FOUND_START] = end
        elif mark == _END:
            if _any_named(kinds, end, last):
                continue
            if not found[FOUND_MARKS] >> _END & 1:
                found[FOUND_END] = begin
            found[FOUND_END] = min(found[FOUND_END], begin)
        elif mark == _WITHIN and not found[FOUND_MARKS] >> _WITHIN & 1:
            found[FOUND_WITHIN], found[FOUND_WITHIN_END] = begin, end
        found[FOUND_MARKS] |= 1 << mark


@njit(nogil=True, cache=True)
def _any_named(kinds, start, stop):  # type: ignore[no-untyped-def]
    for i in range(start, stop):  # noqa: SIM110 - numba has no generator expressions
        if kinds[i] & NAMED:
            return True
    return False


@njit(nogil=True, cache=True)
def _is_counter(kinds, first, last, begin, end):  # type: ignore[no-untyped-def]
    """Whether a line without one phrase is a number, with at most a letter for its magnitude or unit."""
    digits = letters = 0
    for i in range(first, last):
        if begin <= i < end:
            continue
        digits += kinds[i] & DIGIT != 0
        letters += kinds[i] & LETTER != 0
        if letters > 1 or not kinds[i] & (DIGIT | LETTER | SPACE | SYMBOL):
            return False
    return digits > 0


@njit(nogil=True, cache=True)
def _citation(points, last, start):  # type: ignore[no-untyped-def]
    """The length of the citation marker at an opening bracket: [1], [], [edit], [citation needed]; else 0."""
    end = start + 1
    while end < last and ZERO_DIGIT <= points[end] <= ZERO_DIGIT + 9:
        end += 1
    if end < last and points[end] == BRACKET_END:
        return end + 1 - start
    if _matches(points, last, start, EDIT):
        return len(EDIT)
    if _matches(points, last, start, CITATION_NEEDED):
        return len(CITATION_NEEDED)
    return 0


@njit(nogil=True, cache=True)
def _before_citations(points, kinds, first, last):  # type: ignore[no-untyped-def]
    """Where a line ends without the citation markers and white space at its end."""
    while last > first and points[last - 1] == BRACKET_END:
        start = last - 1
        while start > first and points[start] != BRACKET and last - start < len(CITATION_NEEDED):
            start -= 1
        if points[start] != BRACKET or _citation(points, last, start) != last - start:
            return last
        last = start
        while last > first and kinds[last - 1] & SPACE:
            last -= 1
    return last


@njit(nogil=True, cache=True)
def _c4_rule(points, kinds, first, last, words, long_word, found, rules):  # type: ignore[no-untyped-def]
    """The first of C4's rules that removes a line, of those asked for; -1 where none does."""
    if rules >> C4_LONG_WORD_RULE & 1 and long_word:
        return C4_LONG_WORD_RULE
    if rules >> C4_UNTERMINATED_RULE & 1:
        end = last
        if found[FOUND_CITATIONS]:
            end = _before_citations(points, kinds, first, last)
        if not _ends_sentence(kinds, first, end) or _ends_in_ellipsis(points, first, end):
            return C4_UNTERMINATED_RULE
    if rules >> C4_FEW_WORDS_RULE & 1 and words < FEW_WORDS:
        return C4_FEW_WORDS_RULE
    if rules >> C4_JAVASCRIPT_RULE & 1 and found[FOUND_MARKS] >> _JAVASCRIPT & 1:
        return C4_JAVASCRIPT_RULE
    if rules >> C4_POLICY_RULE & 1 and found[FOUND_MARKS] >> _POLICY & 1:
        return C4_POLICY_RULE
    return -1


@njit(nogil=True, cache=True)
def _refinedweb_rule(kinds, first, last, words, found, rules):  # type: ignore[no-untyped-def]
    """The first of RefinedWeb's rules that removes or cuts a line, of those asked for; -1 where none does."""
    if rules >> REFINEDWEB_UPPERCASE_RULE & 1:
        uppers = np.int32(0)
        for i in range(first, last):
            uppers = np.int32(uppers + ((kinds[i] & UPPER) != 0))
        if 2 * uppers > last - first:
            return REFINEDWEB_UPPERCASE_RULE
    if rules >> REFINEDWEB_NUMERIC_RULE & 1 and _is_numeric(kinds, first, last):
        return REFINEDWEB_NUMERIC_RULE
    if rules >> REFINEDWEB_COUNTER_RULE & 1 and found[FOUND_MARKS] >> _COUNTER & 1:
        return REFINEDWEB_COUNTER_RULE
    if rules >> REFINEDWEB_ONE_WORD_RULE & 1 and words == 1:
        return REFINEDWEB_ONE_WORD_RULE
    if rules >> REFINEDWEB_PHRASE_RULE & 1 and words <= SHORT_LINE_WORDS and found[FOUND_MARKS] & CUTS:
        return REFINEDWEB_PHRASE_RULE
    return -1


@njit(nogil=True, cache=True)
def _is_numeric(kinds, first, last):  # type: ignore[no-untyped-def]
    digits = False
    for i in range(first, last):
        if not kinds[i] & (DIGIT | SPACE | SYMBOL):
            return False
        digits = digits or kinds[i] & DIGIT != 0
    return digits


@njit(nogil=True, cache=True)
def _inside_cut(i, found):  # type: ignore[no-untyped-def]
    """Whether a place of a line lies in a phrase, before the one that opens or behind the one that ends it."""
    marks = found[FOUND_MARKS]
    if marks >> _START & 1 and i < found[FOUND_START]:
        return True
    if marks >> _END & 1 and i >= found[FOUND_END]:
        return True
    return marks >> _WITHIN & 1 and found[FOUND_WITHIN] <= i < found[FOUND_WITHIN_END]


@njit(nogil=True, cache=True)
def _cut_length(first, last, found):  # type: ignore[no-untyped-def]
    length = 0
    for i in range(first, last):
        length += _inside_cut(i, found)
    return length


@njit(nogil=True, cache=True)
def _cut_phrases(kinds, first, last, found, kept):  # type: ignore[no-untyped-def]
    """Marks the phrases of a short line as not kept, and the white space around; returns how many."""
    before = np.sum(kept[first:last])
    for i in range(first, last):
        if _inside_cut(i, found) or (i > first and not kept[i - 1] and kinds[i] & SPACE):
            kept[i] = False
    i = last - 1
    while i >= first and (not kept[i] or kinds[i] & SPACE):
        kept[i] = False
        i -= 1
    return before - np.sum(kept[first:last])


@njit(nogil=True, cache=True)
def _cut_citations(points, kinds, first, last, kept):  # type: ignore[no-untyped-def]
    """Marks the citation markers of a line as not kept, and the white space before; returns how many."""
    i = first
    while i < last:
        length = _citation(points, last, i) if points[i] == BRACKET else 0
        kept[i : i + length] = False
        before = i - 1
        while length > 0 and before >= first and kinds[before] & SPACE:
            kept[before] = False
            before -= 1
        i += max(length, 1)
    return last - first - np.sum(kept[first:last])


@njit(nogil=True, cache=True)
def _anything_left(kinds, first, last, kept):  # type: ignore[no-untyped-def]
    for i in range(first, last):  # noqa: SIM110 - numba has no generator expressions
        if kept[i] and not kinds[i] & SPACE:
            return True
    return False


@njit(nogil=True, cache=True)
def _count_grams(words, number, row, grams, tallies, longer):  # type: ignore[no-untyped-def]
    """Distinct words; if `longer`, characters in the most frequent 2- to 4-gram and in repeated 5- to 10-grams.

    An n-gram can occur twice only where both (n-1)-grams in it do, so ever fewer places are looked at.
    """
    hashes, starts, ends = words
    values, places, slots = grams
    keys, times, firsts = tallies
    candidates = number
    for i in range(number):
        places[i], values[i] = i, hashes[i]
    for n in range(1, LAST_DUPLICATED + 1 if longer else 2):
        size = _slots_for(candidates)
        mask = np.uint64(size - 1)
        keys[:size] = FREE
        if n > 1:
            for each in range(candidates):
                i = places[each]
                values[i] = values[i] * BASE + hashes[i + n - 1]
        if n < FIRST_DUPLICATED:
            distinct, top, where = 0, 1, 0
            for each in range(candidates):
                i = places[each]
                key = values[i] | ONE
                slot = _slot(keys, mask, key)
                slots[each] = slot
                # Without branches, whose outcome nobody could foretell.
                fresh = keys[slot] == FREE
                keys[slot] = key
                times[slot] = 1 if fresh else times[slot] + 1
                firsts[slot] = i if fresh else firsts[slot]
                distinct += fresh
                if times[slot] > top or (times[slot] == top and firsts[slot] < where):
                    top, where = times[slot], firsts[slot]
            if n == 1:
                row[Count.UNIQUE_WORDS] = distinct
            elif top > 1:
                length = ends[where + n - 1] - starts[where + n - 1]
                for i in range(where, where + n - 1):
                    length += ends[i] - starts[i] + (starts[i + 1] > ends[i])
                row[Count.TOP_2_GRAM_CHARACTERS + n - FIRST_TOP] = length * top
            repeated = 0
            for each in range(candidates):
                places[repeated] = places[each]
                repeated += times[slots[each]] > 1
        else:
            total = resume = 0
            for each in range(candidates):
                i = places[each]
                if i < resume:
                    continue
                key = values[i] | ONE
                slot = _slot(keys, mask, key)
                if keys[slot] == FREE:
                    keys[slot] = key
                    continue
                for j in range(i, i + n):
                    total += ends[j] - starts[j]
                resume = i + n
            row[Count.DUPLICATE_5_GRAM_CHARACTERS + n - FIRST_DUPLICATED] = total
            repeated = candidates
        candidates = 0
        for each in range(repeated - 1):
            following = places[each + 1] == places[each] + 1
            places[candidates] = places[each]
            candidates += following


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
def _slot(keys, mask, key):  # type: ignore[no-untyped-def]
    """Where a key lies in the table, or the free place for it."""
    slot = (key ^ (key >> HALF)) * MIX >> HALF & mask
    while keys[slot] != key and keys[slot] != FREE:
        slot = slot + ONE & mask
    return slot


@njit(nogil=True, cache=True)
def _seen(table, stamp, size, key):  # type: ignore[no-untyped-def]
    """Whether a key was met under this stamp before; it has been from now on. Another stamp means free.

    So all that is asked about one document in turn bears one stamp: a second one would take the places of the
    first. There are at most two lines and paragraphs to three characters, so a third of the places stays free.
    """
    keys, stamps = table
    mask = np.uint64(_slots_for(size // 2 + 1) - 1)
    slot = (key ^ (key >> HALF)) * MIX >> HALF & mask
    while stamps[slot] == stamp and keys[slot] != key:
        slot = slot + ONE & mask
    if stamps[slot] == stamp:
        return True
    stamps[slot], keys[slot] = stamp, key
    return False
