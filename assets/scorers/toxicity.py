"""Toxicity of a text in [0, 1], from a written term list: no download, no model, every point explainable."""

from __future__ import annotations

import csv
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

TERMS = Path(__file__).parent / "toxicity_terms.tsv"
METHOD = "terms-1"
TOXIC = 0.5
"""At this score and above a text counts as toxic."""
TWEET = 280
"""Characters up to which one hit counts in full."""

# A term starts where a word starts. RE2's \b knows ASCII alone, so Hangul needs the second branch, which
# may eat the character before the term: only the group after it is the hit.
WORD_START = r"(?:\b|^|[^\p{L}])"


@dataclass(frozen=True)
class Term:
    """One line of the list.

    `match` says where the term ends: `word` at the end of a word, `prefix` anywhere (a stem), `phrase` is
    a pattern of groups, alternatives and options in which a space stands for any white space and
    `<category>` for every single word of that category in the same language. `weight` is our estimate of
    the chance that a tweet-sized text holding the term is toxic.
    """

    term: str
    category: str
    weight: float
    language: str
    match: str


@lru_cache(maxsize=1)
def terms() -> tuple[Term, ...]:
    """The list as shipped: obscenities, insults, slights, slurs and threats, in English and Korean.

    Raises:
        ValueError: A line's weight or kind of match can't be used; the message names the line.
    """
    with TERMS.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    listed = []
    for number, line in enumerate(lines, start=2):
        term = Term(line["term"], line["category"], float(line["weight"]), line["language"], line["match"])
        if not 0 < term.weight < 1 or term.match not in ("word", "prefix", "phrase"):
            raise ValueError(f"{TERMS.name} line {number}: weight {term.weight}, match {term.match!r}")
        if term.match == "word" and not term.term.isascii():
            raise ValueError(f"{TERMS.name} line {number}: only an ASCII word has an end, use prefix")
        listed.append(term)
    return tuple(listed)


def version() -> str:
    """The method's version and the hash of the term list."""
    return f"{METHOD}-{hashlib.blake2b(TERMS.read_bytes(), digest_size=8).hexdigest()}"


def score(texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """How toxic each text is: float32 in [0, 1], in order.

    The hits' noisy-or, 1 - prod(1 - weight x exposure) over the distinct terms found. The exposure of a term
    seen c times in L characters is min(1, sqrt(c x 280 / L)): an insult fills a tweet and is lost on a page.

    The list knows words, not meaning: quotation, reclaimed slurs and fiction score as if they were meant,
    and contempt in polite words scores 0.
    """
    count = len(texts)
    rows, hits, seen, lengths = _hits(texts)
    if not len(rows):
        return np.zeros(count, dtype=np.float32)
    distinct, inverse = np.unique(hits, return_inverse=True)
    found = np.array([_term_of(hit) for hit in distinct])[inverse]
    pairs, pair = np.unique(np.stack([rows, found]), axis=1, return_inverse=True)
    times = np.bincount(pair.ravel(), weights=seen)
    length = np.zeros(count)
    length[rows] = lengths
    weights = np.array([term.weight for term in terms()])[pairs[1]]
    exposure = np.minimum(1.0, np.sqrt(times * TWEET / length[pairs[0]]))
    clean = np.bincount(pairs[0], weights=np.log1p(-weights * exposure), minlength=count)
    return (0.0 - np.expm1(clean)).astype(np.float32)


def explain(text: str) -> list[Term]:
    """The distinct terms that a text was scored on, in the order of the list."""
    _, hits, _, _ = _hits(pa.array([text]))
    return [terms()[index] for index in sorted({_term_of(hit) for hit in hits})]


def _hits(texts: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Row, matched string (lower case, single spaces), times seen and the row's characters, a hit a line."""
    table = pa.table({"row": np.arange(len(texts)), "text": texts.cast(pa.string())})
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("texts", table)
        found = connection.execute(
            r"""
            WITH found AS (
                SELECT row, length(text) AS length, unnest(regexp_extract_all(text, $pattern, 1)) AS hit
                FROM texts
            )
            SELECT row, regexp_replace(lower(hit), '\s+', ' ', 'g') AS hit, count(*) AS seen, length
            FROM found GROUP BY ALL ORDER BY ALL
            """,
            {"pattern": _pattern()},
        ).fetchnumpy()
    row, hit, seen, length = (np.asarray(column) for column in found.values())
    return row, hit.astype(str), seen, length


@lru_cache(maxsize=1)
def _order() -> tuple[int, ...]:
    """Terms in the order of trial at one place: phrases, then words, then stems, the longer first."""
    rank = ("phrase", "word", "prefix")
    return tuple(
        sorted(
            range(len(terms())),
            key=lambda i: (rank.index(terms()[i].match), -len(terms()[i].term), terms()[i].term),
        )
    )


@lru_cache(maxsize=1)
def _pattern() -> str:
    """The whole list as one RE2 pattern, so that a text is read once."""
    return rf"(?i){WORD_START}({'|'.join(_expression(terms()[i]) for i in _order())})"


def _expression(term: Term) -> str:
    """A term as a pattern that RE2 and Python's `re` read alike."""
    if term.match == "phrase":
        body = re.sub(r"<(\w+)>", lambda found: _category(found[1], term.language), term.term)
    else:
        body = re.escape(term.term).replace(r"\ ", " ")
    ends = term.match != "prefix" and term.language == "en"
    return "(?:" + body.replace(" ", r"\s+") + ")" + (r"\b" if ends else "")


def _category(category: str, language: str) -> str:
    words = [t for t in terms() if (t.category, t.language) == (category, language) and t.match != "phrase"]
    return f"(?:{'|'.join(re.escape(t.term) + ('[a-z]*' if t.match == 'prefix' else '') for t in words)})"


@lru_cache(maxsize=65536)
def _term_of(hit: str) -> int:
    """Which term a matched string belongs to: the first, in the order of trial, that spells all of it."""
    for index in _order():
        if re.fullmatch(_expression(terms()[index]), hit, re.IGNORECASE):
            return index
    raise ValueError(f"no term of {TERMS.name} spells {hit!r}")
