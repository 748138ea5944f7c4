"""What each Unicode character is: one table of bit flags, indexed by code point."""

from __future__ import annotations

import functools
import unicodedata

import numpy as np
import numpy.typing as npt

SPACE = 1 << 0  # str.isspace
LETTER = 1 << 1  # letters, and the marks that complete them (Indic vowel signs, decomposed accents)
UPPER = 1 << 2
DIGIT = 1 << 3  # decimal digits of any script
SYMBOL = 1 << 4  # punctuation and symbols
CONTROL = 1 << 5  # control characters that are not white space
BREAK = 1 << 6  # ends a line, as in str.splitlines
TERMINAL = 1 << 7  # ends a sentence
CLOSING = 1 << 8  # may follow the mark that ends a sentence
BULLET = 1 << 9  # opens a list item
DASH = 1 << 10  # opens a list item where white space follows
UNSPACED = 1 << 11  # belongs to a script that puts no spaces between words
NAMED = 1 << 12  # letters and numbers: what makes a word more than punctuation
STOP = 1 << 13  # ends a sentence though no white space follows
TRAILING = 1 << 14  # what a UTF-8 continuation byte becomes when read as Latin-1 or Windows-1252
QUOTING = 1 << 15  # of those, what typography puts after a letter anyway

LINE_BREAKS = "\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"
BULLETS = "•‣⁃◦▪▫●○·・"
DASHES = "-–—*+"
CLOSINGS = "\"')]}’”»›」』）】》〉"
QUOTINGS = "\u00a0«»‘’“”‚„‹›–—…·"
WINDOWS_1252 = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"

# Unicode's Sentence_Terminal without the newest additions: the marks that FineWeb's line rule counts.
SENTENCE_TERMINALS = (
    "21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736 "
    "17D4-17D6 17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E 1C3B-1C3C 1C7E-1C7F "
    "203C-203D 2047-2049 2E2E 2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F "
    "A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE52 FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59 "
    "10F86-10F89 11047-11048 110BE-110C1 11141-11143 111C5-111C6 111CD 111DE-111DF 11238-11239 1123B-1123C "
    "112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642 1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C "
    "11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 16B37-16B38 16B44 16E98 1BC9F 1DA88"
)
# Thai to Lao, Myanmar, Khmer, kana, Bopomofo, the CJK ideographs and their extensions.
UNSPACED_SCRIPTS = (
    "E01-E30 E32-E33 E40-E46 E81-EB0 EB2-EB3 EC0-EC6 1000-103F 1780-17B3 3005-3007 3041-3096 309D-309F "
    "30A1-30FA 30FC-30FF 3105-312F 31F0-31FF 3400-4DBF 4E00-9FFF F900-FAFF FF66-FF9D 20000-323AF"
)

# Beside the scripts in the table `scripts`: what is not a letter and yet tells where a text comes from.
NO_SCRIPT, LATIN, HAN, KANA, HANGUL, CYRILLIC, ARABIC = range(7)
EMOJI, INVISIBLE, UNASSIGNED = 253, 254, 255
FIRST_OTHER_SCRIPT = 7
NAMED_SCRIPTS = {
    "LATIN": LATIN,
    "CJK": HAN,
    "IDEOGRAPHIC": HAN,
    "HIRAGANA": KANA,
    "KATAKANA": KANA,
    "KATAKANA-HIRAGANA": KANA,
    "HANGUL": HANGUL,
    "CYRILLIC": CYRILLIC,
    "ARABIC": ARABIC,
}
HAN_IDEOGRAPHS = "3400-4DBF 4E00-9FFF F900-FAFF 20000-323AF"
HANGUL_SYLLABLES = "AC00-D7A3"
# Pictographs and the regional indicators of flags; the joiners and selectors between them are none.
EMOJIS = "231A-231B 23E9-23F3 2600-27BF 2B50 2B55 1F000-1FAFF"
# Soft hyphens, zero-width spaces, directional and invisible controls, tags; not the joiners (200C, 200D) that
# Persian, Indic scripts and emoji need.
INVISIBLES = "AD 180E 200B 200E-200F 202A-202E 2060-206F FEFF E0001 E0020-E007F"

# The other planes hold private characters or none, which have no flag; skipping them saves 0.4 s a process.
ASSIGNED_PLANES = "0-3FFFF E0000-E0FFF"
CODE_POINTS = 0x110000


def code_points(ranges: str) -> npt.NDArray[np.int64]:
    """The code points that a list of hexadecimal ranges names."""
    bounds = (piece.split("-") for piece in ranges.split())
    return np.concatenate([np.arange(int(b[0], 16), int(b[-1], 16) + 1) for b in bounds])


@functools.cache
def categories() -> npt.NDArray[np.str_]:
    """The general category of every code point, two letters each (`Lu`, `Nd`, …)."""
    table = np.full(CODE_POINTS, "Cn")
    assigned = code_points(ASSIGNED_PLANES)
    table[assigned] = [unicodedata.category(chr(point)) for point in assigned]
    return table


@functools.cache
def flags() -> npt.NDArray[np.uint16]:
    """The flags of every code point, by the Unicode version of the running Python."""
    category = categories()
    major = category.astype("U1")
    characters = np.arange(CODE_POINTS, dtype=np.uint32).view("U1")
    space = np.char.isspace(characters)
    table = np.zeros(CODE_POINTS, np.uint16)
    table[space] |= SPACE
    table[(major == "L") | (major == "M")] |= LETTER
    table[np.char.isupper(characters)] |= UPPER
    table[category == "Nd"] |= DIGIT
    table[(major == "P") | (major == "S")] |= SYMBOL
    table[(category == "Cc") & ~space] |= CONTROL
    table[(major == "L") | (major == "N")] |= NAMED
    table[0x80:0xC0] |= TRAILING
    for flag, members in (
        (BREAK, LINE_BREAKS),
        (CLOSING, CLOSINGS),
        (BULLET, BULLETS),
        (DASH, DASHES),
        (TRAILING, WINDOWS_1252),
        (QUOTING, QUOTINGS),
    ):
        table[[ord(member) for member in members]] |= flag
    terminals = code_points(SENTENCE_TERMINALS)
    table[terminals] |= TERMINAL
    table[terminals[terminals >= 0x80]] |= STOP
    table[code_points(UNSPACED_SCRIPTS)] |= UNSPACED
    return table


@functools.cache
def scripts() -> npt.NDArray[np.uint8]:
    """The script of every letter, EMOJI, INVISIBLE or UNASSIGNED (private use too), or NO_SCRIPT.

    Python knows no scripts; the first word of a letter's name is its script, near enough.
    """
    category = categories()
    table = np.zeros(CODE_POINTS, np.uint8)
    table[code_points(HAN_IDEOGRAPHS)] = HAN
    table[code_points(HANGUL_SYLLABLES)] = HANGUL
    numbers = dict(NAMED_SCRIPTS)
    for point in np.flatnonzero((category.astype("U1") == "L") & (table == NO_SCRIPT)):
        first, *rest = unicodedata.name(chr(point), "").split() or [""]
        name = rest[0] if first in ("HALFWIDTH", "FULLWIDTH") else first
        table[point] = numbers.setdefault(name, FIRST_OTHER_SCRIPT + len(numbers) - len(NAMED_SCRIPTS))
    table[np.isin(category, ["Cn", "Co"])] = UNASSIGNED
    # After the unassigned: Unicode keeps the free places of these blocks for pictographs to come.
    table[code_points(EMOJIS)] = EMOJI
    table[code_points(INVISIBLES)] = INVISIBLE
    return table
