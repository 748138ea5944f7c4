"""Exact and near duplicates: clusters, keepers, scripts, large buckets, and a corpus with known groups."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import unicodedata
import zlib
from collections import defaultdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assets.documents import content_hash, document_id
from assets.filters.duplicates import PREFERENCE, SCHEMA, NearDuplicatePolicy, find_duplicates
from assets.filters.folding import fold
from assets.filters.policies import load_policy
from assets.intervals import wilson

DATA = Path(__file__).parents[2] / "shared" / "data"
WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "bdfgklmnprst"]


def prose(seed: int, words: int = 80) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def table(texts: dict[str, str], **columns: list[Any]) -> pa.Table:
    """A table of documents by id; further columns in the same order."""
    return pa.table(
        {
            "doc_id": pa.array(texts, pa.string()),
            "source": pa.array(["test"] * len(texts), pa.string()),
            "text": pa.array(texts.values(), pa.string()),
            "content_hash": pa.array(map(content_hash, texts.values()), pa.string()),
            "license": pa.array(["MIT"] * len(texts), pa.string()),
        }
        | columns
    )


def by_id(duplicates: pa.Table) -> dict[str, dict[str, Any]]:
    return {row["doc_id"]: row for row in duplicates.to_pylist()}


def test_exact_and_near_copies_join_one_cluster_with_one_keeper() -> None:
    text = prose(1)
    rows = by_id(
        find_duplicates(
            table(
                {"d": text, "b": text, "c": text.upper().replace(" ", ",  ", 5), "a": prose(2), "e": prose(3)}
            )
        )
    )
    assert rows.keys() == {"b", "c", "d"}
    assert {row["cluster_id"] for row in rows.values()} == {"b"}
    # The copy with more punctuation is the longest.
    assert {row["keeper_id"] for row in rows.values()} == {"c"}
    assert [row["is_keeper"] for row in rows.values()] == [False, True, False]
    assert [row["relation"] for row in rows.values()] == ["near", "exact", "near"]
    assert [row["similarity"] for row in rows.values()] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("licenses", "synthetic", "keeper"),
    [
        (["NOASSERTION", "MIT", "MIT"], [False, True, False], "c"),
        (["MIT", "NOASSERTION", None], [True, False, False], "a"),
        (["MIT", "MIT", "MIT"], [True, False, False], "b"),
        (["MIT", "MIT", "MIT"], [None, None, None], "a"),
    ],
)
def test_the_keeper_is_licensed_then_natural_then_of_smallest_id(
    licenses: list[str | None], synthetic: list[bool | None], keeper: str
) -> None:
    documents = table(
        dict.fromkeys("abc", "the same text"), license=licenses, synthetic=pa.array(synthetic, pa.bool_())
    )
    assert set(find_duplicates(documents)["keeper_id"].to_pylist()) == {keeper}


def test_the_keeper_may_be_released_then_is_licensed_natural_better_longer_older() -> None:
    """Each column in turn decides between the first document and the second, against all columns after it."""
    columns = {
        "releasable": pa.array([False, True]),
        "license": pa.array(["NOASSERTION", "MIT"]),
        "synthetic": pa.array([True, False]),
        "quality": pa.array([None, 0.1]),
        "characters": pa.array([10, 11]),
        "collected_at": pa.array([date(2020, 1, 2), date(2020, 1, 1)]),
    }
    assert tuple(columns) == PREFERENCE
    for number, name in enumerate(columns):
        against = {later: columns[later].take(pa.array([1, 0])) for later in list(columns)[number + 1 :]}
        equal = {earlier: columns[earlier].take(pa.array([1, 1])) for earlier in list(columns)[:number]}
        documents = table(dict.fromkeys("ab", "the same text"), **equal, **{name: columns[name]}, **against)
        assert set(find_duplicates(documents)["keeper_id"].to_pylist()) == {"b"}, name


def test_numbers_dates_and_punctuation_do_not_tell_texts_apart() -> None:
    text = prose(4)
    rows = by_id(find_duplicates(table({"a": f"{text} on 2024-01-31.", "b": f"{text} on 1999-12-05!"})))
    assert {key: (row["relation"], row["similarity"]) for key, row in rows.items()} == {
        "a": ("exact", 1.0),
        "b": ("near", 1.0),
    }


def test_texts_shorter_than_an_ngram_match_only_exactly() -> None:
    rows = by_id(find_duplicates(table({"a": "One two three.", "b": "one two three", "c": "one two three"})))
    assert rows.keys() == {"b", "c"}
    assert {row["relation"] for row in rows.values()} == {"exact"}


def test_korean_and_chinese_texts_are_compared_in_their_own_words() -> None:
    korean = "오늘은 날씨가 매우 맑고 바람이 조금 불어서 공원에 산책을 나온 사람들이 아주 많았습니다 "
    korean = korean + "아이들은 잔디밭에서 공을 차며 놀고 어른들은 나무 그늘에 앉아 이야기를 나누었습니다"
    chinese = (
        "今天天气很好公园里有很多人散步孩子们在草地上踢球大人们坐在树荫下聊天直到太阳下山才慢慢地走回家去"
    )
    rows = by_id(
        find_duplicates(
            table(
                {
                    "ka": korean,
                    "kb": unicodedata.normalize("NFD", korean) + " 끝",
                    "za": chinese,
                    "zb": f"{chinese}。",
                }
            )
        )
    )
    assert {key: row["cluster_id"] for key, row in rows.items()} == {
        "ka": "ka",
        "kb": "ka",
        "za": "za",
        "zb": "za",
    }


def test_the_answer_does_not_depend_on_the_order_of_rows_or_chunks() -> None:
    texts = {f"{i:03}": prose(i % 40) + (" changed" if i % 3 else "") for i in range(120)}
    documents = table(texts)
    shuffled = documents.take(pa.array(np.random.default_rng(1).permutation(len(texts))))
    halves = pa.concat_tables([shuffled.slice(0, 50), shuffled.slice(50)])
    found = find_duplicates(documents)
    assert found.schema == SCHEMA
    assert found.num_rows == 120
    assert find_duplicates(halves) == found


@pytest.mark.parametrize("words", [300, 4000])
def test_similarity_is_exact_up_to_the_sketch_and_close_beyond(words: int) -> None:
    kept = prose(7, words).split()
    changed = [*kept[: words * 9 // 10], *prose(8, words // 10).split()]
    texts = {"a": " ".join(kept), "b": " ".join(changed)}
    true = jaccard(*texts.values())
    found = min(find_duplicates(table(texts))["similarity"].to_pylist())
    # Four standard errors of a sketch of 512.
    assert found == pytest.approx(true, abs=1e-12 if words < 400 else 4 * (true * (1 - true) / 512) ** 0.5)


def test_a_chain_is_one_cluster_and_nobody_in_it_is_removed_for_a_text_it_is_not_near() -> None:
    words, fresh = prose(10, 400).split(), prose(11, 400).split()
    texts = {f"{i:02}": " ".join([*fresh[: 20 * i], *words[20 * i :]]) for i in range(20)}
    rows = by_id(find_duplicates(table(texts), NearDuplicatePolicy(similarity=0.8)))
    assert rows.keys() == texts.keys()
    assert {row["cluster_id"] for row in rows.values()} == {"00"}
    assert len({row["keeper_id"] for row in rows.values()}) > 3
    for key, row in rows.items():
        keeper = rows[row["keeper_id"]]
        assert keeper["is_keeper"] and keeper["keeper_id"] == row["keeper_id"]
        assert row["similarity"] == pytest.approx(jaccard(texts[key], texts[row["keeper_id"]]))
        assert row["similarity"] >= 0.8


def test_a_bucket_of_boilerplate_stays_linear() -> None:
    boilerplate = prose(9, 300)
    texts = {f"{i:05}": f"{boilerplate} {WORDS[i % 700]} {WORDS[i // 700]}" for i in range(4000)}
    found = find_duplicates(table(texts))
    assert found.num_rows == 4000
    assert set(found["cluster_id"].to_pylist()) == {"00000"}


def test_nothing_in_nothing_out_and_a_repeated_id_is_an_error() -> None:
    assert find_duplicates(table({})).num_rows == 0
    assert find_duplicates(table({"a": "", "b": prose(1)})).num_rows == 0
    twice = pa.concat_tables([table({"a": "x"}), table({"a": "y"})])
    with pytest.raises(ValueError, match="doc_id a "):
        find_duplicates(twice)


def test_folding_keeps_letters_and_digits_of_every_script() -> None:
    texts = pa.array(
        ["Ｈello,\u200b WORLD!  It’s 2024", None, "日本語のABC。", unicodedata.normalize("NFD", "한국어")]
    )
    assert fold(texts).to_pylist() == ["hello world it s 2024", "", "日 本 語 の abc", "한국어"]
    assert fold(texts.slice(0, 1), digits=False).to_pylist() == ["hello world it s 0000"]


def test_documents_may_come_in_tables_of_any_size() -> None:
    texts = {f"{i:03}": prose(i % 40) + (" changed" if i % 3 else "") for i in range(120)}
    documents = table(texts)
    parts = [documents.slice(start, 7) for start in range(0, 120, 7)]
    assert find_duplicates(iter(reversed(parts))) == find_duplicates(documents)
    assert find_duplicates([]).schema == SCHEMA


def test_policies_come_from_a_file_and_a_wrong_entry_is_named(tmp_path: Path) -> None:
    assert load_policy(NearDuplicatePolicy, "near_duplicates") == NearDuplicatePolicy()
    path = tmp_path / "mine.yaml"
    path.write_text("near_duplicates: {similarity: 0.8, bands: 20}")
    assert load_policy(NearDuplicatePolicy, "near_duplicates", path) == NearDuplicatePolicy(
        similarity=0.8, bands=20
    )
    for entry, message in (
        ("{shingle: 5}", "near_duplicates: 'shingle' is none of similarity, ngram"),
        ("{bands: many}", "near_duplicates: bands is not a number of its kind: 'many'"),
        ("{bands: 1.5}", "near_duplicates: bands is not a number of its kind: 1.5"),
        ("{similarity: 70}", "near_duplicates: a similarity of 70 is not in"),
        ("[1]", "near_duplicates: not a table"),
    ):
        path.write_text(f"near_duplicates: {entry}")
        with pytest.raises(ValueError, match=f"mine.yaml, {message}"):
            load_policy(NearDuplicatePolicy, "near_duplicates", path)


@pytest.mark.slow
def test_known_near_duplicates_of_a_corpus_are_found() -> None:
    corpus = DATA / "corpora" / "windows-powershell-docs.jsonl.gz"
    if not corpus.exists():
        pytest.skip("no ../shared/data beside the project: the corpus with known groups is not there")
    with gzip.open(corpus, "rt") as lines:
        rows = [
            row
            for row in map(json.loads, lines)
            if zlib.crc32((row["dup_group"] or row["id"]).encode()) % 20 == 0
        ]
    texts = {document_id("docs", row["id"]): row["text"] for row in rows}
    groups = dict(zip(texts, (row["dup_group"] for row in rows), strict=True))
    found = find_duplicates(table(texts))
    clusters = dict(zip(found["doc_id"].to_pylist(), found["cluster_id"].to_pylist(), strict=True))
    known, named = pairs(groups), pairs(clusters)
    recall = wilson(len(known & named), len(known))
    precision = wilson(len(known & named), len(named))
    assert recall.low > 0.93, recall.percent()
    assert precision.low > 0.93, precision.percent()


def jaccard(one: str, other: str) -> float:
    """The Jaccard similarity of the word 5-grams of two texts of plain words."""
    sets = [
        {tuple(words[i : i + 5]) for i in range(len(words) - 4)} for words in (one.split(), other.split())
    ]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def pairs(labels: dict[str, str]) -> set[tuple[str, str]]:
    """The pairs of ids that carry one label."""
    members = defaultdict(list)
    for key, label in labels.items():
        if label:
            members[label].append(key)
    return {pair for ids in members.values() for pair in itertools.combinations(sorted(ids), 2)}
