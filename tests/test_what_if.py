"""What-if: the same answer as judging every document anew, errors that name the nearest, nothing written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import duckdb
import pyarrow as pa
import pytest

from assets.governance import acceptance, effects
from assets.governance.policy import as_table, breaks, judged
from assets.governance.what_if import parse_changes, what_if
from assets.lake import Lake
from assets.rules import PolicyError, Rule


def rule(priority: int, name: str, signal: str, comparison: str, threshold: float, **more: str) -> Rule:
    facts = {"stage": "filtered", "profile": "web", "action": "drop", "paper": "", "rationale": "", **more}
    return Rule(priority, name, 1, signal=signal, comparison=comparison, threshold=threshold, **facts)


RULES = (
    rule(10, "copy", "copies", ">", 0, profile="all"),
    rule(20, "too_short", "words", "<", 50),
    rule(20, "too_short", "words", "<", 8, profile="sft"),
    rule(30, "hashes", "hash_ratio", ">", 0.1),
    rule(40, "list_like", "list_ratio", ">=", 0.5, action="flag"),
    rule(50, "toxic", "toxicity", ">=", 0.5, stage="scored", profile="all"),
)
PROFILES = {"crawl": "web", "forum": "web", "questions": "sft"}


def documents() -> list[dict]:
    dice = Random(5)
    return [
        {
            "doc_id": f"{number:032x}",
            "source": dice.choice(list(PROFILES)),
            "language": dice.choice(["en", "ko"]),
            "copies": float(dice.random() < 0.1),
            "words": float(dice.randrange(0, 120)),
            "hash_ratio": dice.choice([0.0, 0.05, 0.1, 0.2]),
            "list_ratio": dice.choice([0.0, 0.4, 0.5, None]),
            "toxicity": dice.random(),
        }
        for number in range(400)
    ]


def held(rows: Sequence[dict], rules: Sequence[Rule], stage: str) -> pa.Table:
    """Verdicts, as the model of the stage has them."""
    evidence = pa.Table.from_pylist(
        [
            {"doc_id": row["doc_id"], "source": row["source"], "profile": PROFILES[row["source"]],
             "signal": name, "value": row[name]}
            for row in rows
            for name in ("copies", "words", "hash_ratio", "list_ratio", "toxicity")
        ]
    )  # fmt: skip
    with duckdb.connect() as connection:
        connection.register("evidence", evidence)
        connection.register("rules", as_table(each for each in rules if each.stage == stage))
        return connection.execute(
            "SELECT evidence.*, rules.* EXCLUDE (signal, profile), "
            f"{breaks('evidence.value', 'rules.comparison', 'rules.threshold')} AS failed "
            "FROM evidence JOIN rules ON rules.signal = evidence.signal "
            "AND rules.profile IN ('all', evidence.profile)"
        ).to_arrow_table()


def decided(verdicts: pa.Table) -> dict[str, str | None]:
    """The first reason of each document."""
    with duckdb.connect() as connection:
        connection.register("verdicts", verdicts)
        return dict(connection.execute(f"SELECT doc_id, reason FROM ({judged('verdicts')})").fetchall())


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake, rows = Lake(tmp_path_factory.mktemp("lake")), documents()
    sources = {"source": list(PROFILES), "profile": list(PROFILES.values())}
    seed = pa.Table.from_pylist([{**vars(each), "rule": each.name} for each in RULES])
    verdicts = held(rows, RULES, "filtered")
    reasons = decided(verdicts)
    kept = [row for row in rows if reasons[row["doc_id"]] is None]
    scored = held(kept, RULES, "scored")
    refused = decided(scored)
    decisions = [
        {
            "doc_id": row["doc_id"],
            "source": row["source"],
            "verdict": "removed" if reasons[row["doc_id"]] else "kept",
            "reason": reasons[row["doc_id"]],
            "policy_version": "p1",
        }
        for row in rows
    ]
    decisions.append(decisions[0] | {"doc_id": "f" * 32, "verdict": "errored", "reason": "not_measured"})
    selection = [
        {"doc_id": row["doc_id"], "source": row["source"], "selected": refused[row["doc_id"]] is None,
         "reason": refused[row["doc_id"]]}
        for row in kept
    ]  # fmt: skip
    signals = pa.Table.from_pylist(
        [{name: row[name] for name in ("doc_id", "source", "language")} for row in rows]
    )
    tables = {
        "raw.sources": pa.table(sources),
        "policy.rules": seed,
        "filtered.signals": signals,
        "filtered.verdicts": verdicts,
        "filtered.decisions": pa.Table.from_pylist(decisions),
        "scored.verdicts": scored,
        "scored.selection": pa.Table.from_pylist(selection),
    }
    lake.replace_all(tables, run_id="r")
    return lake


CHANGES = {
    "a higher threshold": ["too_short.threshold=70"],
    "a lower one, of one profile": ["web:too_short.threshold=10"],
    "a rule that drops no more": ["copy.action=flag"],
    "a flag that drops": ["list_like.action=drop"],
    "several": [
        "too_short.threshold=30",
        "hashes.threshold=0.04",
        "list_like.action=drop",
        "copy.action=flag",
    ],
    "both of one rule": ["list_like.action=drop", "list_like.threshold=0.3"],
    "the special before the general": ["sft:too_short.threshold=3", "too_short.threshold=90"],
    "none at all": ["too_short.threshold=50.0", "sft:too_short.threshold=8"],
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_answer_is_that_of_judging_everything_anew(lake: Lake, name: str) -> None:
    rows = documents()
    outcome = what_if(lake, CHANGES[name])
    changed = {(change.profile, change.after.name): change.after for change in outcome.changes}
    anew = tuple(
        replace(changed.get((profile, each.name), each), profile=profile)
        for profile in ("web", "sft")
        for each in RULES
        if each.applies_to(profile)
    )
    before, after = decided(held(rows, RULES, "filtered")), decided(held(rows, anew, "filtered"))
    (stage,) = outcome.stages
    everyone = next(tally for tally in stage.tallies if tally.kind == "all")
    # The errored document is counted, and no rule can judge it.
    assert everyone.documents == len(rows) + 1
    assert everyone.kept_today == sum(reason is None for reason in before.values())
    assert everyone.kept_then == sum(reason is None for reason in after.values())
    for row in stage.rules:
        if row.rule != "not_measured":
            assert row.today == list(before.values()).count(row.rule)
            assert row.then == list(after.values()).count(row.rule)
    for side, wanted in (("removed", None), ("kept", "kept")):
        moved = [each for each in stage.moved if each.side == side]
        ids = {
            doc_id
            for doc_id in before
            if (before[doc_id] is None) != (after[doc_id] is None)
            and (after[doc_id] is None) == (wanted is not None)
        }
        assert sum(each.documents for each in moved) == len(ids)
        assert {example for each in moved for example in each.examples} <= ids
        assert all(each.examples for each in moved)
    by_source = [tally for tally in stage.tallies if tally.kind == "source"]
    assert sum(tally.kept_then for tally in by_source) == everyone.kept_then


def test_the_scored_stage(lake: Lake) -> None:
    outcome = what_if(lake, ["toxic.threshold=0.9"])
    (stage,) = outcome.stages
    everyone = next(tally for tally in stage.tallies if tally.kind == "all")
    selected = lake.query("SELECT count_if(value < 0.9)::INT AS n FROM scored.verdicts")["n"][0].as_py()
    assert everyone.kept_then == selected > everyone.kept_today
    assert {moved.side for moved in stage.moved} == {"kept"}


def test_what_it_means_for_the_selection(lake: Lake) -> None:
    outcome = what_if(lake, ["web:too_short.threshold=200"])
    lost = lake.query("SELECT count_if(selected)::INT AS n FROM scored.selection WHERE source <> 'questions'")
    assert outcome.lost_from_selection == lost["n"][0].as_py() > 0
    assert outcome.without_scores == 0
    assert what_if(lake, ["copy.action=flag"]).without_scores > 0


def test_nothing_is_written(lake: Lake) -> None:
    before = lake.snapshots()[-1].id
    what_if(lake, CHANGES["several"])
    assert lake.snapshots()[-1].id == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("to_short.threshold=3", "no rule 'to_short'; did you mean too_short?"),
        ("qqq.threshold=3", "no rule 'qqq'; there are copy, hashes, list_like, too_short, toxic"),
        ("wbe:too_short.threshold=3", "no source has the profile 'wbe'; did you mean web?"),
        ("sft:hashes.threshold=3", "the rule hashes is of web, and no source that it could change is"),
        ("too_short.treshold=3", "'treshold' can't be changed; did you mean threshold?"),
        ("too_short.threshold=few", "the threshold 'few' is not a number"),
        ("too_short.threshold=nan", "the threshold 'nan' is not a number"),
        ("too_short.action=dorp", "no action 'dorp'; did you mean drop?"),
        ("too_short=3", r"expected \[PROFILE:\]RULE.threshold=VALUE or RULE.action=drop|flag"),
    ],
)
def test_a_change_that_cannot_be_names_what_can(change: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message) as caught:
        parse_changes([change], RULES, ["web", "sft"])
    assert repr(change) in str(caught.value)


def test_an_empty_lake_says_what_comes_first(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="`winnow run` comes first"):
        what_if(Lake(tmp_path), ["too_short.threshold=3"])


def test_what_a_release_was_decided_by_is_accepted_from_its_snapshot(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    table = pa.table({"rule": ["too_short"], "share": [0.25]})
    then = lake.replace(effects.EFFECTS, table, run_id="r1").snapshot
    lake.replace(effects.EFFECTS, pa.table({"rule": ["too_short"], "share": [0.75]}), run_id="r2")
    acceptance.prepare_effects(lake, "r2")
    assert lake.query(f"FROM {acceptance.ACCEPTED_EFFECTS.accepted}").num_rows == 0
    assert acceptance.accept(lake, "abc", then, "r3")
    columns = "rule, share, release_id"
    accepted = lake.query(f"SELECT {columns} FROM {acceptance.ACCEPTED_EFFECTS.accepted}").to_pylist()
    assert accepted == [{"rule": "too_short", "share": 0.25, "release_id": "abc"}]
    # A snapshot that is gone leaves nothing to compare with, rather than another release's effects.
    assert not acceptance.accept(lake, "old", 99_999, "r4")
    assert lake.query(f"FROM {acceptance.ACCEPTED_EFFECTS.accepted}").num_rows == 0


def test_the_job_leaves_a_report(lake: Lake) -> None:
    from orchestration.trial import trial

    config = {"ops": {"try_changes": {"config": {"changes": ["too_short.threshold=70"]}}}}
    run = trial.execute_in_process(run_config=config, resources={"lake": lake})
    (output,) = [event for event in run.all_events if event.event_type_value == "STEP_OUTPUT"]
    report = output.step_output_data.metadata["report"].value
    assert "| crawl |" in report and "too\\_short" in report and "Nothing was written" in report
    wrong = {"ops": {"try_changes": {"config": {"changes": ["to_short.threshold=70"]}}}}
    refused = trial.execute_in_process(run_config=wrong, resources={"lake": lake}, raise_on_error=False)
    assert not refused.success
