"""What datatrove 0.10.0 measures: the signals of profile `parity`, and its verdicts without the lake.

They are datatrove's own statistics to the last bit, traps included (punctuation marks are words, blank lines
count, carriage returns stay), so that the rules of profile `parity` give its verdicts and first reasons. Where
it raises, for a text of no characters at all, the rule `empty_text` drops.

The filters run in FineWeb's order: repetition, quality, C4's editor, then FineWeb's rules over the text that
the editor leaves. A text that the editor gives up on is measured as it was.
"""

from __future__ import annotations

import functools
import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from assets.filters.buffers import from_text_buffers, text_buffers
from assets.filters.english_words import RULES, Words, english_words
from assets.filters.parity_kernels import (
    FIRST_DUPLICATED,
    FIRST_TOP,
    LAST_DUPLICATED,
    LAST_TOP,
    SHORT_LINE,
    STOP_WORDS,
    Count,
    EditCount,
    Edited,
    LineCount,
    carry_words,
    count,
    count_lines,
    count_sentences,
    decode,
    edit,
    encode,
    flags,
)
from assets.rules import Rule

VERSION = 1
"""Raised when a definition changes."""

BATCH = 1 << 20
"""Bytes of text measured at a time: what is known of their words lies in memory all at once."""


@dataclass(frozen=True)
class ParitySignal:
    """One value that a filter of datatrove holds against a limit: `count`, or `count / per`.

    Division by 0 gives 0.
    """

    name: str
    filter: str
    unit: str
    count: IntEnum
    per: IntEnum | None
    description: str

    @property
    def dtype(self) -> pa.DataType:
        """int64 for a count, float64 for a ratio."""
        return pa.int64() if self.per is None else pa.float64()


@dataclass(frozen=True)
class Configuration:
    """Filters of datatrove in a row, each over the text that the one before leaves.

    `terminal`: C4's editor also removes lines that no sentence mark ends.
    """

    name: str
    filters: tuple[str, ...]
    terminal: bool = False


REPETITION, QUALITY, C4, FINEWEB = "gopher_repetition", "gopher_quality", "c4_quality", "fineweb_quality"

PIPELINE = Configuration("fineweb", (REPETITION, QUALITY, C4, FINEWEB))
CONFIGURATIONS = (
    Configuration("gopher_quality", (QUALITY,)),
    Configuration("gopher_repetition", (REPETITION,)),
    Configuration("c4_quality", (C4,), terminal=True),
    Configuration("c4_quality_fineweb_setting", (C4,)),
    Configuration("fineweb_quality", (FINEWEB,)),
)


def _repetition(kind: str, element: str, elements: Count, repeated: Count, characters: Count) -> tuple:
    return (
        ParitySignal(
            f"repetition_dup_{kind}_frac",
            REPETITION,
            f"share of {element}",
            repeated,
            elements,
            f"{element.capitalize()} equal to an earlier one.",
        ),
        ParitySignal(
            f"repetition_dup_{kind}_char_frac",
            REPETITION,
            "share of characters",
            characters,
            Count.CHARACTERS,
            f"Characters of {element} equal to an earlier one.",
        ),
    )


SIGNALS: tuple[ParitySignal, ...] = (
    ParitySignal(
        "repetition_characters", REPETITION, "characters", Count.CHARACTERS, None, "Code points in the text."
    ),
    *_repetition(
        "para",
        "paragraphs",
        Count.PARAGRAPHS,
        Count.DUPLICATE_PARAGRAPHS,
        Count.DUPLICATE_PARAGRAPH_CHARACTERS,
    ),
    *_repetition("line", "lines", Count.PIECES, Count.DUPLICATE_PIECES, Count.DUPLICATE_PIECE_CHARACTERS),
    *(
        ParitySignal(
            f"repetition_top_{n}_gram",
            REPETITION,
            "share of characters",
            Count[f"TOP_{n}_GRAM_CHARACTERS"],
            Count.CHARACTERS,
            f"Length of the most frequent run of {n} words, joined by spaces, times its occurrences, even if one.",
        )
        for n in range(FIRST_TOP, LAST_TOP + 1)
    ),
    *(
        ParitySignal(
            f"repetition_duplicated_{n}_grams",
            REPETITION,
            "share of characters",
            Count[f"DUPLICATE_{n}_GRAM_CHARACTERS"],
            Count.CHARACTERS,
            f"Characters of the words in runs of {n} words met before, read left to right without overlap.",
        )
        for n in range(FIRST_DUPLICATED, LAST_DUPLICATED + 1)
    ),
    ParitySignal(
        "quality_words",
        QUALITY,
        "words",
        Count.PROPER_WORDS,
        None,
        "Words with at least one character that is not punctuation.",
    ),
    ParitySignal(
        "quality_mean_word_length",
        QUALITY,
        "characters per word",
        Count.PROPER_WORD_CHARACTERS,
        Count.PROPER_WORDS,
        "Mean length of the words that are not all punctuation.",
    ),
    ParitySignal(
        "quality_hash_ratio",
        QUALITY,
        "per word",
        Count.HASHES,
        Count.WORDS,
        "Number signs, marks being words.",
    ),
    ParitySignal(
        "quality_ellipsis_ratio",
        QUALITY,
        "per word",
        Count.ELLIPSES,
        Count.WORDS,
        "Ellipses, three full stops or the one character, marks being words.",
    ),
    ParitySignal(
        "quality_bullet_line_ratio",
        QUALITY,
        "share of lines",
        Count.BULLET_LINES,
        Count.LINES,
        "Lines, blank ones counted, that open with • or -.",
    ),
    ParitySignal(
        "quality_ellipsis_line_ratio",
        QUALITY,
        "share of lines",
        Count.ELLIPSIS_LINES,
        Count.LINES,
        "Lines, blank ones counted, that end in an ellipsis.",
    ),
    ParitySignal(
        "quality_alpha_word_ratio",
        QUALITY,
        "share of words",
        Count.ALPHABETIC_WORDS,
        Count.WORDS,
        "Words with a letter, marks being words.",
    ),
    ParitySignal(
        "quality_stop_words",
        QUALITY,
        "distinct words",
        Count.STOP_WORDS,
        None,
        f"How many of {', '.join(STOP_WORDS)} occur, in lower case.",
    ),
    ParitySignal(
        "c4_lorem_ipsum",
        C4,
        "lines",
        EditCount.LOREM_IPSUM,
        None,
        "1 where the editor met “lorem ipsum” in a line that it would keep, and gave up.",
    ),
    ParitySignal(
        "c4_curly_bracket",
        C4,
        "lines",
        EditCount.CURLY_BRACKET,
        None,
        "1 where the editor met { in a line that it would keep, and gave up.",
    ),
    ParitySignal(
        "c4_sentences", C4, "sentences", EditCount.SENTENCES, None, "Sentences in the lines that C4 keeps."
    ),
    ParitySignal("c4_kept_lines", C4, "lines", EditCount.KEPT_LINES, None, "Lines that C4 keeps."),
    *(
        ParitySignal(f"c4_{removed.name.lower()}", C4, "lines", removed, None, f"Lines removed: {why}.")
        for removed, why in (
            (EditCount.LONG_WORD_LINES, "a word is longer than 1,000 characters"),
            (EditCount.UNPUNCTUATED_LINES, "no sentence mark ends them"),
            (EditCount.SHORT_LINES, "fewer than three words"),
            (EditCount.JAVASCRIPT_LINES, "“javascript” occurs"),
            (EditCount.POLICY_LINES, "a phrase about cookies, terms or privacy occurs"),
        )
    ),
    ParitySignal(
        "c4_citations",
        C4,
        "occurrences",
        EditCount.CITATIONS,
        None,
        "Marks like [1], [edit] and [citation needed] taken out.",
    ),
    ParitySignal(
        "fineweb_lines", FINEWEB, "lines", LineCount.LINES, None, "Lines left by C4 that are not blank."
    ),
    ParitySignal(
        "fineweb_line_punct_ratio",
        FINEWEB,
        "share of lines",
        LineCount.TERMINAL_LINES,
        LineCount.LINES,
        "Lines whose last character, trailing space included, ends a sentence.",
    ),
    ParitySignal(
        "fineweb_short_line_ratio",
        FINEWEB,
        "share of lines",
        LineCount.SHORT_LINES,
        LineCount.LINES,
        f"Lines of at most {SHORT_LINE} characters.",
    ),
    ParitySignal(
        "fineweb_char_dup_ratio",
        FINEWEB,
        "share of characters",
        LineCount.DUPLICATE_LINE_CHARACTERS,
        LineCount.CHARACTERS,
        "Characters in lines equal to an earlier one, line feeds left out.",
    ),
    ParitySignal(
        "fineweb_list_ratio",
        FINEWEB,
        "per word",
        LineCount.NEWLINES,
        LineCount.WORDS,
        "Line feeds, marks being words.",
    ),
)

SCHEMA = pa.schema(
    [
        *(pa.field(signal.name, signal.dtype, nullable=False) for signal in SIGNALS),
        pa.field("edited", pa.large_string(), nullable=False),
    ]
)
"""The signals, and the text as C4's editor leaves it."""


def signal_version() -> str:
    """A digest of what the values depend on: the definitions, spaCy's rules, the version of Unicode."""
    facts = [str(VERSION), RULES, unicodedata.unidata_version, *(signal.name for signal in SIGNALS)]
    return hashlib.blake2b("\n".join(facts).encode(), digest_size=6).hexdigest()


def measure(texts: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Every signal of every text as the filters in a row see it: one row a text in the order given (SCHEMA)."""
    tables = [
        _table(batch, PIPELINE).append_column(SCHEMA.field("edited"), batch.edited_texts(PIPELINE.terminal))
        for batch in _batches(texts)
    ]
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


def edited(texts: pa.Array | pa.ChunkedArray) -> pa.ChunkedArray:
    """What C4's editor leaves of every text in FineWeb's setting (large_string); nothing is measured."""
    batches = (edit(batch.points, batch.bounds, flags(), PIPELINE.terminal) for batch in _batches(texts))
    return pa.chunked_array(map(_texts, batches), pa.large_string())


def judge(
    texts: pa.Array | pa.ChunkedArray,
    rules: Sequence[Rule],
    configurations: Iterable[Configuration] = (PIPELINE,),
) -> dict[str, pa.Table]:
    """Each configuration's verdicts, by its name: one row a text in the order given.

    Columns: `verdict` (keep or drop), `reason` (the first rule failed, or null), `text` (what the filters leave
    of a text that is kept, or null).
    """
    configurations = tuple(configurations)
    judged: dict[str, list[pa.Table]] = {configuration.name: [] for configuration in configurations}
    for batch in _batches(texts):
        for configuration in configurations:
            judged[configuration.name].append(_judge(batch, configuration, rules))
    schema = pa.schema([("verdict", pa.string()), ("reason", pa.string()), ("text", pa.large_string())])
    return {name: pa.concat_tables([schema.empty_table(), *tables]) for name, tables in judged.items()}


class _Batch:
    """Texts being measured; what several filters need of them is worked out once."""

    def __init__(self, texts: pa.Array) -> None:
        self.texts = texts
        self.points, self.bounds = decode(*text_buffers(texts))
        self._edits: dict[bool, tuple[Edited, Words]] = {}

    @functools.cached_property
    def words(self) -> Words:
        return english_words()(self.points, self.bounds)

    @functools.cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        return count(self.points, self.bounds, self.words, flags())

    def edited(self, terminal: bool) -> tuple[Edited, Words]:
        if terminal not in self._edits:
            edited = edit(self.points, self.bounds, flags(), terminal)
            words = self._words_left(edited)
            count_sentences(edited, words, flags())
            self._edits[terminal] = edited, words
        return self._edits[terminal]

    def _words_left(self, edited: Edited) -> Words:
        """The words of the edited texts: only where a line lost a citation are they cut anew."""
        changed = edited.counts[:, EditCount.CITATIONS] > 0
        sizes = np.where(changed, np.diff(edited.bounds), 0)
        bounds = np.concatenate([[0], np.cumsum(sizes)])
        points = edited.points[np.repeat(changed, np.diff(edited.bounds))]
        cut = english_words()(points, bounds)
        at = np.repeat(bounds[:-1], np.diff(cut.firsts))
        cut = Words(cut.starts - at, cut.ends - at, cut.firsts)
        return carry_words(edited, self.bounds, self.words, cut)

    def edited_texts(self, terminal: bool) -> pa.Array:
        return _texts(self.edited(terminal)[0])


def _texts(edited: Edited) -> pa.Array:
    return from_text_buffers(*encode(edited.points, edited.trimmed))


def _batches(texts: pa.Array | pa.ChunkedArray) -> Iterator[_Batch]:
    """Neighbouring texts of at most BATCH bytes together, or one that is longer."""
    for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
        _, offsets = text_buffers(chunk)
        first = 0
        while first < len(chunk):
            last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + BATCH, side="right")) - 1)
            yield _Batch(chunk.slice(first, last - first))
            first = last


def _table(batch: _Batch, configuration: Configuration) -> pa.Table:
    """The signals of the configuration's filters."""
    counts = _counts(batch, configuration)
    signals = [signal for signal in SIGNALS if signal.filter in configuration.filters]
    return pa.table({signal.name: _value(signal, counts) for signal in signals})


def _counts(batch: _Batch, configuration: Configuration) -> Mapping[type[IntEnum], npt.NDArray[np.int64]]:
    """What the configuration's filters count: one row a text, one column a member of the enumeration."""
    counts: dict[type[IntEnum], npt.NDArray[np.int64]] = {}
    points, spans, words = batch.points, np.stack([batch.bounds[:-1], batch.bounds[1:]], axis=1), batch.words
    if {REPETITION, QUALITY}.intersection(configuration.filters):
        counts[Count] = batch.counts
    if C4 in configuration.filters:
        edited, words = batch.edited(configuration.terminal)
        points, spans, counts[EditCount] = edited.points, edited.trimmed, edited.counts
    if FINEWEB in configuration.filters:
        counts[LineCount] = count_lines(points, spans, words, flags())
    return counts


def _value(
    signal: ParitySignal, counts: Mapping[type[IntEnum], npt.NDArray[np.int64]]
) -> npt.NDArray[np.int64] | npt.NDArray[np.float64]:
    counted = counts[type(signal.count)][:, signal.count]
    if signal.per is None:
        return np.ascontiguousarray(counted)
    per = counts[type(signal.per)][:, signal.per]
    ratios = np.zeros(len(per))
    np.divide(counted, per, out=ratios, where=per > 0)
    return ratios


def _judge(batch: _Batch, configuration: Configuration, rules: Sequence[Rule]) -> pa.Table:
    signals = _table(batch, configuration)
    first = np.full(len(batch.texts), len(rules))
    for place, rule in reversed(list(enumerate(rules))):
        if rule.signal in signals.column_names:
            values = signals[rule.signal].to_numpy()
            first[rule.fails(values)] = place
    reasons = np.array([*(rule.name for rule in rules), None], object)[first]
    kept = first == len(rules)
    texts = batch.edited_texts(configuration.terminal) if C4 in configuration.filters else batch.texts
    return pa.table(
        {
            "verdict": pa.array(np.where(kept, "keep", "drop"), pa.string()),
            "reason": pa.array(reasons, pa.string()),
            "text": pc.if_else(pa.array(kept), texts.cast(pa.large_string()), None),
        }
    )
