"""English words are cut as spaCy's blank English tokenizer cuts them, whatever the text."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.filters.english_words import RULES, english_words, rules_digest
from assets.filters.parity_kernels import decode

TEXTS = [
    "",
    "   \n\t ",
    "Hello, world! It's a test (of 3.5%), isn't it?",
    "don't can't won't y'all'd've o'clock rock'n'roll I'ma gonna",
    "U.S. Inc. e.g. i.e. a.m. p.m. 5pm 10km 3.14 1,000 $5 £6.50 50¢ 2°C 4x4 10-year-old",
    "https://example.org/a_b?c=d&e#f, me@example.org; www.example.org.",
    "well-known re-enter -5 --flag a--b a - b a… b... c.... …",
    ":) :-) : ) ;-) (: xD <3 ¯\\_(ツ)_/¯ o_O ^_^ :'( :')",
    "“curly” ‘quotes’ «guillemets» 'straight' \"double\" `tick` ``ticks'' O’Neill’s",
    "C++ C# F# .NET Node.js x=y a/b a*b a+b {a}[b]<c> |d| ~e #tag @name",
    "no\u00a0break zero\u200bwidth thin\u2009space line\u2028separator \ufeffmark",
    "日本語のテキスト 한국어 텍스트 中文文本 العربية עברית ไทย",
    "🙂🙃 👩\u200d🚀 e\u0301clair café ﬁn ½ ² Ⅳ",
    "\x00\x01 a\x1cb \r\n c\rd",
    "..." * 40 + "a" + "!" * 60,
]


@cache
def library():
    from spacy.lang.en import English

    return English().tokenizer


def cut(texts: list[str]) -> list[list[str]]:
    import pyarrow as pa

    from assets.filters.buffers import text_buffers

    points, bounds = decode(*text_buffers(pa.array(texts, pa.large_string())))
    words = english_words()(points, bounds)
    spans = [
        points[start:end].astype(np.uint32).tobytes().decode("utf-32-le")
        for start, end in zip(words.starts, words.ends, strict=False)
    ]
    return [spans[first:last] for first, last in zip(words.firsts[:-1], words.firsts[1:], strict=True)]


def expected(text: str) -> list[str]:
    """Its tokens, less what is white space, as datatrove takes them."""
    return [word for token in library()(text) if (word := token.text.strip())]


def test_the_kernel_was_written_for_the_rules_that_are_installed() -> None:
    assert rules_digest(library()) == RULES, "spaCy's rules changed: the kernel leaves every chunk to it"


def test_each_text_is_cut_as_the_library_cuts_it() -> None:
    for text, words in zip(TEXTS, cut(TEXTS), strict=True):
        assert words == expected(text), text[:60]


PIECES = st.sampled_from(
    [
        *(word for text in TEXTS[2:11] for word in text.split()),
        *"\"'.,:;!?()[]{}<>-_/*&#@$%+=~^|",
        "a",
        "I",
        "9",
        "km",
        "’s",
        "\n",
        " ",
        "…",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=12), st.sampled_from(["", " "]))
def test_marks_and_words_in_any_order(pieces: list[str], between: str) -> None:
    text = between.join(pieces)
    assert cut([text]) == [expected(text)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=4))
def test_arbitrary_unicode(texts: list[str]) -> None:
    assert cut(texts) == [expected(text) for text in texts]


@pytest.mark.parametrize("size", [0, 1, 3])
def test_texts_beside_each_other_keep_their_words(size: int) -> None:
    assert cut(["one two"] * size) == [["one", "two"]] * size
