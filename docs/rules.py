"""Writes `docs/rules.md`, a card a rule: `.venv/bin/python docs/rules.py`.

Everything in it stands elsewhere: thresholds, papers and reasons in `rules.csv`, definitions with the
signals, false drops in `docs/measured/false_drops.json`, which `benchmarks/defaults.py` measures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from assets import settings
from assets.filters import parity
from assets.filters.parity import ParitySignal
from assets.filters.signals import SIGNALS, Signal
from assets.governance.policy import FACTS
from assets.intervals import wilson
from assets.rules import Rule, load_rules

PAGE = settings.PROJECT / "docs" / "rules.md"
MEASURED = settings.PROJECT / "docs" / "measured" / "false_drops.json"

STAGES = {
    "filtered": "Rules of the filter stage",
    "scored": "Rules of the scored stage",
}
KINDS = {
    "clean": "Good text: what is dropped of it is a false drop",
    "hazard": "Planted faults of the drill. Copies, leaked benchmark items, personal data and toxic text are "
    "met by other rules, by redaction and by scores, which are not measured here",
    "crawl": "Pages that nobody has judged",
}


@dataclass(frozen=True)
class Measured:
    """What was dropped of each set, and the condition that each rule had when it was measured."""

    rules: Mapping[str, str] = field(default_factory=dict)
    drops: Sequence[Mapping[str, object]] = ()


def load_measured(path: Path = MEASURED) -> Measured:
    """The measured file; empty where nobody has measured yet."""
    return Measured(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else Measured()


def page(rules: Sequence[Rule], measured: Measured) -> str:
    """The whole page as Markdown."""
    return "\n".join(_page(rules, measured)) + "\n"


def _page(rules: Sequence[Rule], measured: Measured) -> Iterator[str]:
    yield "# Rules"
    yield ""
    yield (
        "Written by `docs/rules.py` from the policy; edit `dbt_project/seeds/rules.csv` instead. A document "
        "fails a rule where its signal stands in the comparison to the threshold. `drop` removes it, `flag` "
        "records it. The first rule by priority that removes a document is its reason."
    )
    yield ""
    yield "## What the default rules drop"
    yield ""
    yield (
        "Shares with 95 % Wilson intervals, by `benchmarks/defaults.py`, of the rules on what a text says; "
        "rules about copies, consent and personal data are left out."
    )
    for kind, heading in KINDS.items():
        rows = [row for row in measured.drops if row["kind"] == kind]
        yield ""
        yield f"{heading}:"
        yield ""
        if not rows:
            yield "not measured"
            continue
        yield "| profile | set | dropped | most by |"
        yield "|---|---|---|---|"
        for (profile, dataset), of_set in groupby(rows, lambda row: (row["profile"], row["dataset"])):
            total, *by_rule = of_set
            most = sorted(by_rule, key=lambda row: (-row["dropped"], row["rule"]))[:3]
            shown = ", ".join(f"`{row['rule']}` {row['dropped']:,}" for row in most)
            yield f"| {profile} | {dataset} | {_share(total)} | {shown} |"
    signals = {signal.name: signal for signal in (*SIGNALS, *parity.SIGNALS)}
    for stage, heading in STAGES.items():
        of_stage = [each for each in rules if each.stage == stage]
        yield ""
        yield f"## {heading}"
        for name in dict.fromkeys(each.name for each in of_stage):
            yield ""
            yield from _card([each for each in of_stage if each.name == name], signals, measured)


def _card(
    rules: Sequence[Rule], signals: Mapping[str, Signal | ParitySignal], measured: Measured
) -> Iterator[str]:
    yield f"### {rules[0].name}"
    yield ""
    for name in dict.fromkeys(each.signal for each in rules):
        yield _definition(name, signals)
        yield ""
    if papers := dict.fromkeys(each.paper for each in rules if each.paper):
        yield f"Source: {'; '.join(papers)}."
        yield ""
    yield "| profile | fails if | action | version | why |"
    yield "|---|---|---|---|---|"
    for each in rules:
        yield (
            f"| {each.profile} | `{each.fails_if}` | {each.action} | {each.version} "
            f"| {each.rationale.replace('|', chr(92) + '|')} |"
        )
    if rules[0].stage == "filtered":
        yield ""
        yield f"Known false drops: {_false_drops(rules, measured)}."


def _definition(name: str, signals: Mapping[str, Signal | ParitySignal]) -> str:
    signal = signals.get(name)
    if signal is None:
        return f"`{name}`: {FACTS[name]}"
    formula = _spoken(signal.count.name) + (
        f" / {_spoken(signal.per.name)}" if signal.per is not None else ""
    )
    return f"`{name}` = {formula} ({signal.unit}). {signal.description}"


def _spoken(count: str) -> str:
    return count.lower().replace("_", " ")


def _false_drops(rules: Sequence[Rule], measured: Measured) -> str:
    """Per clean set with a drop, the most first; a rule that has changed since counts as not measured."""
    judged = {
        (each.profile, each.name) for each in rules if _as_measured(each, measured) and each.action == "drop"
    }
    clean = [row for row in measured.drops if row["kind"] == "clean"]
    sets = {
        (row["profile"], row["dataset"]): row["n"]
        for row in clean
        if row["rule"] is None and {(row["profile"], rules[0].name), ("all", rules[0].name)} & judged
    }
    if not sets or rules[0].signal in NOT_JUDGED:
        return "not measured"
    found = [
        row for row in clean if row["rule"] == rules[0].name and (row["profile"], row["dataset"]) in sets
    ]
    found.sort(key=lambda row: (-row["dropped"] / row["n"], row["profile"], row["dataset"]))
    said = [f"{_share(row)} of {row['dataset']} ({row['profile']})" for row in found]
    clear = sets.keys() - {(row["profile"], row["dataset"]) for row in found}
    if clear:
        largest = max(sets[key] for key in clear)
        said.append(f"none in {len(clear)} {'other ' if said else ''}sets, the largest of n={largest}")
    return "; ".join(said)


def _as_measured(each: Rule, measured: Measured) -> bool:
    return measured.rules.get(f"{each.profile}:{each.name}") == f"{each.fails_if}, {each.action}"


def _share(row: Mapping[str, object]) -> str:
    return wilson(row["dropped"], row["n"]).percent()  # type: ignore[arg-type]


# What is established outside the text that the sets are judged by.
NOT_JUDGED = (
    "opted_out",
    "exact_duplicate",
    "near_duplicate",
    "contamination_overlap",
    "pii_findings",
    "pii_to_drop",
)


if __name__ == "__main__":
    PAGE.write_text(page(load_rules(), load_measured()), encoding="utf-8")
    print(f"{PAGE.relative_to(settings.PROJECT)}: {len(load_rules())} rules")
