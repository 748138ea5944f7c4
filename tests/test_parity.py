"""Profile `parity` says what datatrove 0.10.0 says: verdict, first reason, and the text that C4 leaves.

The vectors are datatrove's own verdicts: those of ../shared/data/parity, and those of this folder, which
`benchmarks/parity.py --vectors` writes. The comparison on real documents is benchmarks/parity.py itself.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.filters import parity
from assets.filters.english_words import english_words
from assets.filters.parity import CONFIGURATIONS, PIPELINE
from assets.rules import judge, load_rules, of_profile

TESTS = Path(__file__).parent
SHARED = TESTS.parent.parent / "shared" / "data" / "parity" / "datatrove-0.10.0-vectors.jsonl"
RULES = of_profile(load_rules(), "parity")

# Where datatrove raises, on a text of no characters, ours is a verdict.
OURS = {"ZeroDivisionError": "empty_text"}


def vectors(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.open(encoding="utf-8")]


def reasons(texts: list[str], configuration: parity.Configuration) -> list[str]:
    judged = parity.judge(pa.array(texts), RULES, (configuration,))[configuration.name]
    return [reason or "keep" for reason in judged["reason"].to_pylist()]


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda each: each.name)
def test_the_vectors_of_every_configuration(configuration: parity.Configuration) -> None:
    if not SHARED.exists():
        pytest.skip("../shared/data is not there")
    known = vectors(SHARED)
    assert len(known) == 35
    found = dict(
        zip(
            [each["id"] for each in known],
            reasons([each["text"] for each in known], configuration),
            strict=True,
        )
    )
    assert found == {
        each["id"]: OURS.get(each[configuration.name], each[configuration.name]) for each in known
    }


@pytest.mark.parametrize("configuration", [*CONFIGURATIONS, PIPELINE], ids=lambda each: each.name)
def test_our_vectors_and_the_texts_that_are_left(configuration: parity.Configuration) -> None:
    known = vectors(TESTS / "parity_vectors.jsonl")
    texts = [each["text"] for each in known]
    judged = parity.judge(pa.array(texts), RULES, (configuration,))[configuration.name]
    for each, row in zip(known, judged.to_pylist(), strict=True):
        said = each[configuration.name]
        assert (row["reason"] or "keep") == OURS.get(said["reason"], said["reason"]), each["id"]
        left = said.get("text", each["text"]) if said["reason"] == "keep" else None
        assert row["text"] == left, each["id"]
        assert row["verdict"] == ("keep" if said["reason"] == "keep" else "drop")


def test_our_vectors_meet_every_rule() -> None:
    known = vectors(TESTS / "parity_vectors.jsonl")
    met = {each[name]["reason"] for each in known for name in each.keys() - {"id", "text"}}
    names = {each.name for each in RULES if each.profile == "parity"} - set(OURS.values())
    names.remove("gopher_long_doc")  # more than 100,000 words
    assert names - met == set()


def test_signals_and_rules_give_the_verdicts_that_the_filters_give() -> None:
    texts = pa.array([each["text"] for each in vectors(TESTS / "parity_vectors.jsonl")])
    rules = tuple(each for each in RULES if each.profile == "parity")
    by_rules = judge(parity.measure(texts), rules)
    by_filters = parity.judge(texts, rules)[PIPELINE.name]
    assert by_rules["reason"].to_pylist() == by_filters["reason"].to_pylist()


def test_a_text_is_measured_alike_wherever_it_stands() -> None:
    texts = [each["text"] for each in vectors(TESTS / "parity_vectors.jsonl")]
    together = parity.measure(pa.array(texts))
    alone = pa.concat_tables([parity.measure(pa.array([text])) for text in texts])
    assert together.equals(alone)


def test_no_texts_and_null_ones() -> None:
    assert parity.measure(pa.array([], pa.string())).num_rows == 0
    assert parity.measure(pa.array([None, "a"])).num_rows == 2


LINES = st.lists(
    st.text("abcd .,:)(!?[1]\"'’-{ loremipsumjavascript\t\r\x0b\u2028é다🙂", max_size=40), max_size=10
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(LINES, st.sampled_from(["\n", "\r\n", "\n\n", " \n"])), min_size=1, max_size=4))
def test_words_carried_over_are_the_words_cut_anew(pages: list[tuple[list[str], str]]) -> None:
    texts = pa.array([between.join(lines) for lines, between in pages], pa.large_string())
    (batch,) = parity._batches(texts)
    for terminal in (True, False):
        edited, carried = batch.edited(terminal)
        anew = english_words()(edited.points, edited.bounds)
        for one, other in zip(carried, anew, strict=True):
            assert one.tolist() == other.tolist()
