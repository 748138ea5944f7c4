"""The phrases that mark a line or a document, and the automaton that finds all of them in one reading.

`phrases.tsv` is the list. Its `match` says where a phrase may stand: `word` with a letter or digit on neither
side, `prefix` with none before it (Korean hangs its particles behind), `substring` anywhere. Case is set
aside, and one space stands for any one character of white space. A mark says what a phrase found means:
`line_start` and `line_end` count where no letter or digit comes before or after it in its line, `counter`
where the rest of the line is a number, `citation` where a bracket opens a citation marker.
"""

from __future__ import annotations

import csv
import functools
import hashlib
from collections import deque
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from assets.filters import characters

PHRASES = Path(__file__).parent / "phrases.tsv"
LANGUAGES_OF_BAD_WORDS = ("en", "ko")
OTHER = 0
NONE = -1


class Mark(IntEnum):
    """What a phrase marks; kernels.py knows these by number, so a changed number needs an edit there."""

    JAVASCRIPT = 0
    POLICY = 1
    BOILERPLATE = 2
    COUNTER = 3
    LINE_START = 4
    LINE_END = 5
    IN_SHORT_LINE = 6
    BAD_WORD_EN = 7
    BAD_WORD_KO = 8
    CITATION = 9


class Match(IntEnum):
    """Where a phrase may stand."""

    SUBSTRING = 0
    PREFIX = 1
    WORD = 2


@dataclass(frozen=True)
class Phrase:
    """One line of the list; `source` is the paper that names the phrase, or the list it is from."""

    phrase: str
    mark: Mark
    match: Match
    language: str
    source: str


class Automaton(NamedTuple):
    """An Aho-Corasick automaton (Aho and Corasick 1975) over classes of code points.

    Args:
        classes: The class of each code point; OTHER where no phrase holds it. Shape (CODE_POINTS,).
        following: The state after a state and a class, flat. A state is the index of its first class here.
        width: How many classes there are.
        accepting: States from here on end at least one phrase.
        first: Of each accepting state, where its phrases begin in `ending`.
        ending: Numbers of phrases, NONE after the last of a state.
        lengths, marks, matches: Of each phrase; lengths in code points.
        reach: The greatest of the lengths.
    """

    classes: npt.NDArray[np.uint8]
    following: npt.NDArray[np.int32]
    width: int
    accepting: int
    first: npt.NDArray[np.int32]
    ending: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]
    marks: npt.NDArray[np.int32]
    matches: npt.NDArray[np.int32]
    reach: int


@functools.cache
def phrases() -> tuple[Phrase, ...]:
    """The list as shipped.

    Raises:
        ValueError: A line can't be used; the message names it.
    """
    with PHRASES.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    listed = []
    for number, line in enumerate(lines, start=2):
        mark = line["mark"].upper()
        if mark == "BAD_WORD":
            mark += f"_{line['language'].upper()}"
        try:
            kinds = Mark[mark], Match[line["match"].upper()]
        except KeyError as error:
            raise ValueError(f"{PHRASES.name} line {number}: unknown mark or match {error}") from None
        if not line["phrase"] or line["phrase"] != " ".join(line["phrase"].lower().split()):
            raise ValueError(f"{PHRASES.name} line {number}: write it in lower case, with single spaces")
        listed.append(Phrase(line["phrase"], *kinds, line["language"], line["source"]))
    return tuple(listed)


def version(*marks: Mark) -> str:
    """The hash of the phrases that have one of the marks."""
    facts = sorted((each.mark.name, each.phrase, each.match.name) for each in phrases() if each.mark in marks)
    return hashlib.blake2b(repr(facts).encode(), digest_size=6).hexdigest()


@functools.cache
def automaton() -> Automaton:
    """The automaton that finds every phrase of the list."""
    listed = phrases()
    alphabet = {character: number for number, character in enumerate(sorted(set("".join(spelt(listed)))), 1)}
    children: list[dict[int, int]] = [{}]
    ends: list[list[int]] = [[]]
    for number, text in enumerate(spelt(listed)):
        state = 0
        for character in text:
            if alphabet[character] not in children[state]:
                children[state][alphabet[character]] = len(children)
                children.append({})
                ends.append([])
            state = children[state][alphabet[character]]
        ends[state].append(number)
    following = _complete(children, ends, len(alphabet) + 1)
    # Accepting states last, so that one comparison tells them.
    order = sorted(range(len(ends)), key=lambda state: bool(ends[state]))
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    accepting = sum(not each for each in ends)
    first, ending = [], []
    for state in order[accepting:]:
        first.append(len(ending))
        ending += [*ends[state], NONE]
    width = following.shape[1]
    return Automaton(
        _classes(alphabet),
        np.ascontiguousarray(place[following[order]] * np.int32(width)).ravel(),
        width,
        accepting * width,
        np.array(first, np.int32),
        np.array(ending, np.int32),
        np.array([len(text) for text in spelt(listed)], np.int32),
        np.array([each.mark for each in listed], np.int32),
        np.array([each.match for each in listed], np.int32),
        max(map(len, spelt(listed))),
    )


def spelt(listed: tuple[Phrase, ...]) -> list[str]:
    return [each.phrase for each in listed]


def _complete(children: list[dict[int, int]], ends: list[list[int]], width: int) -> npt.NDArray[np.int32]:
    """The state after every state and class, and in `ends` also the phrases that end another's inside."""
    following = np.zeros((len(children), width), np.int32)
    fallback = [0] * len(children)
    queue = deque([0])
    while queue:
        state = queue.popleft()
        if state:
            following[state] = following[fallback[state]]
            ends[state] += ends[fallback[state]]
        for symbol, child in children[state].items():
            fallback[child] = int(following[state, symbol])
            following[state, symbol] = child
            queue.append(child)
    return following


def _classes(alphabet: dict[str, int]) -> npt.NDArray[np.uint8]:
    table = np.full(characters.CODE_POINTS, OTHER, np.uint8)
    for character, number in alphabet.items():
        table[ord(character)] = number
        upper = character.upper()
        if len(upper) == 1:
            table[ord(upper)] = number
    flags = characters.flags()
    table[(flags & characters.SPACE != 0) & (flags & characters.BREAK == 0)] = alphabet[" "]
    return table
