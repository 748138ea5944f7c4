"""Rules, and documents held against them: the same verdicts as the policy in SQL, on Arrow columns alone."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa

KEEP, DROP = "keep", "drop"
EVERY_PROFILE = "all"

COMPARISONS: Mapping[str, Callable[..., npt.NDArray[np.bool_]]] = MappingProxyType(
    {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
)

DECISION = pa.schema([pa.field("verdict", pa.string(), nullable=False), pa.field("reason", pa.string())])


@dataclass(frozen=True)
class Rule:
    """A limit on a signal: a document fails it where the signal's value stands so to the threshold."""

    priority: int
    rule: str
    signal: str
    comparison: str
    threshold: float
    action: str


def load_rules(path: Path, profile: str, stage: str = "filtered") -> tuple[Rule, ...]:
    """The rules of one profile, those of every profile among them, by priority.

    Raises:
        ValueError: The file has no rules of that profile, or a line that is no rule; names file and line.
    """
    rules, profiles = [], set()
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file)
        for row in lines:
            if row["stage"] != stage:
                continue
            profiles.add(row["profile"])
            if row["profile"] in (EVERY_PROFILE, profile):
                try:
                    rules.append(_rule(row))
                except (KeyError, TypeError, ValueError) as error:
                    raise ValueError(f"{path.name}, line {lines.line_num}: {error}") from error
    if profile not in profiles - {EVERY_PROFILE}:
        there = ", ".join(sorted(profiles - {EVERY_PROFILE}))
        raise ValueError(f"{path.name} has no profile {profile!r}; there are {there}")
    return tuple(sorted(rules, key=lambda rule: rule.priority))


def judge(evidence: pa.Table, rules: Sequence[Rule]) -> pa.Table:
    """Each document's verdict and the first rule, by priority, that drops it (DECISION), in the order given.

    Args:
        evidence: A numeric column for each signal that a rule names.
    """
    first = np.full(evidence.num_rows, -1, np.int32)
    dropping = [rule for rule in rules if rule.action == "drop"]
    for number, rule in enumerate(dropping):
        value = np.asarray(evidence[rule.signal].cast(pa.float64()))
        failed = COMPARISONS[rule.comparison](value, rule.threshold)
        first[failed & (first < 0)] = number
    dropped = first >= 0
    codes = pa.array(first, mask=~dropped)
    names = pa.array([rule.rule for rule in dropping], pa.string())
    reasons = pa.DictionaryArray.from_arrays(codes, names).cast(pa.string())
    verdicts = pa.DictionaryArray.from_arrays(pa.array(dropped.astype(np.int8)), pa.array([KEEP, DROP]))
    return pa.table([verdicts.cast(pa.string()), reasons], schema=DECISION)


def held(rules: Iterable[Rule], signals: Iterable[str]) -> tuple[Rule, ...]:
    """The rules whose signal is known; of the others nothing can be said."""
    known = set(signals)
    return tuple(rule for rule in rules if rule.signal in known)


def _rule(row: Mapping[str, str]) -> Rule:
    if row["comparison"] not in COMPARISONS:
        raise ValueError(f"comparison {row['comparison']!r}; expected one of {' '.join(COMPARISONS)}")
    return Rule(
        int(row["priority"]),
        row["rule"],
        row["signal"],
        row["comparison"],
        float(row["threshold"]),
        row["action"],
    )
