"""Rules, the file they stand in, and documents held against them on Arrow columns alone.

The lake holds documents against the same rules in SQL (see governance/policy.py); tests hold the two equal.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assets import settings

RULES = settings.PROJECT / "dbt_project" / "seeds" / "rules.csv"

STAGES = ("filtered", "scored")
ACTIONS = ("drop", "flag")
EVERY_PROFILE = "all"
KEEP, DROP = "keep", "drop"

COMPARISONS: Mapping[str, Callable[..., npt.NDArray[np.bool_]]] = MappingProxyType(
    {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
)

DECISION = pa.schema([pa.field("verdict", pa.string(), nullable=False), pa.field("reason", pa.string())])


class PolicyError(ValueError):
    """A rule that can't be read, or a change of one that isn't there; it says what would have been right."""


@dataclass(frozen=True)
class Rule:
    """One line of `rules.csv`: a document fails where its signal stands so to the threshold."""

    priority: int
    name: str
    version: int
    stage: str
    profile: str
    signal: str
    comparison: str
    threshold: float
    action: str
    paper: str = ""
    rationale: str = ""

    @property
    def fails_if(self) -> str:
        """The condition as people read it, such as `words < 50`."""
        return f"{self.signal} {self.comparison} {self.threshold:g}"

    def applies_to(self, profile: str) -> bool:
        """Whether documents of a profile are held against it."""
        return self.profile in (EVERY_PROFILE, profile)

    def fails(self, values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which of the values break it; a missing one, NaN, breaks nothing."""
        return COMPARISONS[self.comparison](values, self.threshold)


def load_rules(path: Path = RULES) -> tuple[Rule, ...]:
    """The policy as it stands in a file, in the order of priority.

    Raises:
        PolicyError: Naming file and line: a number that isn't one, a word that means nothing here.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rules = []
        for row in reader:
            try:
                rules.append(rule(row))
            except (KeyError, TypeError, ValueError) as error:
                raise PolicyError(f"{path.name}, line {reader.line_num}: {error}") from error
    return tuple(sorted(rules, key=lambda each: (each.priority, each.name, each.profile)))


def rule(row: Mapping[str, Any]) -> Rule:
    """A rule from a row of the seed, be it of the file or of the lake's table."""
    for column, known in (("stage", STAGES), ("comparison", tuple(COMPARISONS)), ("action", ACTIONS)):
        if row[column] not in known:
            raise ValueError(f"{column} {row[column]!r} is none of {', '.join(known)}")
    return Rule(
        priority=int(row["priority"]),
        name=row["rule"],
        version=int(row["version"]),
        stage=row["stage"],
        profile=row["profile"],
        signal=row["signal"],
        comparison=row["comparison"],
        threshold=float(row["threshold"]),
        action=row["action"],
        paper=row["paper"] or "",
        rationale=row["rationale"] or "",
    )


def of_profile(rules: Iterable[Rule], profile: str, stage: str = "filtered") -> tuple[Rule, ...]:
    """The rules of one stage that documents of a profile are held against.

    Raises:
        PolicyError: No rule is of that profile.
    """
    rules = [each for each in rules if each.stage == stage]
    profiles = {each.profile for each in rules} - {EVERY_PROFILE}
    if profile not in profiles:
        raise PolicyError(f"there is no profile {profile!r}; there are {', '.join(sorted(profiles))}")
    return tuple(each for each in rules if each.applies_to(profile))


def held(rules: Iterable[Rule], signals: Iterable[str]) -> tuple[Rule, ...]:
    """The rules whose signal is known; of the others nothing can be said."""
    known = set(signals)
    return tuple(each for each in rules if each.signal in known)


def judge(evidence: pa.Table, rules: Sequence[Rule]) -> pa.Table:
    """Each document's verdict and the first rule, by priority, that drops it (DECISION), in the order given.

    Args:
        evidence: A numeric column for each signal that a rule names.
        rules: In the order of priority.
    """
    dropping = [each for each in rules if each.action == "drop"]
    first = np.full(evidence.num_rows, -1, np.int32)
    for number, each in enumerate(dropping):
        failed = each.fails(np.asarray(evidence[each.signal].cast(pa.float64())))
        first[failed & (first < 0)] = number
    dropped = first >= 0
    names = pa.array([each.name for each in dropping], pa.string())
    reasons = pa.DictionaryArray.from_arrays(pa.array(first, mask=~dropped), names).cast(pa.string())
    verdicts = pa.DictionaryArray.from_arrays(pa.array(dropped.astype(np.int8)), pa.array([KEEP, DROP]))
    return pa.table([verdicts.cast(pa.string()), reasons], schema=DECISION)
