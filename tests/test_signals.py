"""Signals against a plain-Python reference of the same definitions, on random texts of many scripts."""

from __future__ import annotations

import math
import re
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.filters.characters import BULLET, CLOSING, CONTROL, DASH, LETTER, SYMBOL, TERMINAL, flags
from assets.filters.kernels import STOP_WORDS
from assets.filters.language import identify
from assets.filters.signals import SCHEMA, SIGNAL_VERSION, SIGNALS, measure


def has(character: str, flag: int) -> bool:
    return bool(flags()[ord(character)] & flag)


def ratio(count: float, per: float) -> float:
    return count / per if per else 0.0


def duplicated(pieces: list[str]) -> list[str]:
    seen: set[str] = set()
    repeated = []
    for piece in pieces:
        if piece in seen:
            repeated.append(piece)
        seen.add(piece)
    return repeated


def top_gram(words: list[str], n: int) -> int:
    grams = Counter(" ".join(words[i : i + n]) for i in range(len(words) - n + 1))
    gram, count = grams.most_common(1)[0] if grams else ("", 0)
    return len(gram) * count if count > 1 else 0


def duplicated_grams(words: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    i = total = 0
    while i + n <= len(words):
        gram = tuple(words[i : i + n])
        if gram in seen:
            total += sum(map(len, gram))
            i += n
        else:
            seen.add(gram)
            i += 1
    return total


def opens_item(line: str) -> bool:
    return has(line[0], BULLET) or (has(line[0], DASH) and line[1:2].isspace())


def ends_sentence(line: str) -> bool:
    while line and has(line[-1], CLOSING):
        line = line[:-1]
    return bool(line) and has(line[-1], TERMINAL)


def reference(text: str) -> dict[str, float]:
    words = text.split()
    stripped = [line.strip() for line in text.splitlines()]
    lines = [line for line in stripped if line]
    paragraphs = [block.strip("\n") for block in re.split(r"\n\n+", "\n".join(stripped)) if block.strip("\n")]
    letters = [c for c in text if has(c, LETTER)]
    urls = [w for w in words if w.lower().startswith("www.") or any(has(c, LETTER) for c in before_scheme(w))]
    spelled = {"".join(c for c in word if has(c, LETTER)).lower() for word in words}
    lorems = re.findall(r"(?<!\S)" + "".join(f"[{c}{c.upper()}]" for c in "lorem ipsum"), text)
    values: dict[str, float] = {
        "characters": len(text),
        "words": len(words),
        "lines": len(lines),
        "paragraphs": len(paragraphs),
        "longest_word": max(map(len, words), default=0),
        "longest_line": max(map(len, lines), default=0),
        "non_alpha_ratio": ratio(sum(not has(c, LETTER) and not c.isspace() for c in text), len(text)),
        "uppercase_ratio": ratio(sum(c.isupper() for c in text), len(letters)),
        "digit_ratio": ratio(sum(c.isdecimal() for c in text), len(text)),
        "whitespace_ratio": ratio(sum(c.isspace() for c in text), len(text)),
        "symbol_ratio": ratio(sum(has(c, SYMBOL) for c in text), len(text)),
        "mean_word_length": ratio(sum(map(len, words)), len(words)),
        "hash_ratio": ratio(text.count("#"), len(words)),
        "ellipsis_ratio": ratio(text.count("...") + text.count("…"), len(words)),
        "alpha_word_ratio": ratio(
            sum(any(has(c, LETTER) for c in w) for w in words),
            sum(any(not has(c, SYMBOL) for c in w) for w in words),
        ),
        "stop_word_count": len(spelled & set(STOP_WORDS)),
        "unique_word_ratio": ratio(len(set(words)), len(words)),
        "url_count": len(urls),
        "url_ratio": ratio(len(urls), len(words)),
        "bullet_line_ratio": ratio(sum(map(opens_item, lines)), len(lines)),
        "ellipsis_line_ratio": ratio(sum(line.endswith(("...", "…")) for line in lines), len(lines)),
        "terminal_punct_line_ratio": ratio(sum(map(ends_sentence, lines)), len(lines)),
        "short_line_ratio": ratio(sum(len(line) <= 30 for line in lines), len(lines)),
        "list_ratio": ratio(text.count("\n"), len(words)),
        "curly_brace_count": text.count("{"),
        "lorem_ipsum": len(lorems),
        "replacement_char_count": text.count("\ufffd"),
        "control_char_count": sum(has(c, CONTROL) for c in text),
    }
    for name, pieces in (("line", lines), ("para", paragraphs)):
        repeated = duplicated(pieces)
        values[f"dup_{name}_ratio"] = ratio(len(repeated), len(pieces))
        values[f"dup_{name}_char_ratio"] = ratio(sum(map(len, repeated)), len(text))
    for n in (2, 3, 4):
        values[f"top_{n}_gram_char_ratio"] = ratio(top_gram(words, n), len(text))
    for n in range(5, 11):
        values[f"dup_{n}_gram_char_ratio"] = ratio(duplicated_grams(words, n), len(text))
    return values


def before_scheme(word: str) -> list[str]:
    """The characters just before each `://`."""
    return [word[m.start() - 1] for m in re.finditer("://", word) if m.start() > 0]


visible = (
    "the The, of with and b 日本語 한국어입니다. 漢字。 Été नमस्ते 👩\u200d👧 1 ٣ # ... … . “Yes.” • "
    "-_ - *_x a_b_a_b http://a.b :// www.x.org lorem_ipsum Lorem_Ipsum { \ufffd \x00 \x07"
)
spaces = [" ", "  ", "\t", "\u3000", "\n", "\n\n", "\r\n", "\r", "\u2028", "\x0b", "\x1c"]
pieces = st.sampled_from([*(piece.replace("_", " ") for piece in visible.split(" ")), *spaces])
texts = st.lists(
    st.one_of(
        st.lists(pieces, max_size=60).map("".join),
        st.lists(pieces, max_size=60).map(" ".join),
        st.lists(st.sampled_from("ab"), min_size=20, max_size=60).map(" ".join),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    ),
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(texts)
def test_every_signal_agrees_with_its_definition(batch: list[str]) -> None:
    rows = measure(pa.array(batch, pa.string())).to_pylist()
    assert len(rows) == len(batch)
    for text, row in zip(batch, rows, strict=True):
        expected = reference(text)
        assert row.keys() == expected.keys()
        differing = {name: (row[name], expected[name]) for name in row if row[name] != expected[name]}
        assert not differing, (text, differing)


def test_the_table_of_signals_is_whole() -> None:
    names = [signal.name for signal in SIGNALS]
    assert len(set(names)) == len(names)
    assert measure(pa.array(["x"])).schema == SCHEMA
    assert all(signal.description and signal.unit and signal.source for signal in SIGNALS)
    assert re.fullmatch(r"[0-9a-f]{12}", SIGNAL_VERSION)


@pytest.mark.parametrize("nothing", [None, "", " \n\t\u3000\n"])
def test_a_text_without_words_has_zeros_and_no_nan(nothing: str | None) -> None:
    row = measure(pa.array([nothing], pa.string())).to_pylist()[0]
    kept = {"characters", "whitespace_ratio"}
    assert all(value == 0 and not math.isnan(value) for name, value in row.items() if name not in kept)


def test_slices_chunks_and_string_types_measure_alike() -> None:
    batch = ["one two", None, "세 단어 입니다", "", "the last of them, with an end."]
    whole = measure(pa.array(batch))
    assert measure(pa.array(["before", *batch, "after"]).slice(1, len(batch))) == whole
    assert measure(pa.chunked_array([batch[:2], [], batch[2:]], pa.string())).combine_chunks() == whole
    assert measure(pa.array(batch, pa.large_string())) == whole
    assert measure(pa.array(batch, pa.string_view())) == whole
    assert measure(pa.array(batch).dictionary_encode()) == whole
    assert measure(pa.array([], pa.string())).num_rows == 0
    assert measure(pa.array([None, None], pa.null())).num_rows == 2


def test_characters_are_code_points_in_every_script() -> None:
    row = measure(pa.array(["안녕하세요. 세계!"])).to_pylist()[0]
    assert (row["characters"], row["words"], row["longest_word"]) == (10, 2, 6)
    assert row["terminal_punct_line_ratio"] == 1.0
    assert row["alpha_word_ratio"] == 1.0


def test_languages_are_named_and_too_little_text_is_undetermined() -> None:
    sentences = [
        "This is plainly an English sentence,\nbroken over two lines.",
        "안녕하세요. 오늘은 날씨가 아주 좋습니다.",
        "これは日本語で書かれた文章です。",
        "Dies ist ein ganz gewöhnlicher deutscher Satz.",
    ]
    found = identify(pa.chunked_array([sentences, [None, "", "ab 12", "!?…"]], pa.string()))
    assert found["language"].to_pylist() == ["en", "ko", "ja", "de"] + ["und"] * 4
    scores = found["language_score"].to_pylist()
    assert all(0.5 < score <= 1 for score in scores[:4])
    assert scores[4:] == [0.0] * 4
