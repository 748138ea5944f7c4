"""What the rules did: the table `filtered.rule_effects` by rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from assets.intervals import Interval, wilson
from assets.lake import Lake
from assets.rules import Rule

EFFECTS = "filtered.rule_effects"


@dataclass(frozen=True)
class Effect:
    """One rule of one profile over all its sources and languages.

    `failed` of `documents` break it. Where its action is `drop` it removes them: `alone` those that no other
    rule removes, `first` those for which it is the reason, `also` those that another rule removes too.
    """

    profile: str
    rule: str
    fails_if: str
    action: str
    documents: int
    failed: int
    alone: int
    first: int
    also: int

    @property
    def share(self) -> Interval:
        """The share of documents that break the rule."""
        return wilson(self.failed, self.documents)


def by_rule(lake: Lake) -> tuple[Effect, ...]:
    """Every rule's effect on the lake's documents, by profile in the order of priority."""
    rows = lake.query(
        "SELECT effects.profile, effects.rule, "
        "format('{} {} {:g}', rules.signal, effects.comparison, effects.threshold) AS fails_if, "
        "effects.action, "
        "sum(documents)::BIGINT AS documents, sum(failed)::BIGINT AS failed, "
        'sum(removed_alone)::BIGINT AS alone, sum(removed_first)::BIGINT AS "first", '
        "sum(removed_also)::BIGINT AS also "
        f"FROM {EFFECTS} AS effects JOIN policy.rules AS rules "
        "ON rules.rule = effects.rule AND rules.profile IN ('all', effects.profile) "
        "GROUP BY effects.profile, effects.rule, rules.signal, effects.comparison, effects.threshold, "
        "effects.action, effects.priority ORDER BY effects.profile, effects.priority, effects.rule"
    ).to_pylist()
    return tuple(Effect(**row) for row in rows)


def rows(effects: Iterable[Effect]) -> list[dict[str, object]]:
    """Effects as the rows of a table for people."""
    return [
        {
            "profile": effect.profile,
            "rule": effect.rule,
            "fails if": effect.fails_if,
            "action": effect.action,
            "break it": effect.share.percent(),
            "alone": effect.alone if effect.action == "drop" else "",
            "first": effect.first if effect.action == "drop" else "",
            "also by others": effect.also if effect.action == "drop" else "",
        }
        for effect in effects
    ]


def without_effects(rules: Iterable[Rule]) -> list[dict[str, object]]:
    """Rules as the rows of a table for people, before anything is decided by them."""
    return [
        {"profile": each.profile, "rule": each.name, "fails if": each.fails_if, "action": each.action}
        for each in rules
    ]
