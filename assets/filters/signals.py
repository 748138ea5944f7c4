"""What is measured of every document: the table of signals, and their measurement.

A signal is a count, or a count divided by another; a denominator of 0 gives 0, so a null or empty text has
values like any other. Characters are code points. Words are the pieces between white space; in a script that
puts none between words (Han, kana, Thai, …) each character is a word, with the punctuation beside it. Lines
are the pieces between line breaks (as `str.splitlines` has them), stripped, blank ones left out; paragraphs
are what blank lines divide. These differ knowingly from datatrove's: its punctuation tokens make the alpha rule drop
clean articles, and its line rules trip over blank lines, carriage returns and trailing spaces.
"""

from __future__ import annotations

import hashlib
import itertools
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assets.filters import characters, phrases
from assets.filters.buffers import text_buffers
from assets.filters.kernels import (
    FEW_WORDS,
    LONG_WORD,
    SHORT_LINE,
    SHORT_LINE_WORDS,
    STOP_WORDS,
    Count,
    Pass,
    count,
    pass_of,
)
from assets.filters.phrases import Mark

GOPHER = "Rae et al. 2021 (Gopher)"
C4 = "Raffel et al. 2020 (C4)"
FINEWEB = "Penedo et al. 2024 (FineWeb)"
REFINEDWEB = "Penedo et al. 2023 (RefinedWeb)"
OURS = "Winnow"

# What is measured together and has one version. Raise it when a definition in the group changes: documents
# are then measured again for that group alone (`measure(texts, groups)`).
GROUP_VERSIONS: Mapping[str, int] = MappingProxyType(
    {
        "size": 2,
        "composition": 1,
        "unicode": 1,
        "words": 3,
        "lines": 2,
        "repetition": 3,
        "markers": 2,
        "bad_words": 1,
        "c4": 1,
        "refinedweb": 1,
        "compression": 1,
    }
)

# The phrases that a group's values come from: another list is another version.
GROUP_MARKS: Mapping[str, tuple[Mark, ...]] = MappingProxyType(
    {
        "markers": (Mark.JAVASCRIPT, Mark.POLICY, Mark.BOILERPLATE),
        "bad_words": (Mark.BAD_WORD_EN, Mark.BAD_WORD_KO),
        "c4": (Mark.JAVASCRIPT, Mark.POLICY),
        "refinedweb": (Mark.COUNTER, Mark.LINE_START, Mark.LINE_END, Mark.IN_SHORT_LINE),
    }
)

# Level 1 is twice as fast as zlib's first and tells as much.
COMPRESSION = ("zstd", 1)


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
    Signal("words", "size", "words", Count.WORDS, None, "Unicode words, as above.", GOPHER),
    Signal("lines", "size", "lines", Count.LINES, None, "Lines that are not blank.", OURS),
    Signal("paragraphs", "size", "paragraphs", Count.PARAGRAPHS, None, "Blocks between blank lines.", OURS),
    Signal("longest_word", "size", "characters", Count.LONGEST_WORD, None, "Length of the longest word.", C4),
    Signal(
        "longest_line", "size", "characters", Count.LONGEST_LINE, None, "Length of the longest line.", OURS
    ),
    Signal(
        "sentences",
        "size",
        "sentences",
        Count.SENTENCES,
        None,
        "Marks that end a sentence, and lines that none ends; an abbreviation before a space counts as one.",
        C4,
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
        "latin_ratio",
        "unicode",
        "share of letters",
        Count.LATIN,
        Count.LETTERS,
        "Latin letters.",
        OURS,
    ),
    Signal(
        "han_ratio",
        "unicode",
        "share of letters",
        Count.HAN,
        Count.LETTERS,
        "Han characters.",
        OURS,
    ),
    Signal(
        "kana_ratio",
        "unicode",
        "share of letters",
        Count.KANA,
        Count.LETTERS,
        "Hiragana and katakana.",
        OURS,
    ),
    Signal(
        "hangul_ratio",
        "unicode",
        "share of letters",
        Count.HANGUL,
        Count.LETTERS,
        "Hangul syllables and letters.",
        OURS,
    ),
    Signal(
        "cyrillic_ratio",
        "unicode",
        "share of letters",
        Count.CYRILLIC,
        Count.LETTERS,
        "Cyrillic letters.",
        OURS,
    ),
    Signal(
        "arabic_ratio",
        "unicode",
        "share of letters",
        Count.ARABIC,
        Count.LETTERS,
        "Arabic letters.",
        OURS,
    ),
    Signal(
        "main_script_ratio",
        "unicode",
        "share of letters",
        Count.MAIN_SCRIPT,
        Count.LETTERS,
        "Letters of the commonest script, Han and kana taken as one; combining marks have none.",
        OURS,
    ),
    Signal(
        "emoji_ratio",
        "unicode",
        "share of characters",
        Count.EMOJIS,
        Count.CHARACTERS,
        "Pictographs and regional indicators.",
        OURS,
    ),
    Signal(
        "invisible_char_count",
        "unicode",
        "characters",
        Count.INVISIBLES,
        None,
        "Zero-width, directional and tag characters and soft hyphens; not the joiners that scripts need.",
        OURS,
    ),
    Signal(
        "unassigned_char_count",
        "unicode",
        "characters",
        Count.UNASSIGNED,
        None,
        "Private-use characters and code points that Unicode has not assigned.",
        OURS,
    ),
    Signal(
        "mojibake_count",
        "unicode",
        "sequences",
        Count.MOJIBAKE,
        None,
        "UTF-8 sequences that were read as Latin-1 or Windows-1252 (Ã©, â€™).",
        OURS,
    ),
    Signal(
        "replacement_char_count",
        "unicode",
        "characters",
        Count.REPLACEMENTS,
        None,
        "U+FFFD: what a wrong decoding leaves.",
        OURS,
    ),
    Signal(
        "control_char_count",
        "unicode",
        "characters",
        Count.CONTROLS,
        None,
        "Control characters that are not white space.",
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
    Signal(
        "mean_line_length",
        "lines",
        "characters per line",
        Count.LINE_CHARACTERS,
        Count.LINES,
        "Mean length of the lines.",
        OURS,
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
        "javascript_line_ratio",
        "markers",
        "share of lines",
        Count.JAVASCRIPT_LINES,
        Count.LINES,
        "Lines that hold “javascript”.",
        C4,
    ),
    Signal(
        "policy_line_ratio",
        "markers",
        "share of lines",
        Count.POLICY_LINES,
        Count.LINES,
        "Lines about terms of use, privacy or cookies (phrases.tsv).",
        C4,
    ),
    Signal(
        "boilerplate_phrase_line_ratio",
        "markers",
        "share of lines",
        Count.BOILERPLATE_LINES,
        Count.LINES,
        "Lines with a phrase of navigation, sharing or copyright (phrases.tsv).",
        OURS,
    ),
    Signal(
        "citation_count",
        "markers",
        "occurrences",
        Count.CITATIONS,
        None,
        "Markers such as [1], [], [edit] and [citation needed].",
        C4,
    ),
    Signal(
        "bad_words_en",
        "bad_words",
        "occurrences",
        Count.BAD_WORDS_EN,
        None,
        "English obscenities and slurs (phrases.tsv).",
        C4,
    ),
    Signal(
        "bad_words_ko",
        "bad_words",
        "occurrences",
        Count.BAD_WORDS_KO,
        None,
        "Korean obscenities and slurs (phrases.tsv).",
        C4,
    ),
    Signal(
        "c4_long_word_lines",
        "c4",
        "lines",
        Count.C4_LONG_WORD_LINES,
        None,
        f"Lines with a word of more than {LONG_WORD:,} characters. Of this group each line has one rule, its first.",
        C4,
    ),
    Signal(
        "c4_unterminated_lines",
        "c4",
        "lines",
        Count.C4_UNTERMINATED_LINES,
        None,
        "Lines that don't end a sentence, in any script and citation markers set aside, or end in an ellipsis.",
        C4,
    ),
    Signal(
        "c4_few_word_lines",
        "c4",
        "lines",
        Count.C4_FEW_WORD_LINES,
        None,
        f"Lines of fewer than {FEW_WORDS} words.",
        C4,
    ),
    Signal(
        "c4_javascript_lines",
        "c4",
        "lines",
        Count.C4_JAVASCRIPT_LINES,
        None,
        "Lines that hold “javascript”.",
        C4,
    ),
    Signal(
        "c4_policy_lines",
        "c4",
        "lines",
        Count.C4_POLICY_LINES,
        None,
        "Lines about terms of use, privacy or cookies.",
        C4,
    ),
    Signal(
        "c4_removed_char_ratio",
        "c4",
        "share of characters",
        Count.C4_REMOVED_CHARACTERS,
        Count.CHARACTERS,
        "Characters of the lines that C4's rules remove.",
        C4,
    ),
    Signal(
        "c4_sentences",
        "c4",
        "sentences",
        Count.C4_SENTENCES,
        None,
        "Sentences of the lines that C4's rules leave.",
        C4,
    ),
    Signal(
        "refinedweb_uppercase_lines",
        "refinedweb",
        "lines",
        Count.REFINEDWEB_UPPERCASE_LINES,
        None,
        "Lines more than half of whose characters are upper case. Of this group each line has one rule, its first.",
        REFINEDWEB,
    ),
    Signal(
        "refinedweb_numeric_lines",
        "refinedweb",
        "lines",
        Count.REFINEDWEB_NUMERIC_LINES,
        None,
        "Lines of digits, with punctuation and symbols.",
        REFINEDWEB,
    ),
    Signal(
        "refinedweb_counter_lines",
        "refinedweb",
        "lines",
        Count.REFINEDWEB_COUNTER_LINES,
        None,
        "Lines that are a number of likes, views, comments, … (phrases.tsv).",
        REFINEDWEB,
    ),
    Signal(
        "refinedweb_one_word_lines",
        "refinedweb",
        "lines",
        Count.REFINEDWEB_ONE_WORD_LINES,
        None,
        "Lines of one word.",
        REFINEDWEB,
    ),
    Signal(
        "refinedweb_phrase_lines",
        "refinedweb",
        "lines",
        Count.REFINEDWEB_PHRASE_LINES,
        None,
        f"Lines of at most {SHORT_LINE_WORDS} words with a phrase of navigation at its place (phrases.tsv).",
        REFINEDWEB,
    ),
    Signal(
        "refinedweb_removed_char_ratio",
        "refinedweb",
        "share of characters",
        Count.REFINEDWEB_REMOVED_CHARACTERS,
        Count.CHARACTERS,
        "Characters of the lines that RefinedWeb removes and of the phrases that it cuts; it drops a page at 0.05.",
        REFINEDWEB,
    ),
    Signal(
        "compression_ratio",
        "compression",
        "bytes per byte",
        Count.BYTES,
        Count.COMPRESSED_BYTES,
        f"Bytes of the UTF-8 text over its bytes after {' level '.join(map(str, COMPRESSION))}; high where "
        "text repeats itself.",
        OURS,
    ),
)


def _signals(groups: Collection[str] | None) -> list[Signal]:
    unknown = set(groups or ()) - GROUP_VERSIONS.keys()
    if unknown:
        raise KeyError(f"no group of signals is called {', '.join(sorted(unknown))}")
    return [signal for signal in SIGNALS if groups is None or signal.group in groups]


def version_of(group: str) -> str:
    """The version of a group's values: of its definitions, of the phrases it counts and of what it rests on."""
    facts = [f"{group}={GROUP_VERSIONS[group]}"]
    facts += [signal.name for signal in SIGNALS if signal.group == group]
    facts.append(phrases.version(*GROUP_MARKS.get(group, ())))
    # Which characters are letters or spaces changes between versions of Unicode.
    facts.append(f"unicode={unicodedata.unidata_version}")
    if group == "compression":
        facts.append(f"pyarrow={pa.__version__}")
    return hashlib.blake2b("\n".join(facts).encode(), digest_size=6).hexdigest()


VERSIONS: Mapping[str, str] = MappingProxyType({group: version_of(group) for group in GROUP_VERSIONS})


def schema(groups: Collection[str] | None = None) -> pa.Schema:
    """The columns of the groups, of all where none are named, in the order of SIGNALS; no value is null."""
    return pa.schema([pa.field(each.name, each.dtype, nullable=False) for each in _signals(groups)])


SCHEMA = schema()


def measure(texts: pa.Array | pa.ChunkedArray, groups: Collection[str] | None = None) -> pa.Table:
    """The signals of every text: one row a text in the order given, one column a signal (`schema(groups)`).

    Only the passes that the groups need are made. So one group whose entry of VERSIONS changed is measured
    alone, and its columns take the place of the old ones:

        fresh = measure(texts, ["markers"])
        for name in fresh.column_names:
            table = table.set_column(table.column_names.index(name), name, fresh[name])

    Args:
        texts: Any Arrow strings; a null is measured as an empty text.
        groups: Keys of GROUP_VERSIONS; None for all.

    Raises:
        KeyError: A group is not known.
        pyarrow.ArrowInvalid: A text isn't UTF-8; a lone surrogate isn't. Readers quarantine such rows before.
    """
    signals = _signals(groups)
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    tables = [_measure(chunk, signals) for chunk in chunks if len(chunk)]
    return pa.concat_tables(tables) if tables else schema(groups).empty_table()


def warm() -> None:
    """Compile the kernels (half a minute), or load them from the cache of numba (under one second)."""
    measure(pa.array(["warm"]))


def _measure(texts: pa.Array, signals: list[Signal]) -> pa.Table:
    data, offsets = text_buffers(texts)
    passes = Pass(0)
    for signal in signals:
        passes |= pass_of(signal.count) | pass_of(signal.per or Count.CHARACTERS)
    counts = count(
        data, offsets, characters.flags(), characters.scripts(), phrases.automaton(), int(passes)
    ).T
    if passes & Pass.COMPRESSION:
        counts[Count.BYTES] = np.diff(offsets)
        counts[Count.COMPRESSED_BYTES] = _compressed_sizes(data, offsets)
    values = [pa.array(_value(signal, counts)) for signal in signals]
    fields = [pa.field(signal.name, signal.dtype, nullable=False) for signal in signals]
    return pa.Table.from_arrays(values, schema=pa.schema(fields))


def _compressed_sizes(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> list[int]:
    codec = pa.Codec(*COMPRESSION)
    buffer = pa.py_buffer(data)
    bounds = offsets.tolist()
    return [
        codec.compress(buffer.slice(start, stop - start)).size if stop > start else 0
        for start, stop in itertools.pairwise(bounds)
    ]


def _value(signal: Signal, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | npt.NDArray[np.float64]:
    counted = np.ascontiguousarray(counts[signal.count])
    if signal.per is None:
        return counted
    per = counts[signal.per]
    ratios = np.zeros(len(per))
    np.divide(counted, per, out=ratios, where=per > 0)
    return ratios
