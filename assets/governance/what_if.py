"""What a changed policy would do to the documents in the lake: asked of what is measured, written nowhere.

A changed rule can only move the documents for which its own outcome changes. So the verdicts of the changed
rules are read, and only those documents are judged anew; everything else stands as it was decided.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from types import MappingProxyType

import duckdb

from assets.governance.policy import as_table, breaks, judged
from assets.intervals import Interval, wilson
from assets.lake import Lake
from assets.rules import ACTIONS, PolicyError, Rule, rule

EXAMPLES = 5

# Where each stage keeps its verdicts, and how it says who stayed. What was never measured isn't judged.
STAGES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "filtered": (
            "filtered.verdicts",
            "SELECT doc_id, source, verdict = 'kept' AS kept, reason FROM filtered.decisions",
        ),
        "scored": (
            "scored.verdicts",
            "SELECT doc_id, source, selected AS kept, reason FROM scored.selection",
        ),
    }
)
UNJUDGED = ("not_measured", "not_scored")


@dataclass(frozen=True)
class Change:
    """One rule of one profile as it is, and as it would be."""

    profile: str
    before: Rule
    after: Rule

    def __str__(self) -> str:
        was, would = self.before, self.after
        threshold = (
            f"{was.threshold:g} → {would.threshold:g}"
            if was.threshold != would.threshold
            else f"{was.threshold:g}"
        )
        action = f"{was.action} → {would.action}" if was.action != would.action else was.action
        return f"{self.profile}: {was.name} ({was.signal} {was.comparison} {threshold}, {action})"


@dataclass(frozen=True)
class Tally:
    """Documents of one group that are kept today and would be kept then; the groups are by `kind`."""

    kind: str
    name: str
    documents: int
    kept_today: int
    kept_then: int

    @property
    def share_then(self) -> Interval:
        """The share that would be kept, with its interval."""
        return wilson(self.kept_then, self.documents)


@dataclass(frozen=True)
class RuleTally:
    """Documents that a rule removes first, today and then."""

    rule: str
    today: int
    then: int


@dataclass(frozen=True)
class Moved:
    """Documents that change side for one reason: the rule that would remove them, or that did; ids only."""

    side: str
    reason: str
    source: str
    language: str
    documents: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class StageOutcome:
    """What the changes do in one stage."""

    stage: str
    tallies: tuple[Tally, ...]
    rules: tuple[RuleTally, ...]
    moved: tuple[Moved, ...]


@dataclass(frozen=True)
class WhatIf:
    """The changes and what they would do, and to how many selected documents and unscored ones."""

    changes: tuple[Change, ...]
    policy_version: str
    stages: tuple[StageOutcome, ...]
    lost_from_selection: int = 0
    without_scores: int = 0


def what_if(lake: Lake, changes: Sequence[str]) -> WhatIf:
    """What the lake's documents would come to under changed rules; the lake is read and not written.

    Args:
        changes: `RULE.threshold=VALUE` or `RULE.action=drop|flag`; `PROFILE:` before it changes the rule for
            that profile alone.

    Raises:
        PolicyError: No policy in the lake yet, or a change that can't be: it names the nearest that can.
    """
    if not lake.exists("filtered.decisions") or not lake.exists("policy.rules"):
        raise PolicyError("nothing is decided yet; `winnow run` comes first")
    rules = tuple(rule(row) for row in lake.query("FROM policy.rules").to_pylist())
    profiles = lake.query("SELECT DISTINCT profile FROM raw.sources ORDER BY profile")["profile"].to_pylist()
    parsed = parse_changes(changes, rules, profiles)
    with lake.connect() as connection:
        version = connection.execute("SELECT any_value(policy_version) FROM filtered.decisions").fetchone()
        stages = []
        for stage, (verdicts, _) in STAGES.items():
            of_stage = [change for change in parsed if change.after.stage == stage]
            if not of_stage:
                continue
            if not lake.exists(verdicts):
                raise PolicyError(f"the {stage} stage has no verdicts yet; `winnow run` comes first")
            stages.append(_outcome(connection, stage, of_stage))
        lost = without_scores = 0
        if stages and stages[0].stage == "filtered":
            without_scores = sum(moved.documents for moved in stages[0].moved if moved.side == "kept")
            if lake.exists("scored.selection"):
                lost = _one(
                    connection,
                    "SELECT count(*) FROM moved_filtered JOIN scored.selection USING (doc_id) "
                    "WHERE selected AND NOT kept_then",
                )
    return WhatIf(parsed, version[0] if version else "", tuple(stages), lost, without_scores)


def parse_changes(texts: Sequence[str], rules: Sequence[Rule], profiles: Iterable[str]) -> tuple[Change, ...]:
    """Changes as people write them, resolved to rules of profiles in use; one of a profile goes before one
    of all, and a later one before an earlier one.

    Raises:
        PolicyError: Naming the change, and the nearest names where one is unknown.
    """
    if not texts:
        raise PolicyError("no change given; expected RULE.threshold=VALUE or RULE.action=drop|flag")
    in_use = sorted(profiles)
    changed: dict[tuple[str, str], tuple[Rule, Rule]] = {}
    for text in sorted(texts, key=lambda each: ":" in each.partition("=")[0]):
        found = re.fullmatch(r"\s*(?:([\w*-]+):)?([\w-]+)\.(\w+)\s*=\s*(\S+)\s*", text)
        if found is None:
            raise PolicyError(f"{text!r}: expected [PROFILE:]RULE.threshold=VALUE or RULE.action=drop|flag")
        profile, name, field, value = found.groups()
        named = [each for each in rules if each.name == name]
        if not named:
            raise PolicyError(f"{text!r}: no rule {name!r}; {_nearest(name, {each.name for each in rules})}")
        if profile is not None and profile not in in_use:
            raise PolicyError(f"{text!r}: no source has the profile {profile!r}; {_nearest(profile, in_use)}")
        wanted = [profile] if profile else in_use
        applying = [(one, each) for one in wanted for each in named if each.applies_to(one)]
        if not applying:
            of = sorted({each.profile for each in named})
            raise PolicyError(
                f"{text!r}: the rule {name} is of {', '.join(of)}, and no source that it could change is"
            )
        for one, each in applying:
            before, so_far = changed.get((one, name), (each, each))
            changed[one, name] = (before, _altered(so_far, field, value, text))
    return tuple(Change(profile, *pair) for (profile, _), pair in sorted(changed.items()))


def _altered(each: Rule, field: str, value: str, text: str) -> Rule:
    if field == "threshold":
        try:
            number = float(value)
        except ValueError:
            raise PolicyError(f"{text!r}: the threshold {value!r} is not a number") from None
        if number != number:
            raise PolicyError(f"{text!r}: the threshold {value!r} is not a number")
        return replace(each, threshold=number)
    if field == "action":
        if value not in ACTIONS:
            raise PolicyError(f"{text!r}: no action {value!r}; {_nearest(value, ACTIONS)}")
        return replace(each, action=value)
    raise PolicyError(f"{text!r}: {field!r} can't be changed; {_nearest(field, ('threshold', 'action'))}")


def _nearest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = get_close_matches(name, names, 3, 0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"


def _outcome(connection: duckdb.DuckDBPyConnection, stage: str, changes: Sequence[Change]) -> StageOutcome:
    verdicts, ledger = STAGES[stage]
    revised = as_table(replace(change.after, profile=change.profile) for change in changes)
    connection.register("revised", revised)
    unjudged = ", ".join(f"'{reason}'" for reason in UNJUDGED)
    # Temporary tables are of this connection alone and leave the lake as it is.
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE moved_{stage} AS "
        f"WITH ledger AS ({ledger}), "
        "touched AS (SELECT DISTINCT doc_id FROM "
        f"(SELECT verdicts.*, revised.action AS new_action, "
        f"{breaks('verdicts.value', 'verdicts.comparison', 'revised.threshold')} AS fails "
        f"FROM {verdicts} AS verdicts JOIN revised USING (rule, profile)) "
        "WHERE coalesce(failed, false) <> coalesce(fails, false) OR action <> new_action), "
        "revisited AS (SELECT verdicts.* REPLACE "
        "(coalesce(revised.threshold, verdicts.threshold) AS threshold, "
        "coalesce(revised.action, verdicts.action) AS action) "
        f"FROM {verdicts} AS verdicts SEMI JOIN touched USING (doc_id) "
        "LEFT JOIN revised USING (rule, profile)), "
        f"held AS (SELECT revisited.* REPLACE ({breaks('value', 'comparison', 'threshold')} AS failed) "
        "FROM revisited), "
        f"judged AS ({judged('held')}) "
        "SELECT ledger.doc_id, ledger.source, ledger.kept AS kept_today, ledger.reason AS reason_today, "
        "NOT judged.dropped AS kept_then, judged.reason AS reason_then "
        "FROM ledger JOIN judged USING (doc_id) "
        f"WHERE ledger.reason IS NULL OR ledger.reason NOT IN ({unjudged})"
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE decided_{stage} AS "
        "SELECT ledger.doc_id, ledger.source, coalesce(signals.language, 'und') AS language, "
        "ledger.kept AS kept_today, "
        "ledger.reason AS reason_today, coalesce(moved.kept_then, ledger.kept) AS kept_then, "
        "CASE WHEN moved.doc_id IS NULL THEN ledger.reason ELSE moved.reason_then END AS reason_then "
        f"FROM ({ledger}) AS ledger LEFT JOIN moved_{stage} AS moved USING (doc_id) "
        "LEFT JOIN (SELECT doc_id, language FROM filtered.signals) AS signals USING (doc_id)"
    )
    tallies = [
        Tally(kind, *row)
        for kind, group in (("all", "'all'"), ("source", "source"), ("language", "language"))
        for row in connection.execute(
            f"SELECT {group} AS name, count(*), count_if(kept_today), count_if(kept_then) "
            f"FROM decided_{stage} GROUP BY name ORDER BY count(*) DESC, name"
        ).fetchall()
    ]
    rules = connection.execute(
        "SELECT rule, sum(today)::BIGINT, sum(later)::BIGINT FROM ("
        f"SELECT reason_today AS rule, 1 AS today, 0 AS later FROM decided_{stage} UNION ALL "
        f"SELECT reason_then, 0, 1 FROM decided_{stage}) WHERE rule IS NOT NULL GROUP BY rule ORDER BY rule"
    ).fetchall()
    moved = connection.execute(
        "SELECT CASE WHEN kept_then THEN 'kept' ELSE 'removed' END AS side, "
        "coalesce(reason_then, reason_today) AS reason, source, language, count(*), "
        f"list(doc_id ORDER BY doc_id)[1:{EXAMPLES}] FROM decided_{stage} "
        "WHERE kept_today <> kept_then GROUP BY ALL ORDER BY side, count(*) DESC, reason, source, language"
    ).fetchall()
    connection.unregister("revised")
    return StageOutcome(
        stage,
        tuple(tallies),
        tuple(RuleTally(*row) for row in rules),
        tuple(Moved(*row[:-1], tuple(row[-1])) for row in moved),
    )


def _one(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0
