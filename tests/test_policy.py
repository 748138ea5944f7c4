"""The policy outside the lake: golden texts on either side of each threshold, cards, intervals in SQL."""

from __future__ import annotations

import json
import math
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from jinja2 import Environment

from assets.filters import parity
from assets.filters.language import identify
from assets.filters.plan import Plan, examine
from assets.filters.signals import SIGNALS, measure
from assets.governance import policy
from assets.governance.policy import FACTS, judge
from assets.intervals import wilson
from assets.rules import RULES as RULES_FILE
from assets.rules import PolicyError, load_rules
from assets.rules import judge as judge_arrow

TESTS = Path(__file__).parent
RULES = load_rules()
GOLDEN = [
    json.loads(line) for line in (TESTS / "golden_rules.jsonl").read_text(encoding="utf-8").splitlines()
]

# What no one short text can show: other documents, consent, recognisers, 100,000 words.
NOT_GOLDEN = {
    "opted_out",
    "exact_duplicate",
    "near_duplicate",
    "contaminated",
    "personal_data",
    "personal_data_to_drop",
    "too_long",
    "boilerplate",
}


@pytest.mark.parametrize(
    "golden", GOLDEN, ids=[f"{each['profile']}-{each['rule']}-{each['side']}" for each in GOLDEN]
)
def test_a_golden_text_fails_exactly_its_rule(golden: dict) -> None:
    texts = pa.array([golden["text"]])
    measured = measure(texts)
    for name, column in zip(("language", "language_score"), identify(texts).columns, strict=True):
        measured = measured.append_column(name, column)
    judged = judge(measured, RULES, golden["profile"], golden["language"])
    assert judged["failed"][0].as_py() == golden["fails"]
    assert (golden["rule"] in golden["fails"]) == (golden["side"] == "over")
    drops = [
        each.name
        for each in RULES
        if each.name in golden["fails"] and each.applies_to(golden["profile"]) and each.action == "drop"
    ]
    assert judged["reason"][0].as_py() == (drops[0] if drops else None)
    assert judged["dropped"][0].as_py() == bool(drops)


def test_every_rule_of_the_filter_stage_has_golden_texts() -> None:
    both = {side: {each["rule"] for each in GOLDEN if each["side"] == side} for side in ("over", "under")}
    ours = {each.name for each in RULES if each.stage == "filtered" and each.profile != "parity"}
    assert both["over"] == both["under"]
    assert ours - NOT_GOLDEN - both["over"] == set()


def test_documents_come_back_in_their_order_and_without_rules_nothing_fails() -> None:
    measured = pa.table({"words": [10, 60, 20, 60]})
    assert judge(measured, RULES, "web")["reason"].to_pylist() == ["too_short", None, "too_short", None]
    assert judge(measured, (), "web")["failed"].to_pylist() == [[]] * 4
    assert judge(measured.slice(0, 0), RULES, "web").num_rows == 0


def test_every_signal_of_a_rule_is_measured_or_told() -> None:
    known = {signal.name for signal in (*SIGNALS, *parity.SIGNALS)} | set(FACTS)
    assert sorted({each.signal for each in RULES} - known) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,x,1,filtered,web,words,<,ten,drop,,", "rules.csv, line 2: could not convert string to float"),
        ("1,x,1,filtered,web,words,=,10,drop,,", "rules.csv, line 2: comparison '=' is none of <, <=, >, >="),
        ("1,x,1,filtered,web,words,<,10,keep,,", "rules.csv, line 2: action 'keep' is none of drop, flag"),
    ],
)
def test_a_rule_that_cannot_be_read_names_its_line(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "rules.csv"
    header = RULES_FILE.read_text(encoding="utf-8").splitlines()[0]
    file.write_text(f"{header}\n{line}\n", encoding="utf-8")
    with pytest.raises(PolicyError, match=message):
        load_rules(file)


def test_the_cards_are_current() -> None:
    from docs.rules import PAGE, load_measured, page

    assert PAGE.read_text(encoding="utf-8") == page(RULES, load_measured()), "run docs/rules.py"


def test_a_card_of_a_rule_that_changed_since_says_not_measured() -> None:
    from docs.rules import Measured, page

    row = {"profile": "web", "dataset": "good", "language": "en", "kind": "clean", "rule": None, "n": 100}
    drops = [{**row, "dropped": 3}, {**row, "rule": "too_short", "dropped": 3}]
    rule = next(each for each in RULES if each.name == "too_short" and each.profile == "web")
    now = Measured({"web:too_short": f"{rule.fails_if}, drop"}, drops)
    before = Measured({"web:too_short": "words < 7, drop"}, drops)
    assert "Known false drops: 3.0 % [1.0, 8.5] n=100 of good (web)." in page([rule], now)
    assert "Known false drops: not measured." in page([rule], before)
    assert "not measured" in page([rule], Measured())


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (0, 7), (7, 7), (3, 8), (1, 100_000), (431, 500)])
def test_the_interval_in_sql_is_the_one_of_python(successes: int, n: int) -> None:
    text = (policy.MACROS.parent / "statistics.sql").read_text(encoding="utf-8")
    macro = Environment().from_string(text).module.wilson  # type: ignore[attr-defined]
    sql = (
        f"SELECT {macro('k', 'n', 'low')}, {macro('k', 'n', 'high')} FROM (SELECT {successes} AS k, {n} AS n)"
    )
    low, high = duckdb.sql(sql).fetchone()  # type: ignore[misc]
    expected = wilson(successes, n)
    assert math.isclose(low, expected.low, abs_tol=1e-12)
    assert math.isclose(high, expected.high, abs_tol=1e-12)


def test_scripts_without_spaces_are_not_asked_for_long_words() -> None:
    texts = pa.array(
        [
            "图书馆开放到晚上九点，读者可以在大厅借阅各种书籍，也可以在安静的房间里学习，直到关门为止。",
            "a b c d e f g h i j k l m n o p q r s t u v w x y z of to in on at by up or if so we me my it",
        ]
    )
    measured = measure(texts)
    for name, column in zip(("language", "language_score"), identify(texts).columns, strict=True):
        measured = measured.append_column(name, column)
    short = [each for each in RULES if each.name == "short_words"]
    assert judge(measured, short, "web")["failed"].to_pylist() == [[], ["short_words"]]
    documents = pa.table({"id": ["zh", "en"], "text": texts})
    plan = Plan(tuple(short))
    assert judge_arrow(examine(documents, plan), short)["reason"].to_pylist() == [None, "short_words"]
