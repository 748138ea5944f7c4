"""Where personal data is: entity, span, score and a keyed hash, never the value."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.privacy.analyzer import analyze
from assets.privacy.credentials import CREDENTIALS, candidate, find_credentials
from assets.privacy.disguises import CANDIDATE, plain
from assets.privacy.hits import Hit, blot, exhaust
from assets.privacy.keys import PiiKey
from assets.privacy.names import EVIDENCE, NAMES, find_names, load_model, sentences
from assets.privacy.recognizers import ENTITIES, KOREAN, LANGUAGES, OTHER, RECOGNIZERS, anything, signs
from assets.settings import NER_TIERS

FINDING = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("entity", pa.string(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("recognizer", pa.string(), nullable=False),
        pa.field("value_hmac", pa.string(), nullable=False),
        pa.field("key_id", pa.string(), nullable=False),
    ]
)
"""One row a finding; `start` and `end` count code points of the text."""

WINDOW = 8_000
MARGIN = 1_000
"""Code points. A longer text is searched a window at a time, each with the margin on both sides.

spaCy refuses more than a million characters; well before that, the time of Presidio's e-mail pattern and of
its search for context words grows with the square of the length. A finding belongs to the window it
starts in, so only one longer than the margin can come out shortened. Credentials, which may be longer, are
searched in whole texts.
"""

BATCH = 4_096

Look = Callable[[str], list[Hit]]
Place = tuple[int, int, int, str]

HANGUL = r"[\x{1100}-\x{11FF}\x{3131}-\x{318E}\x{AC00}-\x{D7A3}]"


class PiiError(RuntimeError):
    """A document that could not be searched, named by source and id; it never quotes the text."""


@dataclass(frozen=True)
class PiiPolicy:
    """What counts as a finding: these entities, at this score or above; names only where a tier asks for them.

    A number of the right shape alone scores 0.05 to 0.4; context words, a checksum or a telling format raise
    it. At 0.4 valid phone numbers count, and nine digits count as a social security number only
    where the words say so.
    """

    entities: tuple[str, ...] = ENTITIES
    score_threshold: float = 0.4
    ner: str = "off"

    def __post_init__(self) -> None:
        if self.ner not in NER_TIERS:
            raise ValueError(f"{self.ner!r} is no tier of names; there are {', '.join(NER_TIERS)}")
        if unknown := sorted(set(self.entities) - set(ENTITIES)):
            raise ValueError(f"no recogniser for {', '.join(unknown)}; there are {', '.join(ENTITIES)}")


@dataclass(frozen=True)
class _Window:
    """A piece of a document's text: it starts at `offset` and answers for spans that start in [low, high).

    `places`, of an undisguised text, are where its characters stood in the piece.
    """

    row: int
    text: str
    offset: int
    low: int
    high: int
    places: Sequence[int] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """A span of `text` as one of the document's."""
        if self.places is not None:
            start, end = self.places[start], self.places[end - 1] + 1
        return self.offset + start, self.offset + end


def find_pii(documents: pa.Table, key: PiiKey, policy: PiiPolicy | None = None) -> pa.Table:
    """Every finding in `documents` (doc_id, source, text, language) as a `FINDING` table.

    Rows are in the order of the documents, then by start, end and entity. What is disguised (disguises.py) is
    found where it stands, and its hash is that of the plain value. Korean text, by its language hint
    or because there is Hangul in it, is also searched for Korean numbers; text that is not English, by the
    same signs, is not searched for names.

    Raises:
        PiiError: A recogniser failed on a document.
        NamesError: Names are to be found and their model is not installed.
    """
    policy = policy or PiiPolicy()
    found = _find(documents, key, policy)
    named = sorted({row for row, _, _, entity in found if entity in NAMES})
    if named:
        # A name that gives way brings the words before it nearer to what follows it, and with them a score.
        spans: dict[int, list[tuple[int, int]]] = {}
        for row, start, end, _ in found:
            spans.setdefault(row, []).append((start, end))
        again = documents.select(["doc_id", "source", "language"]).take(named)
        texts = documents.column("text")
        without = [blot(texts[row].as_py(), spans[row]) for row in named]
        again = again.append_column("text", pa.array(without, pa.string()))
        more = _find(again, key, replace(policy, ner="off"))
        for (row, start, end, entity), finding in more.items():
            found[named[row], start, end, entity] = finding
    return pa.Table.from_pylist([found[place] for place in sorted(found)], schema=FINDING)


def _find(documents: pa.Table, key: PiiKey, policy: PiiPolicy) -> dict[Place, dict]:
    """The findings in some documents, by their place."""
    identities = documents.select(["doc_id", "source"]).to_pylist()
    found: dict[Place, dict] = {}
    for window, hits in _searched(documents, policy):
        for hit in hits:
            start, end = window.span(hit.start, hit.end)
            if not window.low <= start < window.high or hit.score < policy.score_threshold:
                continue
            finding = identities[window.row] | {
                "entity": hit.entity,
                "start": start,
                "end": end,
                "score": hit.score,
                "recognizer": hit.recognizer,
                "value_hmac": key.hmac(window.text[hit.start : hit.end]),
                "key_id": key.id,
            }
            # What is found as it stands and once more undisguised is one finding.
            found.setdefault((window.row, start, end, hit.entity), finding)
    return found


def _searched(documents: pa.Table, policy: PiiPolicy) -> Iterator[tuple[_Window, list[Hit]]]:
    """Each window that may hold something, and what is in it."""
    for window, look in chain(_patterned(documents, policy), _credentials(documents, policy)):
        with _naming(documents, window):
            hits = look(window.text)
        yield window, hits
    entities = [entity for entity in NAMES if entity in policy.entities]
    if policy.ner == "off" or not entities:
        return
    load_model()
    windows, pattern = _english(documents), ""
    if policy.ner == "gated":
        windows, pattern = _sentences(windows), EVIDENCE
    for batch, _ in _matched(windows, pattern):
        try:
            found = find_names([window.text for window in batch], entities)
        except Exception:
            # Which of them it was is seen when each is searched alone.
            found = []
            for window in batch:
                with _naming(documents, window):
                    found += find_names([window.text], entities)
        yield from zip(batch, found, strict=True)


@contextmanager
def _naming(documents: pa.Table, window: _Window) -> Iterator[None]:
    """Where a window is searched: an error names its document."""
    try:
        yield
    except Exception as error:
        # A library's messages may quote the value, and a chained traceback quotes the message.
        name = f"{documents['source'][window.row]}: document {documents['doc_id'][window.row]}"
        raise PiiError(f"{name}: {type(error).__name__} while searching for personal data") from None


def search(text: str, language: str, entities: list[str], threshold: float) -> list[Hit]:
    """What Presidio finds of some entities, and what it finds once that is gone."""
    return exhaust(text, lambda text: analyze(text, language, entities, threshold))


def _patterned(documents: pa.Table, policy: PiiPolicy) -> Iterator[tuple[_Window, Look]]:
    """Each window that can hold what Presidio's patterns find, and how it is searched."""
    recognizers = [recognizer for recognizer in RECOGNIZERS if recognizer.entity in policy.entities]
    hints = documents.column("language").to_pylist()
    asked = _matching(documents.column("text"), f"{anything(recognizers)}|{CANDIDATE}")
    for windows, texts in _matched(_windows(documents.column("text"), asked), signs(recognizers)):
        hangul = set(_matching(texts, HANGUL))
        languages = [
            KOREAN if at in hangul else _spoken(hints[window.row]) for at, window in enumerate(windows)
        ]
        held: dict[int, list[str]] = defaultdict(list)
        for recognizer in recognizers:
            if any(map(recognizer.reads, set(languages))):
                for at in _matching(texts, recognizer.candidate):
                    if recognizer.reads(languages[at]):
                        held[at].append(recognizer.entity)
        for at, entities in sorted(held.items()):
            yield (
                windows[at],
                partial(search, language=languages[at], entities=entities, threshold=policy.score_threshold),
            )


def _spoken(hint: str | None) -> str:
    return hint if hint in LANGUAGES else OTHER


def _credentials(documents: pa.Table, policy: PiiPolicy) -> Iterator[tuple[_Window, Look]]:
    """Each text that can hold a credential, whole, and how it is searched."""
    entities = [entity for entity in CREDENTIALS if entity in policy.entities]
    if not entities:
        return
    pattern = candidate(entities)
    texts = documents.column("text")
    rows = _matching(texts, f"{pattern}|{CANDIDATE}")
    whole = (_Window(row, text, 0, 0, len(text)) for row, text in _taken(texts, rows))
    for windows, _ in _matched(whole, pattern):
        for window in windows:
            yield window, partial(find_credentials, entities=entities)


def _english(documents: pa.Table) -> Iterator[_Window]:
    """The windows of English text: of no language or that one by its hint, and without Hangul."""
    hints = documents.column("language").to_pylist()
    foreign = set(_matching(documents.column("text"), HANGUL))
    rows = [row for row, hint in enumerate(hints) if hint in (None, "en") and row not in foreign]
    return _windows(documents.column("text"), rows)


def _sentences(windows: Iterable[_Window]) -> Iterator[_Window]:
    """The sentences of some windows, each as a window; of those in a margin none."""
    for window in windows:
        for start, end in sentences(window.text):
            if window.offset + end > window.low and window.offset + start < window.high:
                yield replace(window, text=window.text[start:end], offset=window.offset + start)


def _matched(windows: Iterator[_Window], pattern: str) -> Iterator[tuple[list[_Window], pa.Array]]:
    """The windows that match a pattern, as they stand or undisguised, and their texts; some at a time."""
    while batch := list(islice(windows, BATCH)):
        texts = pa.array([window.text for window in batch], pa.large_string())
        if undisguised := _undisguised(batch, texts):
            batch += undisguised
            more = pa.array([window.text for window in undisguised], pa.large_string())
            texts = pa.concat_arrays([texts, more])
        some = _matching(texts, pattern)
        yield [batch[at] for at in some], texts.take(pa.array(some, pa.int64()))


def _undisguised(windows: list[_Window], texts: pa.Array) -> list[_Window]:
    """The windows in which something is disguised, as they read: to be searched besides, not instead."""
    # Plain characters disguise nothing, and most texts have no others.
    others = np.flatnonzero(pc.invert(pc.string_is_ascii(texts)))
    held = others[_matching(texts.take(pa.array(others)), CANDIDATE)]
    found = ((windows[at], plain(windows[at].text)) for at in held)
    return [replace(window, text=read[0], places=read[1]) for window, read in found if read is not None]


def _matching(texts: pa.Array | pa.ChunkedArray, pattern: str) -> list[int]:
    return np.flatnonzero(pc.match_substring_regex(texts, pattern)).tolist()


def _taken(texts: pa.ChunkedArray, rows: list[int]) -> Iterator[tuple[int, str]]:
    """Some rows with their texts, not all of which are in memory a second time at once."""
    for first in range(0, len(rows), BATCH):
        some = rows[first : first + BATCH]
        yield from zip(some, texts.take(pa.array(some, pa.int64())).to_pylist(), strict=True)


def _windows(texts: pa.ChunkedArray, rows: list[int]) -> Iterator[_Window]:
    """The texts of some rows, those that are too long in pieces."""
    for row, text in _taken(texts, rows):
        if len(text) <= WINDOW + MARGIN:
            yield _Window(row, text, 0, 0, len(text))
            continue
        for low in range(0, len(text), WINDOW):
            high = low + WINDOW
            offset = max(0, low - MARGIN)
            yield _Window(row, text[offset : high + MARGIN], offset, low, high)
