"""Benchmark items planted in real prose: all found, nothing else found, in every script."""

from __future__ import annotations

import json
import logging
import random
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest

from assets.filters.contamination import (
    SCHEMA,
    Benchmark,
    ContaminationPolicy,
    Item,
    find_contamination,
    load_benchmark,
    packaged_benchmarks,
)

KOREAN = "다음 중 물이 얼 때 부피가 늘어나는 까닭을 가장 알맞게 설명한 것은 어느 것인지 고르시오"
CHINESE = "下列哪一项最能解释为什么冬天早晨的湖面上会出现一层薄薄的雾气"
JAPANESE = "次のうち、春分の日に昼と夜の長さがほぼ等しくなる理由として正しいものはどれですか。"


def documents(*texts: str | None) -> pa.Table:
    return pa.table(
        {
            "doc_id": pa.array([f"d{i:04}" for i in range(len(texts))], pa.string()),
            "source": pa.array(["test"] * len(texts), pa.string()),
            "text": pa.array(texts, pa.string()),
        }
    )


def benchmark(*texts: str, name: str = "test") -> Benchmark:
    return Benchmark(name, tuple(Item(f"i{i}", text) for i, text in enumerate(texts)))


WORDS = ("water", "bread", "river", "stone", "early", "walk", "green", "house", "under", "seven", "quiet")


def prose(seed: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=60))


def test_every_packaged_item_is_found_where_it_was_planted_and_nowhere_else() -> None:
    packaged = [load_benchmark(path) for path in packaged_benchmarks()]
    items = [(one.name, item) for one in packaged for item in one.items]
    assert len(items) >= 60
    texts = []
    for number, (_, item) in enumerate(items):
        disguises = (
            item.text,
            item.text.upper(),
            item.text.replace(" ", "\n"),
            f"“{item.text}”—A) {item.choices}",
        )
        texts += [f"{prose(number)}. {disguises[number % 4]} {prose(-number)}", prose(number)]
    found = find_contamination(documents(*texts), packaged)
    assert found.schema == SCHEMA
    assert found.select(["doc_id", "benchmark", "item_id"]).to_pylist() == [
        {"doc_id": f"d{2 * number:04}", "benchmark": name, "item_id": item.item_id}
        for number, (name, item) in enumerate(items)
    ]
    assert set(found["overlap"].to_pylist()) == {1.0}


@pytest.mark.parametrize("item", [KOREAN, CHINESE, JAPANESE])
def test_items_in_other_scripts_are_found_in_any_unicode_form(item: str) -> None:
    texts = (f"앞의 글 {item} 뒤의 글", unicodedata.normalize("NFD", f"前文。{item}"), item[: len(item) // 4])
    found = find_contamination(documents(*texts), [benchmark(item)])
    assert found["doc_id"].to_pylist() == ["d0000", "d0001"]
    assert found["overlap"].to_pylist() == [1.0, 1.0]


def test_overlap_is_the_share_of_the_items_ngrams() -> None:
    words = [f"word{i}" for i in range(27)]
    item = benchmark(" ".join(words))
    # 27 words have 20 n-grams of 8; the first 17 words hold 10 of them, the first 16 hold 9.
    found = find_contamination(documents(" ".join(words[:17]), " ".join(words[:16])), [item])
    assert [(row["doc_id"], row["overlap"], row["ngrams_matched"]) for row in found.to_pylist()] == [
        ("d0000", 0.5, 10)
    ]
    lower = find_contamination(documents(" ".join(words[:16])), [item], ContaminationPolicy(overlap=0.4))
    assert lower["overlap"].to_pylist() == [0.45]


def test_ngrams_do_not_cross_documents() -> None:
    words = [f"word{i}" for i in range(8)]
    halves = documents(" ".join(words[:4]), " ".join(words[4:]))
    assert find_contamination(halves, [benchmark(" ".join(words))]).num_rows == 0


def test_an_item_repeated_in_a_document_and_shared_by_benchmarks_counts_once_each() -> None:
    item = "one plain question that has more than eight words in it"
    found = find_contamination(
        documents(f"{item}. {item}."), [benchmark(item, item), benchmark(item, name="other")]
    )
    assert [(row["benchmark"], row["item_id"], row["ngrams_matched"]) for row in found.to_pylist()] == [
        ("other", "i0", 4),
        ("test", "i0", 4),
        ("test", "i1", 4),
    ]


def test_short_items_are_searched_whole_with_their_choices_or_said_to_be_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    items = (
        Item("choices", "Which is a prime?", ("twenty one", "twenty three")),
        Item("whole", "purple monkey dishwasher theorem"),
        Item("hopeless", "What?", ("yes", "no")),
    )
    texts = documents(
        "Which is a prime? (a) twenty one",
        "Which is a prime? Twenty one, twenty three",
        "the purple monkey dishwasher theorem!",
        "What? yes no",
    )
    with caplog.at_level(logging.WARNING):
        found = find_contamination(texts, [Benchmark("short", items)])
    assert list(zip(found["doc_id"].to_pylist(), found["item_id"].to_pylist(), strict=True)) == [
        ("d0001", "choices"),
        ("d0002", "whole"),
    ]
    assert "short: 1 items of fewer than 4 words are not searched" in caplog.text


def test_nothing_in_nothing_out() -> None:
    item = benchmark("one plain question that has more than eight words in it")
    assert find_contamination(documents(), [item]).schema == SCHEMA
    assert find_contamination(documents(None, ""), [item]).num_rows == 0
    assert find_contamination(documents(prose(1)), []).num_rows == 0
    with pytest.raises(ValueError, match="two benchmarks have one name: test, test"):
        find_contamination(documents(prose(1)), [item, item])


def test_benchmarks_are_read_from_text_or_question_and_errors_name_the_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    rows = [{"text": "some text"}, {"id": 7, "question": "what?", "choices": ["a", "b"]}]
    path.write_text("\n\n".join(map(json.dumps, rows)))
    assert load_benchmark(path) == Benchmark(
        "mine", (Item("line 1", "some text"), Item("7", "what?", ("a", "b")))
    )
    for broken, message in (
        ("{", "line 2: "),
        ("[1]", "line 2: not a JSON object"),
        ('{"answer": 1}', "line 2: neither a text nor a question"),
        ('{"question": "x", "choices": [1]}', "line 2: choices are not a list of strings"),
        ('{"id": "line 1", "text": "x"}', "line 2: a second item with id 'line 1'"),
    ):
        path.write_text(f'{{"text": "x"}}\n{broken}\n')
        with pytest.raises(ValueError, match=f"mine.jsonl, {message}"):
            load_benchmark(path)


def test_the_packaged_items_are_whole() -> None:
    for path in packaged_benchmarks():
        for line in path.read_text().splitlines():
            row = json.loads(line)
            assert len(row["question"].split()) >= 14
            assert len(set(row["choices"])) == 4
            assert row["answer"] in range(4)
