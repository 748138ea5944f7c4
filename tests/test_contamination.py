"""Benchmark items planted in real prose: all found, nothing else found, in every script."""

from __future__ import annotations

import gzip
import json
import logging
import random
import statistics
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard

from assets.filters.contamination import (
    REPORT,
    SCHEMA,
    Benchmark,
    ContaminationPolicy,
    Item,
    find_contamination,
    load_benchmark,
    packaged_benchmarks,
    report,
)
from assets.filters.policies import load_policy
from assets.intervals import wilson

DATA = Path(__file__).parents[2] / "shared" / "data"

KOREAN = "다음 중 물이 얼 때 부피가 늘어나는 까닭을 가장 알맞게 설명한 것은 어느 것인지 고르시오"
ENGLISH = "A baker has 24 rolls, sells half of them and then bakes 12 more; how many rolls are there now?"
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


def test_overlap_is_the_share_of_the_items_words_in_order_and_at_one_place() -> None:
    words = [f"word{i}" for i in range(40)]
    item = benchmark(" ".join(words))
    apart = " ".join([*words[:10], *["other"] * 200, *words[10:20]])
    found = find_contamination(
        documents(
            " ".join(words[:20]),
            " ".join(words[:19]),
            apart,
            " ".join(word if at % 6 < 5 else "else" for at, word in enumerate(words)),
            " ".join(reversed(words)),
        ),
        [item],
    )
    assert [(row["doc_id"], row["overlap"], row["words_matched"]) for row in found.to_pylist()] == [
        ("d0000", 0.5, 20),
        ("d0003", 0.85, 34),
    ]
    lower = find_contamination(documents(" ".join(words[:19])), [item], ContaminationPolicy(overlap=0.4))
    assert lower["overlap"].to_pylist() == [0.475]


@pytest.mark.parametrize(
    ("length", "needed"), [(5, 4), (10, 8), (16, 13), (20, 16), (31, 16), (32, 16), (33, 17), (60, 30)]
)
def test_a_short_item_must_be_there_nearly_whole_and_a_long_one_by_half(length: int, needed: int) -> None:
    words = [f"word{i}" for i in range(length)]
    policy = ContaminationPolicy(ngram=4)
    for kept, hit in ((needed, True), (needed - 1, False)):
        assert (
            find_contamination(
                documents(" ".join(words[:kept])), [benchmark(" ".join(words))], policy
            ).num_rows
            == hit
        )


EDITS = {
    "case": str.upper,
    "punctuation": lambda text: text.replace(",", ";").replace(" ", " - ").rstrip("?.") + "!!",
    "white space": lambda text: text.replace(" ", "\n\t  "),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "zero width": lambda text: text.replace("e", "e\u200b").replace("는", "\u200b는"),
    "a word replaced": lambda text: _changed(text, lambda word: [word[::-1] + "x"]),
    "a word dropped": lambda text: _changed(text, lambda _: []),
    "a word added": lambda text: _changed(text, lambda word: [word, "indeed"]),
}


def _changed(text: str, change: Callable[[str], list[str]]) -> str:
    """One word of a text, its third, changed."""
    words = text.split()
    return " ".join([*words[:2], *change(words[2]), *words[3:]])


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
@pytest.mark.parametrize("item", [ENGLISH, KOREAN])
def test_light_edits_do_not_hide_an_item(item: str, edit: Callable[[str], str]) -> None:
    planted, clean = f"{prose(1)} {edit(item)} {prose(2)}", f"{prose(3)} {prose(4)}"
    found = find_contamination(documents(clean, planted), [benchmark(item)])
    assert found["doc_id"].to_pylist() == ["d0001"]
    assert found["overlap"].to_pylist()[0] >= 0.9


@pytest.mark.parametrize("item", [CHINESE, JAPANESE])
def test_scripts_without_spaces_are_compared_by_character(item: str) -> None:
    spaced = " ".join(item)
    changed = f"{item[:7]}的{item[8:]}"
    found = find_contamination(documents(spaced, changed, item[:8] + item[20:21]), [benchmark(item)])
    assert found["doc_id"].to_pylist() == ["d0000", "d0001"]
    characters = sum(unicodedata.category(character)[0] == "L" for character in item)
    assert found["words_matched"].to_pylist() == [characters, characters - 1]


def test_ngrams_do_not_cross_documents() -> None:
    words = [f"word{i}" for i in range(8)]
    halves = documents(" ".join(words[:4]), " ".join(words[4:]))
    assert find_contamination(halves, [benchmark(" ".join(words))]).num_rows == 0


def test_an_item_repeated_in_a_document_and_shared_by_benchmarks_counts_once_each() -> None:
    item = "one plain question that has more than eight words in it"
    found = find_contamination(
        documents(f"{item}. {item}."), [benchmark(item, item), benchmark(item, name="other")]
    )
    assert [(row["benchmark"], row["item_id"], row["words_matched"]) for row in found.to_pylist()] == [
        ("other", "i0", 11),
        ("test", "i0", 11),
        ("test", "i1", 11),
    ]


def test_short_items_are_searched_whole_with_their_choices_or_said_to_be_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    items = (
        Item("choices", "A prime:", ("nine", "seven")),
        Item("whole", "purple monkey dishwasher theorem"),
        Item("hopeless", "What?"),
    )
    texts = documents(
        "A prime: twenty one",
        "A prime: nine, seven",
        "A prime:\nA. Nine\nB. Seven",
        "the purple monkey dishwasher theorem!",
        "the purple monkey theorem!",
        "What?",
    )
    with caplog.at_level(logging.WARNING):
        found = find_contamination(texts, [Benchmark("short", items)])
    assert list(zip(found["doc_id"].to_pylist(), found["item_id"].to_pylist(), strict=True)) == [
        ("d0001", "choices"),
        ("d0002", "choices"),
        ("d0003", "whole"),
    ]
    assert "short: 1 items of fewer than 4 words are not searched" in caplog.text


def test_an_ngram_of_many_items_still_finds_an_item_that_has_no_rarer_one() -> None:
    shared = "which of the following is"
    items = [f"{shared} {prose(i)}" for i in range(40)]
    one = benchmark(*items, shared)
    found = find_contamination(documents(f"so {shared} it", items[7]), [one])
    assert [(row["doc_id"], row["item_id"]) for row in found.to_pylist()] == [
        ("d0000", "i40"),
        ("d0001", "i40"),
        ("d0001", "i7"),
    ]


def test_a_long_item_and_a_repetitive_document_are_no_trouble() -> None:
    item = " ".join(f"word{i}" for i in range(3000))
    repeated = benchmark(item, "ha ha ha ha ha ha ha ha", name="long")
    found = find_contamination(documents(item, "ha " * 50_000), [repeated])
    assert [(row["doc_id"], row["item_id"], row["overlap"]) for row in found.to_pylist()] == [
        ("d0000", "i0", 1.0),
        ("d0001", "i1", 1.0),
    ]


def test_documents_may_come_in_tables_of_any_size() -> None:
    item = "one plain question that has more than eight words in it"
    together = documents(prose(1), item, prose(2), f"{prose(3)} {item}")
    parts = (together.slice(start, 1) for start in range(4))
    assert find_contamination(parts, [benchmark(item)]) == find_contamination(together, [benchmark(item)])


def test_the_report_counts_documents_and_items_of_each_benchmark() -> None:
    one = "one plain question that has more than eight words in it"
    benchmarks = [benchmark(one, prose(8), "So?"), benchmark(prose(9), name="unseen")]
    found = find_contamination(documents(one, f"{one} {one}", prose(1), prose(2)), benchmarks)
    table = report(found, "web", 4, benchmarks)
    assert table.schema == REPORT
    rows = table.to_pylist()
    documents_share, items_share = wilson(2, 4), wilson(1, 2)
    assert rows[0] == {
        "source": "web",
        "benchmark": "test",
        "documents": 4,
        "documents_hit": 2,
        "document_share": 0.5,
        "document_share_low": documents_share.low,
        "document_share_high": documents_share.high,
        "items": 2,
        "items_hit": 1,
        "item_share": 0.5,
        "item_share_low": items_share.low,
        "item_share_high": items_share.high,
        "items_not_searched": 1,
    }
    assert (rows[1]["benchmark"], rows[1]["documents_hit"], rows[1]["items_hit"]) == ("unseen", 0, 0)
    assert report(SCHEMA.empty_table(), "none", 0, benchmarks)["document_share"].to_pylist() == [None, None]


def test_nothing_in_nothing_out() -> None:
    item = benchmark("one plain question that has more than eight words in it")
    assert find_contamination(documents(), [item]).schema == SCHEMA
    assert find_contamination(documents(None, ""), [item]).num_rows == 0
    assert find_contamination(documents(prose(1)), []).num_rows == 0
    with pytest.raises(ValueError, match="two benchmarks have one name: test, test"):
        find_contamination(documents(prose(1)), [item, item])


@pytest.mark.parametrize(
    ("row", "item"),
    [
        ({"text": "t"}, Item("line 1", "t")),
        ({"id": 7, "question": "q", "choices": ["a", "b"]}, Item("7", "q", ("a", "b"))),
        ({"question": "q", "answer": "a string"}, Item("line 1", "q")),
        ({"question": "q", "answer": 3, "options": "A. x\nB. y"}, Item("line 1", "q", ("x", "y"))),
        ({"question": "q", "answer": ["x", "y"]}, Item("line 1", "q", ("x", "y"))),
        ({"question": "q", "options": {"A": "x", "B": "y"}}, Item("line 1", "q", ("x", "y"))),
        ({"question": "q", "choices": {"text": ["x"], "label": ["A"]}}, Item("line 1", "q", ("x",))),
        ({"task_id": "Some/0", "prompt": "def f():", "test": "t"}, Item("Some/0", "def f():")),
        ({"question": " ", "problem": "p"}, Item("line 1", "p")),
        ({"ctx": "c", "endings": ["x", "y"], "ind": 4}, Item("line 1", "c", ("x", "y"))),
        ({"text": "broken \ud800 text"}, Item("line 1", "broken ? text")),
    ],
)
def test_the_fields_of_an_item_are_known_by_their_names(
    tmp_path: Path, row: dict[str, Any], item: Item
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(row))
    assert load_benchmark(path) == Benchmark("mine", (item,))


def test_benchmarks_may_be_compressed_and_blank_lines_count(tmp_path: Path) -> None:
    data = b'{"text": "some text"}\n\n{"text": "more"}\n'
    for name, compress in (
        ("mine.v1.jsonl", bytes),
        ("mine.v1.jsonl.gz", gzip.compress),
        ("mine.v1.jsonl.zst", zstandard.compress),
    ):
        path = tmp_path / name
        path.write_bytes(compress(data))
        expected = Benchmark("mine.v1", (Item("line 1", "some text"), Item("line 3", "more")))
        assert load_benchmark(path) == expected


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (b"{", "line 2: "),
        (b"[1]", "line 2: not a JSON object"),
        (b'{"answer": 1}', "line 2: no text in any of question, text, .*; the row has answer"),
        (b"{}", "line 2: .*the row has nothing"),
        (b'{"question": "x", "choices": [1]}', "line 2: choices are not a list of strings"),
        (b'{"id": "line 1", "text": "x"}', "line 2: a second item with id 'line 1'"),
        (b'{"text": "\xff"}', "line 2: .*utf-8"),
    ],
)
def test_a_wrong_line_of_a_benchmark_is_named(tmp_path: Path, broken: bytes, message: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(b'{"text": "x"}\n' + broken + b"\n")
    with pytest.raises(ValueError, match=f"mine.jsonl, {message}"):
        load_benchmark(path)


def test_a_damaged_benchmark_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "x"}\n' * 1000)[:-10])
    with pytest.raises(ValueError, match=r"mine\.jsonl\.gz: the compressed data is damaged"):
        load_benchmark(path)
    path.write_bytes(b"no gzip")
    with pytest.raises(ValueError, match="the compressed data is damaged: Not a gzipped file"):
        load_benchmark(path)
    zst = tmp_path / "mine.jsonl.zst"
    zst.write_bytes(b"no zstd")
    with pytest.raises(ValueError, match=r"mine\.jsonl\.zst: the compressed data is damaged"):
        load_benchmark(zst)


@pytest.mark.parametrize(
    ("name", "items", "choices"),
    [
        ("gsm8k-test", 1319, 0),
        ("mmlu-2850", 2850, 4),
        ("hellaswag-3000", 3000, 4),
        ("truthfulqa-817", 817, 2),
        ("humaneval-164", 164, 0),
    ],
)
def test_public_benchmarks_are_read_as_they_are(name: str, items: int, choices: int) -> None:
    path = DATA / "bench" / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip("no ../shared/data beside the project: the public benchmarks are not there")
    found = load_benchmark(path)
    assert (found.name, len(found.items)) == (name, items)
    assert min(len(item.choices) for item in found.items) >= min(choices, 1)
    assert statistics.median(len(item.choices) for item in found.items) >= choices


def test_the_packaged_items_are_whole() -> None:
    for path in packaged_benchmarks():
        for line in path.read_text().splitlines():
            row = json.loads(line)
            assert len(row["question"].split()) >= 14
            assert len(set(row["choices"])) == 4
            assert row["answer"] in range(4)


def test_the_policy_file_states_the_defaults() -> None:
    assert load_policy(ContaminationPolicy, "contamination") == ContaminationPolicy()
    with pytest.raises(ValueError, match="shortest <= ngram"):
        ContaminationPolicy(ngram=3)
