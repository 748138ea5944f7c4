"""Signals and edits against a plain-Python reference of the same definitions, on texts of many scripts."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assets.filters import signals
from assets.filters.edits import C4_LINE_RULES, RECORD, REFINEDWEB_LINE_RULES, edit
from assets.filters.kernels import PARTED, Count, LineRule, pass_of
from assets.filters.language import identify
from assets.filters.phrases import phrases
from assets.filters.signals import (
    GROUP_MARKS,
    GROUP_VERSIONS,
    SCHEMA,
    SIGNALS,
    VERSIONS,
    measure,
    schema,
)
from tests.reference_signals import edited, reference

visible = (
    "the The, of with and b 日本語 한국어입니다. 漢字。 Été नमस्ते 👩\u200d👧 1 ٣ # ... … . “Yes.” • "
    "-_ - *_x a_b_a_b http://a.b :// www.x.org lorem_ipsum Lorem_Ipsum { \ufffd \x00 \x07"
)
spaces = [" ", "  ", "\t", "\u3000", "\n", "\n\n", "\r\n", "\r", "\u2028", "\x0b", "\x1c"]
scripts = (
    "日本語のテキスト。 ภาษาไทยที่ไม่มีช่องว่าง 「引用」 2024年 Windowsで မြန်မာ ខ្មែរ Привет! مرحبا ｶﾅ Ａ 𝒜 😀 ☀️ 🇰🇷 "
    "Ã© â€™ ÐŸÑ€ É» é”… à\u00a0« \u200b \u200d \xad \ue000 \U0010ffff \u0378 ſ K İ ß"
)
marked = [form for each in phrases() for form in (each.phrase, each.phrase.title())]
signs = '[1] [] [edit] [Citation_needed] [a] [[2] 12 3.4K LOUD A_sentence. “Q.” 3개 - 。 " ...'
pieces = st.sampled_from([*(piece.replace("_", " ") for piece in visible.split(" ")), *spaces])
words = st.one_of(
    st.sampled_from(scripts.split(" ")),
    st.sampled_from(marked),
    st.sampled_from([sign.replace("_", " ") for sign in signs.split(" ")]),
    st.sampled_from([" ", "\n"]),
)
text = st.one_of(
    st.lists(pieces, max_size=60).map("".join),
    st.lists(pieces, max_size=60).map(" ".join),
    st.lists(words, max_size=40).map("".join),
    st.lists(words, max_size=40).map(" ".join),
    st.lists(words, max_size=40).map("\n".join),
    st.lists(st.sampled_from(["One.", "Two 둘", "日本語。", "four", ""]), max_size=40).map("\n".join),
    st.lists(st.sampled_from("ab"), min_size=20, max_size=60).map(" ".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)
texts = st.lists(text, max_size=8)


def differing(text: str, row: dict[str, float]) -> dict[str, tuple[float, float]]:
    expected = reference(text)
    assert row.keys() == expected.keys()
    return {name: (row[name], expected[name]) for name in row if row[name] != expected[name]}


# A paragraph between equal lines once took a line's place in the table, so that the next one seemed new.
LINE_BETWEEN = "日本語のテキスト。\n" * 7 + "\n日本語のテキスト。"


@settings(max_examples=150, deadline=None)
@given(texts)
@example([LINE_BETWEEN])
def test_every_signal_agrees_with_its_definition(batch: list[str]) -> None:
    rows = measure(pa.array(batch, pa.string())).to_pylist()
    assert len(rows) == len(batch)
    for text, row in zip(batch, rows, strict=True):
        assert not differing(text, row), text


@settings(max_examples=20, deadline=None)
@given(texts, st.integers(0, 40))
def test_a_long_text_read_in_four_parts_agrees_too(batch: list[str], gap: int) -> None:
    # The gap moves the phrases over the places where the parts meet.
    text = "x" * gap + "\n".join(batch)
    text = "\n".join([text] * (PARTED // (len(text) + 1) + 2))
    assert not differing(text, measure(pa.array([text])).to_pylist()[0])


@settings(max_examples=100, deadline=None)
@given(texts, st.sets(st.sampled_from(LineRule)))
def test_every_edit_agrees_with_its_definition(batch: list[str], rules: set[LineRule]) -> None:
    lefts, records = edit(pa.array(batch, pa.string()), rules)
    for text, left, record in zip(batch, lefts.to_pylist(), records.to_pylist(), strict=True):
        assert (left, record) == edited(text, rules)


def test_the_table_of_signals_is_whole() -> None:
    names = [signal.name for signal in SIGNALS]
    assert len(set(names)) == len(names)
    assert measure(pa.array(["x"])).schema == SCHEMA
    assert all(signal.description and signal.unit and signal.source for signal in SIGNALS)
    assert {signal.group for signal in SIGNALS} == GROUP_VERSIONS.keys() == VERSIONS.keys()
    assert len(set(VERSIONS.values())) == len(VERSIONS)
    # Every count is of use to a signal, so that none is made in vain.
    used = {signal.count for signal in SIGNALS} | {signal.per for signal in SIGNALS}
    assert set(Count) <= used


@pytest.mark.parametrize("group", GROUP_VERSIONS)
def test_a_group_measured_alone_has_the_values_it_has_among_all(group: str) -> None:
    batch = pa.array(
        ["One two, one two. [1]\nPRIVACY POLICY\n3 likes\nÃ© 日本語。\nOne two, one two. [1]", None]
    )
    alone, whole = measure(batch, [group]), measure(batch)
    assert alone.schema == schema([group]) and alone.num_columns > 0
    assert alone == whole.select(alone.column_names)
    for name in alone.column_names:
        whole = whole.set_column(whole.column_names.index(name), SCHEMA.field(name), alone[name])
    assert whole == measure(batch)


def test_no_pass_is_made_that_a_group_does_not_need(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(
        signals, "count", lambda *given: made.append(given[-1]) or np.zeros((1, len(Count)), int)
    )
    measure(pa.array(["x"]), ["composition"])
    assert made == [int(pass_of(Count.LETTERS))]
    with pytest.raises(KeyError, match="no group of signals is called colour"):
        measure(pa.array(["x"]), ["colour"])


def test_another_list_of_phrases_is_another_version_of_what_counts_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shorter = tuple(phrase for phrase in phrases() if phrase.phrase != "sign up")
    monkeypatch.setattr("assets.filters.phrases.phrases", lambda: shorter)
    changed = {group for group in GROUP_VERSIONS if signals.version_of(group) != VERSIONS[group]}
    assert changed == {"refinedweb"} and set(GROUP_MARKS) <= set(GROUP_VERSIONS)


def test_words_of_scripts_with_and_without_spaces() -> None:
    cases = {
        "我们喜欢「数据」。": 6,
        "2024年Windowsで": 4,
        "ภาษา ไทย": 7,
        "안녕하세요 세계의 여러분": 3,
        "“Well-known” words, e.g. these…": 4,
    }
    assert measure(pa.array(list(cases)))["words"].to_pylist() == list(cases.values())
    chinese = measure(pa.array(["天天向上。天天向上。" * 3])).to_pylist()[0]
    # 天 and 天 again, three times two: no spaces are invented between characters.
    assert chinese["top_2_gram_char_ratio"] == 2 * 6 / 30 and chinese["mean_word_length"] == 30 / 24


def test_what_phrases_mark() -> None:
    page = "Home > News\nUse JavaScript here.\n12.5K views\n좋아요 3개\nRead more »\nOur privacy policy.\n[12] Shit"
    row = measure(pa.array([page])).to_pylist()[0]
    assert (
        row["javascript_line_ratio"]
        == row["policy_line_ratio"]
        == row["boilerplate_phrase_line_ratio"]
        == 1 / 7
    )
    assert (row["refinedweb_counter_lines"], row["refinedweb_phrase_lines"]) == (2, 3)
    assert (row["citation_count"], row["bad_words_en"], row["bad_words_ko"]) == (1, 1, 0)


# What is not listed is 0.
BAD_INPUT = {
    "null": (None, {}),
    "empty": ("", {}),
    "whitespace only": (" \n\t\u3000\n", {"characters": 5, "whitespace_ratio": 1.0}),
    "NUL bytes": (
        "\0a\0 \0",
        {"characters": 5, "words": 2, "control_char_count": 3, "longest_word": 3, "alpha_word_ratio": 0.5},
    ),
    "mixed newlines": (
        "a\r\nb\rc\nd\x0be\u2028f\x85\x85g",
        {"lines": 7, "paragraphs": 2, "short_line_ratio": 1.0, "list_ratio": 2 / 7, "sentences": 7},
    ),
    "only emoji": (
        "😀👩\u200d👧 🇰🇷",
        {"characters": 7, "words": 2, "emoji_ratio": 5 / 7, "alpha_word_ratio": 0.0, "latin_ratio": 0.0},
    ),
    "only digits": (
        "1234567890 ٣٤",
        {
            "digit_ratio": 12 / 13,
            "words": 2,
            "alpha_word_ratio": 0.0,
            "uppercase_ratio": 0.0,
            "refinedweb_numeric_lines": 1,
            "c4_unterminated_lines": 1,
        },
    ),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_has_explicit_values(name: str) -> None:
    text, expected = BAD_INPUT[name]
    row = measure(pa.array([text], pa.string())).to_pylist()[0]
    assert not any(math.isnan(value) for value in row.values())
    assert {key: row[key] for key in expected} == expected
    if name in ("null", "empty", "whitespace only"):
        kept = {*expected, "compression_ratio"}
        assert all(value == 0 for key, value in row.items() if key not in kept)
    lefts, records = edit(pa.array([text], pa.string()), LineRule)
    assert (lefts.to_pylist()[0] is None) == (text is None) and records.null_count == 0


def test_a_line_of_a_million_characters() -> None:
    lines = {"x" * 10**6: 1, "word " * 200_000: 200_000, "字" * 10**6: 10**6}
    table = measure(pa.array(list(lines)))
    assert table["words"].to_pylist() == list(lines.values())
    assert table["longest_word"].to_pylist() == [10**6, 4, 1]
    assert table["longest_line"].to_pylist() == [10**6, 999_999, 10**6]
    assert table["c4_long_word_lines"].to_pylist() == [1, 0, 0]
    assert table["top_2_gram_char_ratio"].to_pylist() == [0, 9 * 199_999 / 10**6, 2 * 999_999 / 10**6]
    lefts, records = edit(pa.array(list(lines)), [LineRule.C4_LONG_WORD])
    assert lefts.to_pylist() == ["", *list(lines)[1:]]
    assert records.to_pylist()[0] == [{"line": 1, "rule": "c4_long_word", "characters": 10**6}]


def test_a_lone_surrogate_reaches_no_kernel() -> None:
    # Readers quarantine such rows (test_bad_input.py); Arrow holds none, unless someone hands it the bytes.
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        pa.array(["\ud800"])
    offsets, data = pa.py_buffer(np.array([0, 1, 4], np.int32)), pa.py_buffer(b"a\xed\xa0\x80")
    smuggled = pa.StringArray.from_buffers(2, offsets, data)
    for call in (measure, lambda texts: edit(texts, C4_LINE_RULES)):
        with pytest.raises(pa.ArrowInvalid, match="Invalid UTF8 sequence at string index 1"):
            call(smuggled)


def test_edits_take_lines_and_say_why() -> None:
    page = "A first line of text. [1]\nno end\n\nHOME\r\n3 likes\nAnd here it goes on. Read more…\nEnd of it [2] all."
    lefts, records = edit(pa.chunked_array([[page], [None]]), C4_LINE_RULES)
    assert lefts.to_pylist() == ["A first line of text.\n\nEnd of it all.", None]
    assert [(each["line"], each["rule"]) for each in records.to_pylist()[0]] == [
        (1, "citation"),
        (2, "c4_unterminated"),
        (4, "c4_unterminated"),
        (5, "c4_unterminated"),
        (6, "c4_unterminated"),
        (7, "citation"),
    ]
    lefts, records = edit(pa.array([page, ""]), REFINEDWEB_LINE_RULES)
    assert lefts.to_pylist()[0] == (
        "A first line of text. [1]\nno end\n\nAnd here it goes on.\nEnd of it [2] all."
    )
    assert records.type == RECORD and records.to_pylist()[1] == []
    assert edit(pa.array([page]), ())[0].to_pylist() == [page]


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
