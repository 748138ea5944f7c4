"""The verdict: figures held against the gates of `gates.yaml`, by the bound of their interval."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pyarrow as pa

from assets.intervals import Interval

GATES = Path(__file__).with_name("gates.yaml")
SEVERITIES = ("critical", "warning")

# What a gate may ask, the bound it looks at, and the test. A NaN passes none of them.
COMPARISONS: Mapping[str, tuple[str, Callable[[float, float], bool]]] = {
    "high <=": ("high", operator.le),
    "low >=": ("low", operator.ge),
    "value ==": ("value", operator.eq),
    "value >": ("value", operator.gt),
    "value <": ("value", operator.lt),
}

VERDICT = pa.schema(
    [
        ("gate", pa.string()),
        ("figure", pa.string()),
        ("severity", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("n", pa.int64()),
        ("comparison", pa.string()),
        ("limit", pa.float64()),
        ("bound", pa.float64()),
        ("passed", pa.bool_()),
        ("message", pa.string()),
        ("rationale", pa.string()),
    ]
)


@dataclass(frozen=True)
class Gate:
    """A promise about one figure, or about each figure that a pattern such as `retention/*` names."""

    name: str
    figure: str
    comparison: str
    limit: float
    severity: str
    rationale: str


def load_gates(path: Path = GATES) -> tuple[Gate, ...]:
    """The gates in the order of their file.

    Raises:
        ValueError: A gate lacks a field or has one too many, its comparison or severity is unknown, or
            its name is taken.
    """
    import yaml

    gates: list[Gate] = []
    for number, entry in enumerate(yaml.safe_load(path.read_text(encoding="utf-8")), start=1):
        try:
            gate = Gate(**{**entry, "limit": float(entry["limit"])})
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"{path.name}, gate {number}: {error}") from error
        if gate.comparison not in COMPARISONS:
            raise ValueError(f"{path.name}, {gate.name}: comparison {gate.comparison!r}")
        if gate.severity not in SEVERITIES:
            raise ValueError(f"{path.name}, {gate.name}: severity {gate.severity!r}")
        if gate.name in {known.name for known in gates}:
            raise ValueError(f"{path.name}, {gate.name}: the name is taken")
        gates.append(gate)
    return tuple(gates)


def judge(figures: Mapping[str, Interval | float], gates: Iterable[Gate]) -> pa.Table:
    """Every gate held against its figures: one row each, as VERDICT.

    A gate whose figure is missing fails, and so does one that asks for a bound where a bare number was
    given: a rate without its interval proves nothing.
    """
    rows = []
    for gate in gates:
        names = sorted(name for name in figures if fnmatchcase(name, gate.figure))
        if not names:
            rows.append(_row(gate, gate.figure, None, False, f"no figure {gate.figure}"))
        rows += [_judged(gate, name, figures[name]) for name in names]
    return pa.Table.from_pylist(rows, VERDICT)


def passed(verdict: pa.Table) -> bool:
    """Whether every critical gate holds; a verdict over no critical gate doesn't pass."""
    critical = [row["passed"] for row in verdict.to_pylist() if row["severity"] == "critical"]
    return bool(critical) and all(critical)


def _judged(gate: Gate, name: str, figure: Interval | float) -> dict:
    attribute, test = COMPARISONS[gate.comparison]
    if isinstance(figure, Interval):
        bound = getattr(figure, attribute)
    elif attribute == "value":
        bound = figure
    else:
        return _row(gate, name, figure, False, f"{name} came without its interval")
    holds = bool(test(bound, gate.limit))
    message = f"{attribute} {bound:.4g} {'holds' if holds else 'breaks'} {gate.comparison} {gate.limit:g}"
    return _row(gate, name, figure, holds, message)


def _row(gate: Gate, name: str, figure: Interval | float | None, holds: bool, message: str) -> dict:
    known = figure if isinstance(figure, Interval) else None
    value = known.value if known else figure
    attribute = COMPARISONS[gate.comparison][0]
    return {
        "gate": gate.name,
        "figure": name,
        "severity": gate.severity,
        "value": value,
        "low": known and known.low,
        "high": known and known.high,
        "n": known and known.n,
        "comparison": gate.comparison,
        "limit": gate.limit,
        "bound": value if attribute == "value" else known and getattr(known, attribute),
        "passed": holds,
        "message": message,
        "rationale": gate.rationale,
    }
