"""The policy as people look at it: its rules with their effects, and what a change of them would do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.markup import escape

from assets import settings
from assets.governance import effects
from assets.governance.what_if import WhatIf, what_if
from assets.lake import Lake
from assets.rules import PolicyError, load_rules
from orchestration.summary import new_table

if TYPE_CHECKING:
    from rich.console import Console

Rows = Sequence[Mapping[str, object]]


def rules(console: Console) -> None:
    """Every rule, with what it removes alone, first and together with others once something is decided."""
    lake = Lake(settings.lake_root())
    if lake.exists(effects.EFFECTS):
        for profile, of_profile in groupby(effects.by_rule(lake), lambda effect: effect.profile):
            rows = [
                # The condition below the name: beside it, eighty columns leave no room for the figures.
                {"rule": f"{row['rule']}\n  {row['fails if']}"}
                | {name: row[name] for name in row if name not in ("profile", "rule", "fails if")}
                for row in effects.rows(of_profile)
            ]
            _print(
                console, [(f"Rules of {profile}: how many documents break each, and what it removes", rows)]
            )
        # The scored stage has rules of its own; they come after, as they are written.
        scored = [each for each in load_rules() if each.stage == "scored"]
        _print(console, [("Rules of the scored stage", effects.without_effects(scored))])
    else:
        _print(console, [("Rules; nothing is decided yet", effects.without_effects(load_rules()))])


def try_changes(console: Console, changes: Sequence[str]) -> bool:
    """Prints what changed rules would do; False, with the reason, where a change can't be."""
    try:
        outcome = what_if(Lake(settings.lake_root()), changes)
    except PolicyError as error:
        console.print(f"[red]{escape(str(error))}[/]", soft_wrap=True)
        return False
    for change in outcome.changes:
        console.print(escape(str(change)))
    console.print()
    _print(console, sections(outcome))
    for line in notes(outcome):
        console.print(escape(line), soft_wrap=True)
    return True


def sections(outcome: WhatIf) -> Iterator[tuple[str, list[dict[str, object]]]]:
    """The tables of a what-if, each with its heading: for the terminal, and for the report of a run."""
    for stage in outcome.stages:
        kept = "kept" if stage.stage == "filtered" else "selected"
        yield (
            f"{kept} by the {stage.stage} stage, today and under the change".capitalize(),
            [
                {
                    "": f"language {tally.name}" if tally.kind == "language" else tally.name,
                    f"{kept} today": tally.kept_today,
                    f"{kept} then": tally.kept_then,
                    "removed today": tally.documents - tally.kept_today,
                    "removed then": tally.documents - tally.kept_then,
                    "change": _difference(tally.kept_then - tally.kept_today),
                    f"{kept} then (95 % interval)": tally.share_then.percent(),
                }
                for tally in stage.tallies
                # Of languages only those that move: a crawl holds a hundred.
                if tally.kind != "language" or tally.kept_then != tally.kept_today
            ],
        )
        yield (
            "First reasons that change",
            [
                {
                    "rule": each.rule,
                    "today": each.today,
                    "then": each.then,
                    "change": _difference(each.then - each.today),
                }
                for each in stage.rules
                if each.today != each.then
            ],
        )
        for side, title in (("removed", "Newly removed, and by which rule"), ("kept", "Newly kept")):
            yield (
                title,
                [
                    {
                        "rule": moved.reason,
                        "source": moved.source,
                        "language": moved.language,
                        "documents": moved.documents,
                        "for example": " ".join(doc_id[:12] for doc_id in moved.examples),
                    }
                    for moved in stage.moved
                    if moved.side == side
                ],
            )


def notes(outcome: WhatIf) -> Iterator[str]:
    """What the tables don't say."""
    if all(not stage.moved for stage in outcome.stages):
        yield "No document changes side."
    if outcome.lost_from_selection:
        yield f"{outcome.lost_from_selection:,} of the newly removed are in today's selection."
    if outcome.without_scores:
        yield f"The {outcome.without_scores:,} newly kept have no scores yet, so they may still be refused."
    yield (
        f"Today is policy {outcome.policy_version} as the lake holds it. Nothing was written; "
        "ask about a document with winnow why ID."
    )


def _difference(number: int) -> str:
    return f"{number:+,}".replace("-", "−") if number else "0"


def _print(console: Console, tables: Iterator[tuple[str, Rows]] | Sequence[tuple[str, Rows]]) -> None:
    for title, rows in tables:
        if not rows:
            continue
        numbers = tuple(
            name for name in rows[0] if all(isinstance(row[name], int) or row[name] == "" for row in rows)
        )
        table = new_table(title, *rows[0], numbers=(*numbers, "change"))
        for row in rows:
            cells = (f"{value:,}" if isinstance(value, int) else str(value) for value in row.values())
            table.add_row(*(escape(cell) for cell in cells))
        console.print(table)
