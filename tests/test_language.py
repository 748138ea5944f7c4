"""Language identification says of every text what the library says of it with the same model."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.filters.fasttext_inference import load
from assets.filters.language import UNDETERMINED, identify, model_path

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"

TEXTS = [
    "The old library keeps its doors open until nine in the evening.",
    "도서관은 저녁 아홉 시까지 문을 열어 둡니다.",
    "図書館は夜の九時まで開いています。",
    "Die alte Bibliothek hat bis neun Uhr abends geöffnet.",
    "Библиотека открыта до девяти вечера.",
    "المكتبة مفتوحة حتى التاسعة مساء.",
    "one\u00a0no-break\u2003em\x1funit\x00nul\ttab\nline",
    "__label__en this word is no input",
    "<angle> brackets < > ><",
    "emoji 🙂🙃 between words",
    "e\u0301 and é, ﬁ and fi",
    "long" * 3000,
]


@cache
def library():
    import fasttext

    fasttext.FastText.eprint = lambda *_: None
    return fasttext.load_model(str(model_path()))


def expected(text: str) -> tuple[str, float]:
    """The library reads one line, whose words are divided as `str.split` and NUL do."""
    words = text.replace("\0", " ").split()
    # It stops at a word that is its own sign for the end; ours reads on.
    labels, scores = library().predict(" ".join(word for word in words if word != "</s>"))
    return labels[0].removeprefix("__label__"), min(float(scores[0]), 1.0)


def check(texts: list[str]) -> int:
    """Holds each text that is not undetermined against the library; returns how many those were."""
    found = identify(pa.array(texts, pa.string())).to_pylist()
    named = [(text, row) for text, row in zip(texts, found, strict=True) if row["language"] != UNDETERMINED]
    for text, row in named:
        language, score = expected(text)
        assert row["language_score"] == pytest.approx(score, abs=2e-5), text[:80]
        assert row["language"] == language, text[:80]
    return len(named)


def test_texts_of_many_scripts() -> None:
    assert check(TEXTS) == len(TEXTS)


@settings(deadline=None)
@given(st.lists(st.text(max_size=200), max_size=5))
def test_any_text(texts: list[str]) -> None:
    check(texts)


def test_real_texts_of_hundreds_of_languages() -> None:
    path = SHARED / "corpora" / "udhr2-multilingual.jsonl.gz"
    if not path.exists():
        pytest.skip("../shared/data is not there")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        assert check([json.loads(line)["text"] for line in lines]) > 300


def test_too_little_to_tell() -> None:
    found = identify(pa.chunked_array([["", None, "1234 !?", "abc"], ["abcd"]], pa.string()))
    assert found["language"].to_pylist()[:4] == [UNDETERMINED] * 4
    assert found["language"][4].as_py() != UNDETERMINED
    assert found["language_score"].to_pylist()[:4] == [0] * 4
    assert identify(pa.chunked_array([], pa.string())).num_rows == 0


def test_vectors_are_the_library_s() -> None:
    vectors = load(model_path()).vectors
    for row in (0, 1, 7000, 7235, 30_000, len(vectors) - 1):
        np.testing.assert_array_equal(vectors[row], library().get_input_vector(row))


def test_another_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "no-model.ftz"
    path.write_bytes(b"\0" * 100)
    with pytest.raises(ValueError, match=r"no-model\.ftz: not a fastText model"):
        load(path)
