"""English words exactly as spaCy's blank English tokenizer cuts them, as spans of code points.

spaCy cuts a text at white space and each piece (a chunk) by rules that see that chunk alone. So words are kept
by chunk: spaCy itself cuts each distinct chunk once, and the kernel cuts the commonest kinds, which are plain
words, hyphenated ones and numbers between punctuation marks, by the few rules that apply to them. What the
kernel isn't sure of it leaves to spaCy; with a spaCy whose rules are not those that the kernel was written
for (RULES) it leaves everything.

One rule does see beyond a chunk: after cutting, spaCy looks for its special cases (`:)`, `it's`, `vs.`) among
the tokens, and a run that reads like one across a space (`: )`) hides shorter ones inside. Chunks around such
a place are given to spaCy as one.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import string
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from assets.filters.characters import CODE_POINTS, code_points

if TYPE_CHECKING:
    from spacy.tokenizer import Tokenizer

# A digest of the rules, those of spaCy 3.8.18, that the kernel's own cuts were proven equal to.
RULES = "dd19b37e5f7d78ea"

# What a character is to the kernel: a bit each, so that a chunk's characters can be taken together. A letter
# of a script without cases is both upper and lower.
WHITE, UPPER, LOWER, FIGURE, MARK, QUOTE, BEFORE_STOP, PLAIN, ELSE = (1 << bit for bit in range(9))
LETTER = UPPER | LOWER
# Marks that spaCy takes off both ends of a chunk, whatever stands beside them; the last ones are its quotes.
MARKS = ":;!?()[]{}<>_#*&"
QUOTES = ",'\"`“”‘’«»"
# Where the kernel looks for letters beyond ASCII: up to the Chinese radicals, and the Korean syllables.
LETTER_RANGES = "80-2E7F AC00-D7A3"

MOST_MARKS = 16  # at the end of a chunk; more are left to spaCy
LONGEST = 31  # characters of a special case
LONGEST_UNIT = 7  # characters, so that one fits an integer
OTHER = 128  # stands for every character beyond ASCII
BATCH = 1 << 13  # chunks that spaCy sees in one text
FULL = 1 << 20  # chunks remembered before all but the special cases are forgotten

BASE = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xD6E8FEB86659FD93)
ONE = np.uint64(1)
ZERO = np.uint64(0)
HALF = np.uint64(32)
SPACE, POINT, COMMA, STRAIGHT, CURLY, SMALL_S, LARGE_S, NEWLINE = (ord(c) for c in " .,'’sS\n")
PLUS, HYPHEN, STAR, CARET, TILDE, DOLLAR, PERCENT, EQUALS, SLASH = (ord(c) for c in "+-*^~$%=/")
COLON, LESS, GREATER = (ord(c) for c in ":<>")
NOTHING = np.zeros((0, 2), np.int64)


class Words(NamedTuple):
    """The words of texts laid end to end: word i is points[starts[i]:ends[i]].

    Those of text t are words firsts[t] to firsts[t + 1].
    """

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    firsts: npt.NDArray[np.int64]


class Memory(NamedTuple):
    """What is known of chunks: an open-addressing table of entries, their text and their words.

    Entry e has the code points text[text_starts[e]:text_starts[e + 1]] and the words
    spans[span_starts[e]:span_starts[e + 1]], each a start and an end counted from the chunk's first code
    point. The first entries are spaCy's special cases; entries from `known` on are yet to be learnt.
    """

    keys: npt.NDArray[np.uint64]
    entries: npt.NDArray[np.int64]
    text: npt.NDArray[np.uint32]
    text_starts: npt.NDArray[np.int64]
    spans: npt.NDArray[np.int64]
    span_starts: npt.NDArray[np.int64]
    known: int


class Rules(NamedTuple):
    """What the kernel knows of spaCy's rules.

    Args:
        kinds: The kind of every code point.
        own: Whether the kernel may cut chunks itself.
        specials: How many special cases there are.
        lengths: By first and last character, the lengths of the special cases, one bit each.
        edges: Whether a word that ends in one character and a word that begins with another stand side by side
            in a special case; characters beyond ASCII count as one.
        pairs: Hashes of the pairs of words that do, sorted.
        around: Of each pair, the hashes of the words before and after it in that special case, 0 where it
            has none; shape (pairs, 2).
        units: Units of measurement, packed eight bits a character, sorted.
    """

    kinds: npt.NDArray[np.uint16]
    own: bool
    specials: int
    lengths: npt.NDArray[np.uint32]
    edges: npt.NDArray[np.bool_]
    pairs: npt.NDArray[np.uint64]
    around: npt.NDArray[np.uint64]
    units: npt.NDArray[np.int64]


class EnglishWords:
    """spaCy's blank English tokenizer behind a memory of chunks; of one thread at a time."""

    def __init__(self) -> None:
        from spacy.lang.en import English

        self._spacy = English()
        # Special cases made of white space never meet a chunk.
        self._specials = [text for text in self._spacy.tokenizer.rules if text.split() == [text]]
        self._rules = _rules(self._spacy.tokenizer, self._specials)
        self._forget()

    def __call__(self, points: npt.NDArray[np.uint32], bounds: npt.NDArray[np.int64]) -> Words:
        """The words of texts laid end to end.

        Args:
            points: The code points of all texts.
            bounds: Where each text starts in `points`, and where the last one ends; shape (texts + 1,).
        """
        if self._memory.known > FULL:
            self._forget()
        self._make_room(len(points) // 2 + 1)
        cut, missing = _cut(points, bounds, self._rules, self._memory)
        if not len(missing):
            return cut
        try:
            self._learn(points, missing)
        except BaseException:
            self._forget()
            raise
        return _fill(cut, self._memory)

    def _forget(self) -> None:
        """Begin anew with the special cases."""
        self._memory = Memory(
            keys=np.zeros(0, np.uint64),
            entries=np.zeros(0, np.int64),
            text=np.zeros(0, np.uint32),
            text_starts=np.zeros(1, np.int64),
            spans=np.zeros((0, 2), np.int64),
            span_starts=np.zeros(1, np.int64),
            known=0,
        )
        points, bounds = _end_to_end(self._specials)
        self._learn(points, np.stack([bounds[:-1], bounds[1:]], axis=1))

    def _make_room(self, chunks: int) -> None:
        """Let the table take that many more entries and stay at most half full."""
        slots = 1 << (2 * (self._memory.known + chunks)).bit_length()
        if slots > len(self._memory.keys):
            self._memory = self._memory._replace(keys=np.zeros(slots, np.uint64), entries=np.full(slots, -1))
            _index(self._memory)

    def _learn(self, points: npt.NDArray[np.uint32], chunks: npt.NDArray[np.int64]) -> None:
        """Have spaCy cut the chunks at these spans of `points`, and remember their words in the same order."""
        for first in range(0, len(chunks), BATCH):
            batch = chunks[first : first + BATCH]
            # A line feed is a token of its own, and no rule sees beyond it.
            joined, starts = _join(points, batch)
            with self._spacy.memory_zone():
                tokens = self._spacy.tokenizer(joined.tobytes().decode("utf-32-le"))
                places = tokens.to_array(["IDX", "LENGTH"]).astype(np.int64)
            places = places[joined[places[:, 0]] != NEWLINE]
            chunk = np.searchsorted(starts, places[:, 0], side="right") - 1
            begins = places[:, 0] - starts[chunk]
            spans = np.stack([begins, begins + places[:, 1]], axis=1)
            memory, known = self._memory, self._memory.known
            characters, words = memory.text_starts[known], memory.span_starts[known]
            text_ends = characters + np.cumsum(batch[:, 1] - batch[:, 0])
            span_ends = words + np.cumsum(np.bincount(chunk, minlength=len(batch)))
            self._memory = memory._replace(
                text=_append(memory.text, characters, joined[joined != NEWLINE]),
                text_starts=_append(memory.text_starts, known + 1, text_ends),
                spans=_append(memory.spans, words, spans),
                span_starts=_append(memory.span_starts, known + 1, span_ends),
                known=known + len(batch),
            )


_of_thread = threading.local()


def english_words() -> EnglishWords:
    """The tokenizer of this thread; making the first of a process loads spaCy (two seconds)."""
    if not hasattr(_of_thread, "words"):
        _of_thread.words = EnglishWords()
    return _of_thread.words


def rules_digest(tokenizer: Tokenizer) -> str:
    """A digest of everything that decides where a spaCy tokenizer cuts."""
    from spacy.symbols import ORTH

    patterns = (
        tokenizer.prefix_search,
        tokenizer.suffix_search,
        tokenizer.infix_finditer,
        tokenizer.url_match,
    )
    facts = [
        [pattern.__self__.pattern for pattern in patterns],
        tokenizer.token_match is None,
        sorted((text, [word[ORTH] for word in words]) for text, words in tokenizer.rules.items()),
    ]
    return hashlib.blake2b(json.dumps(facts).encode(), digest_size=8).hexdigest()


def _rules(tokenizer: Tokenizer, specials: list[str]) -> Rules:
    from spacy.lang.char_classes import LIST_UNITS

    lengths = np.zeros((OTHER + 1, OTHER + 1), np.uint32)
    for text in specials:
        lengths[_edge(text[0]), _edge(text[-1])] |= 1 << min(len(text), LONGEST)
    edges = np.zeros((OTHER + 1, OTHER + 1), np.bool_)
    windows = set()
    for before, left, right, after in _special_windows(tokenizer):
        edges[_edge(left[-1]), _edge(right[0])] = True
        points, (_, middle, end) = _end_to_end([left, right])
        for whole_left, whole_right in itertools.product((True, False), repeat=2):
            pair = _pair(points, 0, middle, whole_left, middle, end, whole_right)
            windows.add((int(pair), _word_hash(before), _word_hash(after)))
    table = np.array(sorted(windows), np.uint64)
    return Rules(
        kinds=_kinds(tokenizer),
        own=rules_digest(tokenizer) == RULES,
        specials=len(specials),
        lengths=lengths,
        edges=edges,
        pairs=table[:, 0].copy(),
        around=table[:, 1:].copy(),
        units=np.array(
            sorted({int.from_bytes(unit.encode(), "big") for unit in LIST_UNITS if unit.isascii()}), np.int64
        ),
    )


def _kinds(tokenizer: Tokenizer) -> npt.NDArray[np.uint16]:
    """The kind of every code point. Letters are spaCy's, those aside that are also marks or icons."""
    from spacy.lang.char_classes import ALPHA_LOWER, ALPHA_UPPER

    kinds = np.full(CODE_POINTS, ELSE, np.uint16)
    kinds[:OTHER] = PLAIN
    for kind, members in ((FIGURE, string.digits), (MARK, MARKS), (MARK | QUOTE, QUOTES)):
        kinds[[ord(member) for member in members]] = kind
    letters = np.array([*range(OTHER), *code_points(LETTER_RANGES)], np.uint32)
    text = letters.tobytes().decode("utf-32-le")
    for kind, members in ((UPPER, ALPHA_UPPER), (LOWER, ALPHA_LOWER)):
        for letter in re.findall(f"[{members}]", text):
            cut = tokenizer.find_prefix(letter) or tokenizer.find_suffix(f"^{letter}")
            if not cut and not tokenizer.find_infix(f"^{letter}^"):
                kinds[ord(letter)] = (kinds[ord(letter)] & LETTER) | kind
    for point in np.flatnonzero(kinds != ELSE):
        if point != POINT and tokenizer.find_suffix(f"{chr(point)}.") == 1:
            kinds[point] |= BEFORE_STOP
    kinds[np.char.isspace(np.arange(CODE_POINTS, dtype=np.uint32).view("U1"))] = WHITE
    return kinds


def _special_windows(tokenizer: Tokenizer) -> Iterator[tuple[str, str, str, str]]:
    """The words that stand side by side in a special case as the other rules would cut it.

    In the middle two words, around them the one before and the one after, empty where there is none. Only
    special cases that the other rules see something in are looked for among tokens.
    """
    from spacy.lang.en import English

    bare = English().tokenizer
    bare.rules = {}
    for text in tokenizer.rules:
        if tokenizer.find_prefix(text) or tokenizer.find_infix(text) or tokenizer.find_suffix(text):
            words = ["", *(token.text for token in bare(text)), ""]
            yield from zip(words, words[1:-2], words[2:], words[3:], strict=False)


def _edge(character: str) -> int:
    return min(ord(character), OTHER)


def _word_hash(word: str) -> int:
    points, _ = _end_to_end([word])
    return int(_hash(points, 0, len(points)))


def _end_to_end(texts: Iterable[str]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    texts = list(texts)
    points = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32)
    return points, np.cumsum([0, *map(len, texts)])


def _append(array: npt.NDArray, used: int, new: npt.NDArray) -> npt.NDArray:
    """The array with `new` after its first `used` items; it grows by doubling."""
    if used + len(new) > len(array):
        larger = np.empty((2 * (used + len(new)), *array.shape[1:]), array.dtype)
        larger[:used] = array[:used]
        array = larger
    array[used : used + len(new)] = new
    return array


@njit(nogil=True, cache=True)
def _cut(points, bounds, rules, memory):  # type: ignore[no-untyped-def]
    """The words of every text, and the chunks that memory lacks, as spans of `points`.

    In place of a missing chunk's words stands one of its start and, for an end, its entry made negative.
    """
    own, kinds, lengths, edges = rules.own, rules.kinds, rules.lengths, rules.edges
    texts = len(bounds) - 1
    starts = np.empty(len(points), np.int64)
    ends = np.empty(len(points), np.int64)
    firsts = np.empty(texts + 1, np.int64)
    missing = np.empty((len(points) // 2 + 1, 2), np.int64)
    tail = np.empty(MOST_MARKS, np.int64)
    words = misses = 0
    for text in range(texts):
        firsts[text] = words
        at, stop = bounds[text], bounds[text + 1]
        # A group is a chunk, or chunks that only together can be cut.
        group, group_words, certain = at, words, False
        while True:
            gap = at
            while at < stop and kinds[points[at]] == WHITE:
                at += 1
            if at == stop:
                break
            start, before, seen = at, words, 0
            while at < stop and kinds[points[at]] != WHITE:
                seen |= kinds[points[at]]
                at += 1
            was_certain, certain = certain, False
            if own:
                entry = -1
                if _special_length(points, start, at, lengths):
                    entry = _special(points, start, at, rules, memory)
                if entry >= 0:
                    certain = True
                    words = _remembered(memory, entry, start, starts, ends, words)
                elif seen & ~(UPPER | LOWER) == 0:
                    certain = True
                    starts[words], ends[words] = start, at
                    words += 1
                elif seen & ELSE == 0:
                    words = _own(points, start, at, rules, memory, tail, starts, ends, words)
                    certain = words > before
            if not certain:
                words, misses = _look_up(points, start, at, memory, missing, misses, starts, ends, words)
            joins = (
                gap > group
                and start == gap + 1
                and points[gap] == SPACE
                and _special_edge(points, gap, start, edges)
                and _special_pair(
                    points, starts, ends, group_words, before, words, was_certain, certain, gap, start, rules
                )
            )
            if joins:
                words, certain = group_words, False
                words, misses = _look_up(points, group, at, memory, missing, misses, starts, ends, words)
            else:
                group, group_words = start, before
    firsts[texts] = words
    return Words(starts[:words], ends[:words], firsts), missing[:misses]


@njit(nogil=True, cache=True)
def _own(points, start, end, rules, memory, tail, starts, ends, words):  # type: ignore[no-untyped-def]
    """Cut a chunk that has no character of kind ELSE; returns how many words there are then, as before if unsure.

    As spaCy does, take something off both ends until neither end has anything, watching for special cases;
    then cut what is left inside.
    """
    first = words
    low, high, tails = start, end, 0
    while low < high:
        opening = _opening(points, low, high, rules.kinds)
        closing = _closing(points, low + opening, high, rules)
        if closing < 0 or tails == MOST_MARKS:
            return first
        if opening == 0 and closing == 0:
            break
        if opening and low + opening < high and _is_special(points, low + opening, high, rules, memory):
            return first
        if closing and low < high - closing and _is_special(points, low, high - closing, rules, memory):
            return first
        if opening:
            starts[words], ends[words] = low, low + opening
            words += 1
            low += opening
        if closing:
            tail[tails] = closing
            tails += 1
            high -= closing
        if low < high and _is_special(points, low, high, rules, memory):
            return first
    if low < high:
        inner = words
        words = _middle(points, low, high, rules.kinds, starts, ends, words)
        if words == inner:
            return first
    while tails > 0:
        tails -= 1
        starts[words], ends[words] = high, high + tail[tails]
        high += tail[tails]
        words += 1
    for word in range(first + 1, words):
        if _special_edge(points, ends[word - 1], starts[word], rules.edges) and _special_pair(
            points, starts, ends, first, word, words, True, True, ends[word - 1], starts[word], rules
        ):
            return first
    return words


@njit(nogil=True, cache=True)
def _opening(points, low, high, kinds):  # type: ignore[no-untyped-def]
    """The length of what spaCy takes off the beginning."""
    point = points[low]
    if kinds[point] & MARK or point == EQUALS or point == PERCENT or point == DOLLAR:
        return 1
    if point == PLUS:
        return 0 if low + 1 < high and kinds[points[low + 1]] & FIGURE else 1
    dots = low
    while dots < high and points[dots] == POINT:
        dots += 1
    return dots - low if dots > low + 1 else 0


@njit(nogil=True, cache=True)
def _closing(points, low, high, rules):  # type: ignore[no-untyped-def]
    """The length of what spaCy takes off the end: a mark, full stops, a possessive s, a unit; -1 if unsure."""
    kinds = rules.kinds
    if low >= high:
        return 0
    last = points[high - 1]
    if kinds[last] & MARK:
        return 1
    if high - low < 2:
        return 0
    previous = points[high - 2]
    if last == POINT:
        dots = high
        while dots > low and points[dots - 1] == POINT:
            dots -= 1
        if high - dots > 1:
            return high - dots
        if kinds[previous] & BEFORE_STOP:
            return 1
        return 1 if high - low > 2 and kinds[previous] & UPPER and kinds[points[high - 3]] & UPPER else 0
    if last == DOLLAR:
        return -1
    if last == PLUS:
        return 1 if kinds[previous] & FIGURE else 0
    if (last == SMALL_S or last == LARGE_S) and (previous == STRAIGHT or previous == CURLY):
        return 2
    # A unit is what follows the last figure.
    unit, begin = 0, high
    while begin > low and not kinds[points[begin - 1]] & FIGURE:
        begin -= 1
        if points[begin] >= OTHER:
            unit = -1
        elif high - begin <= LONGEST_UNIT:
            unit |= np.int64(points[begin]) << 8 * (high - begin - 1)
    if begin == low or begin == high:
        return 0
    if unit == -1:
        return -1
    if high - begin > LONGEST_UNIT:
        return 0
    place = np.searchsorted(rules.units, unit)
    return high - begin if place < len(rules.units) and rules.units[place] == unit else 0


@njit(nogil=True, cache=True)
def _middle(points, low, high, kinds, starts, ends, words):  # type: ignore[no-untyped-def]
    """Cut where spaCy cuts inside; returns words as they were if unsure, which is where a URL could be."""
    first, begin, at, octets = words, low, low, 0
    while at < high:
        point = points[at]
        if point == DOLLAR:
            return first
        length = 0
        before = kinds[points[at - 1]] if at > low else 0
        following = points[at + 1] if at + 1 < high else 0
        after = kinds[following] if at + 1 < high else 0
        if point == POINT:
            if after & LOWER:
                return first
            octets += before & FIGURE != 0 and after & FIGURE != 0
            if octets > 2:
                return first
            while at + length < high and points[at + length] == POINT:
                length += 1
            if length == 1 and not (before & (LOWER | QUOTE) and after & (UPPER | QUOTE)):
                length = 0
        elif before & (LETTER | FIGURE):
            if before & FIGURE and _is_operator(point) and (after & FIGURE or following == HYPHEN):
                length = 1
            elif point == COMMA:
                length = 1 if before & LETTER and after & LETTER else 0
            elif point == HYPHEN:
                hyphens = 1
                while at + hyphens < high and points[at + hyphens] == HYPHEN:
                    hyphens += 1
                if hyphens <= 3 and at + hyphens < high and kinds[points[at + hyphens]] & LETTER:
                    length = hyphens
            elif _is_joint(point):
                length = 1 if after & LETTER else 0
        if length and at > low:
            if at > begin:
                starts[words], ends[words] = begin, at
                words += 1
            starts[words], ends[words] = at, at + length
            words += 1
            begin = at + length
        at += max(length, 1)
    if begin < high:
        starts[words], ends[words] = begin, high
        words += 1
    return words


@njit(nogil=True, cache=True)
def _is_operator(point):  # type: ignore[no-untyped-def]
    return point == PLUS or point == HYPHEN or point == STAR or point == CARET


@njit(nogil=True, cache=True)
def _is_joint(point):  # type: ignore[no-untyped-def]
    return (
        point == TILDE
        or point == COLON
        or point == LESS
        or point == GREATER
        or point == EQUALS
        or point == SLASH
    )


# Taken into their callers as they are: a call costs more than they do.
@njit(inline="always")
def _special_length(points, start, end, lengths):  # type: ignore[no-untyped-def]
    """Whether a special case is as long as a text and has its first and last character."""
    length = end - start
    if length > LONGEST:
        return False
    return lengths[min(points[start], OTHER), min(points[end - 1], OTHER)] >> length & 1 != 0


@njit(inline="always")
def _special_edge(points, middle, right, edges):  # type: ignore[no-untyped-def]
    """Whether a special case has the characters on both sides of a place side by side."""
    return edges[min(points[middle - 1], OTHER), min(points[right], OTHER)]


@njit(inline="always")
def _is_special(points, start, end, rules, memory):  # type: ignore[no-untyped-def]
    return (
        _special_length(points, start, end, rules.lengths)
        and _special(points, start, end, rules, memory) >= 0
    )


@njit(nogil=True, cache=True)
def _special(points, start, end, rules, memory):  # type: ignore[no-untyped-def]
    """The entry of the special case that the text is, else -1."""
    slot = _slot(points, start, end, _hash(points, start, end), memory, NOTHING)
    entry = memory.entries[slot]
    return entry if entry < rules.specials else -1


@njit(nogil=True, cache=True)
def _look_up(points, start, end, memory, missing, misses, starts, ends, words):  # type: ignore[no-untyped-def]
    """Write a chunk's words from memory, or note that it is missing; returns how many of either there are."""
    key = _hash(points, start, end)
    slot = _slot(points, start, end, key, memory, missing)
    entry = memory.entries[slot]
    if 0 <= entry < memory.known:
        return _remembered(memory, entry, start, starts, ends, words), misses
    if entry < 0:
        entry = memory.known + misses
        memory.keys[slot], memory.entries[slot] = key, entry
        missing[misses, 0], missing[misses, 1] = start, end
        misses += 1
    starts[words], ends[words] = start, -1 - entry
    return words + 1, misses


@njit(nogil=True, cache=True)
def _remembered(memory, entry, start, starts, ends, words):  # type: ignore[no-untyped-def]
    for span in range(memory.span_starts[entry], memory.span_starts[entry + 1]):
        starts[words] = start + memory.spans[span, 0]
        ends[words] = start + memory.spans[span, 1]
        words += 1
    return words


@njit(nogil=True, cache=True)
def _fill(cut, memory):  # type: ignore[no-untyped-def]
    """The words with those of chunks that are known by now in the places kept for them."""
    total = 0
    for end in cut.ends:
        total += 1 if end >= 0 else memory.span_starts[-end] - memory.span_starts[-end - 1]
    starts = np.empty(total, np.int64)
    ends = np.empty(total, np.int64)
    firsts = np.empty_like(cut.firsts)
    words = 0
    for text in range(len(firsts) - 1):
        firsts[text] = words
        for word in range(cut.firsts[text], cut.firsts[text + 1]):
            if cut.ends[word] < 0:
                words = _remembered(memory, -1 - cut.ends[word], cut.starts[word], starts, ends, words)
            else:
                starts[words], ends[words] = cut.starts[word], cut.ends[word]
                words += 1
    firsts[-1] = words
    return Words(starts, ends, firsts)


@njit(nogil=True, cache=True)
def _join(points, spans):  # type: ignore[no-untyped-def]
    """The spans of `points`, a line feed after each, and where each begins."""
    total = len(spans)
    for i in range(len(spans)):
        total += spans[i, 1] - spans[i, 0]
    joined = np.empty(total, np.uint32)
    starts = np.empty(len(spans), np.int64)
    at = 0
    for i in range(len(spans)):
        starts[i] = at
        for point in points[spans[i, 0] : spans[i, 1]]:
            joined[at] = point
            at += 1
        joined[at] = NEWLINE
        at += 1
    return joined, starts


@njit(nogil=True, cache=True)
def _index(memory):  # type: ignore[no-untyped-def]
    """Enter every known chunk in an empty table."""
    for entry in range(memory.known):
        start, end = memory.text_starts[entry], memory.text_starts[entry + 1]
        key = _hash(memory.text, start, end)
        slot = _slot(memory.text, start, end, key, memory, NOTHING)
        memory.keys[slot], memory.entries[slot] = key, entry


@njit(nogil=True, cache=True)
def _slot(points, start, end, key, memory, missing):  # type: ignore[no-untyped-def]
    """Where a chunk lies in the table, or the free place for it."""
    mask = np.uint64(len(memory.keys) - 1)
    slot = (key ^ key >> HALF) * MIX >> HALF & mask
    while memory.entries[slot] >= 0:
        if memory.keys[slot] == key and _equal(points, start, end, memory, memory.entries[slot], missing):
            break
        slot = slot + ONE & mask
    return slot


@njit(nogil=True, cache=True)
def _equal(points, start, end, memory, entry, missing):  # type: ignore[no-untyped-def]
    """Whether a chunk is the text of an entry; equal hashes alone would leave a chance of error."""
    if entry < memory.known:
        other, first, last = memory.text, memory.text_starts[entry], memory.text_starts[entry + 1]
    else:
        other, first, last = points, missing[entry - memory.known, 0], missing[entry - memory.known, 1]
    if last - first != end - start:
        return False
    for i in range(end - start):  # noqa: SIM110 - numba has no generator expressions
        if other[first + i] != points[start + i]:
            return False
    return True


@njit(nogil=True, cache=True)
def _special_pair(points, starts, ends, first, word, words, whole_left, whole_right, middle, right, rules):  # type: ignore[no-untyped-def]
    """Whether the words on both sides of a place may be part of one special case.

    The word `word` begins at `right`, the one before it ends at `middle`; words from `first` to `words` are
    looked at. A side that isn't known word by word is judged by its character at the place.
    """
    left = starts[word - 1] if whole_left else middle - 1
    end = ends[word] if whole_right else right + 1
    pair = _pair(points, left, middle, whole_left, right, end, whole_right)
    place = np.searchsorted(rules.pairs, pair)
    while place < len(rules.pairs) and rules.pairs[place] == pair:
        before, after = rules.around[place]
        fits = True
        if whole_left and before != ZERO and word - 2 >= first:
            fits = _hash(points, starts[word - 2], ends[word - 2]) == before
        if fits and whole_right and after != ZERO and word + 1 < words:
            fits = _hash(points, starts[word + 1], ends[word + 1]) == after
        if fits:
            return True
        place += 1
    return False


@njit(nogil=True, cache=True)
def _pair(points, start, middle, whole_left, right, end, whole_right):  # type: ignore[no-untyped-def]
    """The hash of two words, or of one and the other's nearest character, or of two characters."""
    left_hash = _hash(points, start if whole_left else middle - 1, middle)
    right_hash = _hash(points, right, end if whole_right else right + 1)
    kind = np.uint64(2 * whole_left + whole_right)
    return ((left_hash * BASE ^ right_hash) * MIX + kind) * BASE


@njit(nogil=True, cache=True)
def _hash(points, start, end):  # type: ignore[no-untyped-def]
    value = ZERO
    for i in range(start, end):
        value = value * BASE + np.uint64(points[i]) + ONE
    return value
