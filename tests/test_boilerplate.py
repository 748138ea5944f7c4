"""Lines and paragraphs that documents share: counted, measured in each document, and never shown."""

from __future__ import annotations

import random
import unicodedata
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest

from assets.filters.boilerplate import PASSAGES, SCHEMA, BoilerplatePolicy, find_boilerplate
from assets.filters.folding import fold
from assets.filters.policies import load_policy

FOOTER = "All rights reserved by the authors."
POLICY = BoilerplatePolicy(documents=3)


def documents(*texts: str | None, **columns: list[object]) -> pa.Table:
    ids = [f"d{i:03}" for i in range(len(texts))]
    return pa.table(
        {"doc_id": ids, "source": ["test"] * len(texts), "text": pa.array(texts, pa.string())} | columns
    )


def body(seed: int) -> str:
    return " ".join(random.Random(seed).choices(["river", "stone", "bread", "walk", "green", "quiet"], k=9))


def test_a_shared_line_is_found_in_any_case_spacing_and_unicode_form() -> None:
    korean = "이 문서의 모든 권리는 저자에게 있습니다"
    forms = (
        f"{FOOTER}\n{korean}",
        f"  {FOOTER.upper()}!!\r\n{unicodedata.normalize('NFD', korean)}",
        f"\n{FOOTER}\n\n{korean}",
    )
    signals, passages = find_boilerplate(documents(*forms, body(1)), POLICY)
    assert signals["boilerplate_line_ratio"].to_pylist() == [1.0, 1.0, 1.0, 0.0]
    lines = [row for row in passages.to_pylist() if row["kind"] == "line"]
    assert [(row["documents"], row["sources"], row["examples"]) for row in lines] == [
        (3, 1, ["d000", "d001", "d002"])
    ] * 2
    assert {row["words"] for row in lines} == {6}


def test_shares_are_of_lines_of_characters_and_of_paragraphs() -> None:
    pairs = f"{FOOTER}\nSee the second page for more."
    texts = [f"{body(i)}\n\n{pairs}" for i in range(3)] + [f"{body(9)}\n{FOOTER}\n{body(8)}\n"]
    signals, passages = find_boilerplate(documents(*texts), POLICY)
    rows = signals.to_pylist()
    own, shared = len(body(0)), len(pairs) - 1
    assert rows[0]["boilerplate_line_ratio"] == pytest.approx(2 / 3)
    assert rows[0]["boilerplate_char_ratio"] == pytest.approx(shared / (own + shared))
    assert rows[0]["boilerplate_para_char_ratio"] == pytest.approx(shared / (own + shared))
    # Here the footer is a line of a paragraph that no other document has.
    assert rows[3]["boilerplate_line_ratio"] == pytest.approx(1 / 3)
    assert rows[3]["boilerplate_para_char_ratio"] == 0
    assert [(row["kind"], row["documents"]) for row in passages.to_pylist()] == [
        ("line", 4),
        ("line", 3),
        ("paragraph", 3),
    ]


def test_short_lines_repeats_in_one_document_and_removed_duplicates_do_not_count() -> None:
    few = documents("See also:\na", "See also:\nb", "See also:\nc")
    within = documents(*[f"{FOOTER}\n" * 5, FOOTER, body(3)])
    removed = documents(*[FOOTER] * 5, counted=[True, True, False, False, False])
    for table in (few, within, removed):
        signals, passages = find_boilerplate(table, POLICY)
        assert passages.num_rows == 0
        assert set(signals["boilerplate_char_ratio"].to_pylist()) == {0.0}
    kept = documents(*[FOOTER] * 5, counted=[True, True, False, False, True])
    signals, passages = find_boilerplate(kept, POLICY)
    assert set(signals["boilerplate_char_ratio"].to_pylist()) == {1.0}, "removed ones are measured too"
    assert passages["documents"].to_pylist() == [3, 3]
    assert passages["examples"].to_pylist()[0] == ["d000", "d001", "d004"]


def test_the_counts_agree_with_plain_python() -> None:
    dice = random.Random(5)
    shared = [body(i) for i in range(4)] + [
        "한국어 문장이 여기에 하나 있다",
        "Ünïcode — words, çà et là",
        "***",
    ]
    texts = ["\n".join(dice.choices([*shared, *["", "", " "] * 3], k=dice.randint(0, 9))) for _ in range(200)]
    holders, in_blocks = defaultdict(set), defaultdict(set)
    for number, text in enumerate(texts):
        for line in text.split("\n"):
            holders[folded(line)].add(number)
        for block in blocks(text):
            in_blocks[folded(" ".join(block))].add(number)

    def wide(text: str, held: dict[str, set[int]]) -> bool:
        return len(folded(text).split()) >= 4 and len(held[folded(text)]) >= 10

    signals, passages = find_boilerplate(documents(*texts), BoilerplatePolicy())
    for text, row in zip(texts, signals.to_pylist(), strict=True):
        lines = [line for line in text.split("\n") if line.strip()]
        repeated = [line for line in lines if wide(line, holders)]
        assert row["boilerplate_line_ratio"] == pytest.approx(len(repeated) / max(len(lines), 1))
        assert row["boilerplate_char_ratio"] == pytest.approx(
            sum(map(len, repeated)) / max(sum(map(len, lines)), 1)
        )
        in_repeated = sum(len("".join(block)) for block in blocks(text) if wide(" ".join(block), in_blocks))
        assert row["boilerplate_para_char_ratio"] == pytest.approx(in_repeated / max(sum(map(len, lines)), 1))
    counts = passages.group_by("kind").aggregate([("documents", "count")]).to_pylist()
    assert {row["kind"]: row["documents_count"] for row in counts} == {
        kind: sum(len(text.split()) >= 4 and len(found) >= 10 for text, found in held.items())
        for kind, held in (("line", holders), ("paragraph", in_blocks))
    }


def folded(text: str) -> str:
    return fold(pa.array([text]))[0].as_py()


def blocks(text: str) -> list[list[str]]:
    found: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.strip():
            found[-1].append(line)
        else:
            found.append([])
    return [block for block in found if block]


def test_neither_order_nor_tables_matter_and_no_text_is_in_the_answer() -> None:
    texts = [f"{body(i % 7)}\n\n{FOOTER}\n{body(i)}" for i in range(50)]
    table = documents(*texts)
    shuffled = table.take(pa.array(np.random.default_rng(1).permutation(50)))
    signals, passages = find_boilerplate(table)
    assert (signals.schema, passages.schema) == (SCHEMA, PASSAGES)
    parts = (shuffled.slice(start, 7) for start in range(0, 50, 7))
    assert find_boilerplate(parts) == (signals, passages)
    assert "rights" not in str(passages.to_pylist()).lower()


def test_nothing_in_nothing_out() -> None:
    assert [part.num_rows for part in find_boilerplate(documents())] == [0, 0]
    assert [part.num_rows for part in find_boilerplate([])] == [0, 0]
    signals, passages = find_boilerplate(documents(None, "", "\n \n"))
    assert passages.num_rows == 0
    assert set(signals["boilerplate_line_ratio"].to_pylist()) == {0.0}


def test_the_policy_file_states_the_defaults() -> None:
    assert load_policy(BoilerplatePolicy, "boilerplate") == BoilerplatePolicy()
