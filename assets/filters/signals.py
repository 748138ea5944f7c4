"""What is measured of every document: the table of signals, and their measurement.

A signal is a count, or a count divided by another; a denominator of 0 gives 0, so a null or empty text has
values like any other. Characters are code points. Words are the pieces between white space. Lines are the
pieces between line breaks (as `str.splitlines` has them), stripped, blank ones left out; paragraphs are what
blank lines divide. These differ knowingly from datatrove's: its punctuation tokens make the alpha rule drop
clean articles, and its line rules trip over blank lines, carriage returns and trailing spaces.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assets.filters import characters
from assets.filters.buffers import text_buffers
from assets.filters.kernels import SHORT_LINE, STOP_WORDS, Count, count

GOPHER = "Rae et al. 2021 (Gopher)"
C4 = "Raffel et al. 2020 (C4)"
FINEWEB = "Penedo et al. 2024 (FineWeb)"
OURS = "Winnow"

# Raise a group's version when a definition in it changes: its documents are then measured again.
GROUP_VERSIONS: Mapping[str, int] = MappingProxyType(
    {"size": 1, "composition": 1, "words": 2, "lines": 1, "repetition": 1, "markers": 1}
)


@dataclass(frozen=True)
class Signal:
    """One measured value of a document: `count`, or `count / per` where `per` is given."""

    name: str
    group: str
    unit: str
    count: Count
    per: Count | None
    description: str
    source: str

    @property
    def dtype(self) -> pa.DataType:
        """int64 for a count, float64 for a ratio."""
        return pa.int64() if self.per is None else pa.float64()


def _repetition() -> tuple[Signal, ...]:
    top = tuple(
        Signal(
            f"top_{n}_gram_char_ratio",
            "repetition",
            "share of characters",
            Count[f"TOP_{n}_GRAM_CHARACTERS"],
            Count.CHARACTERS,
            f"Length of the most frequent run of {n} words, joined by spaces, times its occurrences; 0 where "
            "none occurs twice.",
            GOPHER,
        )
        for n in (2, 3, 4)
    )
    duplicated = tuple(
        Signal(
            f"dup_{n}_gram_char_ratio",
            "repetition",
            "share of characters",
            Count[f"DUPLICATE_{n}_GRAM_CHARACTERS"],
            Count.CHARACTERS,
            f"Characters of the words in runs of {n} words met before, read left to right without overlap.",
            GOPHER,
        )
        for n in range(5, 11)
    )
    return top + duplicated


SIGNALS: tuple[Signal, ...] = (
    Signal("characters", "size", "characters", Count.CHARACTERS, None, "Code points in the text.", OURS),
    Signal("words", "size", "words", Count.WORDS, None, "Pieces between Unicode white space.", GOPHER),
    Signal("lines", "size", "lines", Count.LINES, None, "Lines that are not blank.", OURS),
    Signal("paragraphs", "size", "paragraphs", Count.PARAGRAPHS, None, "Blocks between blank lines.", OURS),
    Signal("longest_word", "size", "characters", Count.LONGEST_WORD, None, "Length of the longest word.", C4),
    Signal(
        "longest_line", "size", "characters", Count.LONGEST_LINE, None, "Length of the longest line.", OURS
    ),
    Signal(
        "non_alpha_ratio",
        "composition",
        "share of characters",
        Count.NEITHER_LETTERS_NOR_SPACES,
        Count.CHARACTERS,
        "Characters that are neither letters (with their combining marks) nor white space.",
        OURS,
    ),
    Signal(
        "uppercase_ratio",
        "composition",
        "share of letters",
        Count.UPPERS,
        Count.LETTERS,
        "Upper-case letters.",
        OURS,
    ),
    Signal(
        "digit_ratio",
        "composition",
        "share of characters",
        Count.DIGITS,
        Count.CHARACTERS,
        "Decimal digits of any script.",
        OURS,
    ),
    Signal(
        "whitespace_ratio",
        "composition",
        "share of characters",
        Count.SPACES,
        Count.CHARACTERS,
        "Unicode white space.",
        OURS,
    ),
    Signal(
        "symbol_ratio",
        "composition",
        "share of characters",
        Count.SYMBOLS,
        Count.CHARACTERS,
        "Punctuation and symbols (Unicode categories P and S).",
        OURS,
    ),
    Signal(
        "mean_word_length",
        "words",
        "characters per word",
        Count.WORD_CHARACTERS,
        Count.WORDS,
        "Mean length of the words, punctuation on them included.",
        GOPHER,
    ),
    Signal("hash_ratio", "words", "per word", Count.HASHES, Count.WORDS, "Number signs (#).", GOPHER),
    Signal(
        "ellipsis_ratio",
        "words",
        "per word",
        Count.ELLIPSES,
        Count.WORDS,
        "Ellipses, three full stops or the one character, per word.",
        GOPHER,
    ),
    Signal(
        "alpha_word_ratio",
        "words",
        "share of words",
        Count.LETTER_WORDS,
        Count.NON_SYMBOL_WORDS,
        "Words with at least one letter of any script, of those that are more than punctuation and symbols.",
        GOPHER,
    ),
    Signal(
        "stop_word_count",
        "words",
        "distinct words",
        Count.STOP_WORDS,
        None,
        f"How many of {', '.join(STOP_WORDS)} occur, by the letters of a word in either case.",
        GOPHER,
    ),
    Signal(
        "unique_word_ratio",
        "words",
        "share of words",
        Count.UNIQUE_WORDS,
        Count.WORDS,
        "Distinct words over words, case and punctuation kept.",
        OURS,
    ),
    Signal(
        "url_count",
        "words",
        "words",
        Count.URL_WORDS,
        None,
        "Words that hold a letter followed by :// or begin with www.",
        OURS,
    ),
    Signal(
        "url_ratio", "words", "share of words", Count.URL_WORDS, Count.WORDS, "Words that hold a URL.", OURS
    ),
    Signal(
        "bullet_line_ratio",
        "lines",
        "share of lines",
        Count.BULLET_LINES,
        Count.LINES,
        "Lines that open with a bullet, or with a dash, asterisk or plus sign before white space.",
        GOPHER,
    ),
    Signal(
        "ellipsis_line_ratio",
        "lines",
        "share of lines",
        Count.ELLIPSIS_LINES,
        Count.LINES,
        "Lines that end in an ellipsis.",
        GOPHER,
    ),
    Signal(
        "terminal_punct_line_ratio",
        "lines",
        "share of lines",
        Count.TERMINAL_LINES,
        Count.LINES,
        "Lines that end a sentence in any script, closing quotes and brackets after the mark set aside.",
        FINEWEB,
    ),
    Signal(
        "short_line_ratio",
        "lines",
        "share of lines",
        Count.SHORT_LINES,
        Count.LINES,
        f"Lines of at most {SHORT_LINE} characters.",
        FINEWEB,
    ),
    Signal("list_ratio", "lines", "per word", Count.NEWLINES, Count.WORDS, "Line feeds per word.", FINEWEB),
    Signal(
        "dup_line_ratio",
        "repetition",
        "share of lines",
        Count.DUPLICATE_LINES,
        Count.LINES,
        "Lines equal to an earlier one.",
        GOPHER,
    ),
    Signal(
        "dup_line_char_ratio",
        "repetition",
        "share of characters",
        Count.DUPLICATE_LINE_CHARACTERS,
        Count.CHARACTERS,
        "Characters in lines equal to an earlier one.",
        GOPHER,
    ),
    Signal(
        "dup_para_ratio",
        "repetition",
        "share of paragraphs",
        Count.DUPLICATE_PARAGRAPHS,
        Count.PARAGRAPHS,
        "Paragraphs equal to an earlier one.",
        GOPHER,
    ),
    Signal(
        "dup_para_char_ratio",
        "repetition",
        "share of characters",
        Count.DUPLICATE_PARAGRAPH_CHARACTERS,
        Count.CHARACTERS,
        "Characters in paragraphs equal to an earlier one.",
        GOPHER,
    ),
    *_repetition(),
    Signal(
        "curly_brace_count",
        "markers",
        "characters",
        Count.BRACES,
        None,
        "Opening curly braces.",
        C4,
    ),
    Signal(
        "lorem_ipsum",
        "markers",
        "occurrences",
        Count.LOREM_IPSUM,
        None,
        "Words that begin “lorem ipsum”, in either case.",
        C4,
    ),
    Signal(
        "replacement_char_count",
        "markers",
        "characters",
        Count.REPLACEMENTS,
        None,
        "U+FFFD: what a wrong decoding leaves.",
        OURS,
    ),
    Signal(
        "control_char_count",
        "markers",
        "characters",
        Count.CONTROLS,
        None,
        "Control characters that are not white space.",
        OURS,
    ),
)


def _fingerprint() -> str:
    groups = sorted({signal.group for signal in SIGNALS})
    facts = [f"{group}={GROUP_VERSIONS[group]}" for group in groups]
    facts += [signal.name for signal in SIGNALS]
    # Which characters are letters or spaces changes between versions of Unicode.
    facts.append(f"unicode={unicodedata.unidata_version}")
    return hashlib.blake2b("\n".join(facts).encode(), digest_size=6).hexdigest()


SIGNAL_VERSION = _fingerprint()

SCHEMA = pa.schema([pa.field(signal.name, signal.dtype, nullable=False) for signal in SIGNALS])


def measure(texts: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Every signal of every text: one row a text in the order given, one column a signal (SCHEMA)."""
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    tables = [_measure(chunk) for chunk in chunks if len(chunk)]
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


def warm() -> None:
    """Compile the kernels (ten seconds), or load them from the cache of numba (under one)."""
    measure(pa.array(["warm"]))


def _measure(texts: pa.Array) -> pa.Table:
    data, offsets = text_buffers(texts)
    counts = count(data, offsets, characters.flags()).T
    return pa.Table.from_arrays([pa.array(_value(signal, counts)) for signal in SIGNALS], schema=SCHEMA)


def _value(signal: Signal, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | npt.NDArray[np.float64]:
    counted = np.ascontiguousarray(counts[signal.count])
    if signal.per is None:
        return counted
    per = counts[signal.per]
    ratios = np.zeros(len(per))
    np.divide(counted, per, out=ratios, where=per > 0)
    return ratios
