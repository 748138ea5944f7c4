"""The drill: known hazards are planted in a source of their own, and this counts how many were caught."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import pyarrow as pa

from assets.intervals import wilson

# Which signals, when a rule over them removes a document, count as having caught which hazard.
CAUGHT_BY: Mapping[str, tuple[str, ...]] = {
    "duplicate": ("exact_duplicate", "near_duplicate"),
    "repetition": ("dup_*", "top_*"),
    "wrong_language": ("other_language_score",),
}

# A finding that covers this share of a planted span has found it.
SPAN_OVERLAP = 0.5

DRILL_RECALL = pa.schema(
    [
        ("hazard", pa.string()),
        ("slice", pa.string()),
        ("measure", pa.string()),
        ("unit", pa.string()),
        ("counted", pa.int64()),
        ("n", pa.int64()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)

DRILL_MISSED = pa.schema([("doc_id", pa.string()), ("hazard", pa.string()), ("detail", pa.string())])


@dataclass(frozen=True)
class Trial:
    """One planted thing: the slices it belongs to, whether it was counted, and what it is, without values."""

    slices: tuple[str, ...]
    counted: bool
    detail: str


@dataclass(frozen=True)
class Planted:
    """A row of the truth: the document, and what was planted in it."""

    doc_id: str
    truth: Mapping[str, Any]

    @property
    def forms(self) -> tuple[str, ...]:
        """The slice that the form of the hazard is, where it has one."""
        return (self.truth["form"],) if "form" in self.truth else ()


@dataclass(frozen=True)
class Evidence:
    """What the lifecycle found, by document."""

    originals: Mapping[str, str]
    spans: Mapping[str, list[tuple[int, int]]]
    clusters: Mapping[str, str]
    verdicts: Mapping[str, str]
    reasons: Mapping[str, str | None]
    removing: Mapping[str, list[str]]
    flagged: frozenset[str]
    hits: frozenset[tuple[str, str, str]]
    toxicity: Mapping[str, float]
    toxicity_limit: float

    def removed(self, doc_id: str) -> bool:
        """Whether the document didn't come through; one without a decision didn't."""
        return self.verdicts.get(doc_id) != "kept"


@dataclass(frozen=True)
class Hazard:
    """A kind of planted thing, what is counted of it, and how it counts as caught."""

    name: str
    unit: str
    judge: Callable[[Planted, Evidence], Iterator[Trial]]
    measure: str = "recall"


def drill_recall(
    truth: pa.Table,
    *,
    findings: pa.Table,
    duplicates: pa.Table,
    decisions: pa.Table,
    contamination: pa.Table,
    scores: pa.Table,
    toxicity_limit: float,
) -> tuple[pa.Table, pa.Table]:
    """What share of each planted hazard was caught, and the list of what was not.

    Args:
        truth: doc_id, key, hazard, truth (a JSON object). Any truth may name its `form`, which is counted
            apart. `pii` has `spans`, each with entity, start and end in code points; duplicates have
            `original`, a key of the drill or a doc_id, and may have `edit_rate`; `leakage` has `benchmark`
            and `item`; `clean` may have `copies`.
        findings: doc_id, start, end.
        duplicates: doc_id, cluster_id.
        decisions: doc_id, verdict, reason, failed (list of structs with signal and action).
        contamination: doc_id, benchmark, item_id.
        scores: doc_id, toxicity.
        toxicity_limit: A text is toxic at this score and above.

    Returns:
        DRILL_RECALL, one row a hazard and slice with its Wilson interval (of `clean` documents the false
        alarms), and DRILL_MISSED, sorted by hazard and document, the false alarms with it.

    Raises:
        ValueError: A document's hazard is not in HAZARDS, or its truth can't be read.
    """
    evidence = _evidence(truth, findings, duplicates, decisions, contamination, scores, toxicity_limit)
    trials: dict[str, list[tuple[str, Trial]]] = {hazard.name: [] for hazard in HAZARDS}
    judges = {hazard.name: hazard.judge for hazard in HAZARDS}
    for row in truth.sort_by("doc_id").to_pylist():
        if row["hazard"] not in judges:
            raise ValueError(f"drill document {row['doc_id']}: unknown hazard {row['hazard']!r}")
        try:
            planted = Planted(row["doc_id"], json.loads(row["truth"] or "{}"))
            found = list(judges[row["hazard"]](planted, evidence))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"drill document {row['doc_id']}: unreadable truth: {error!r}") from error
        trials[row["hazard"]] += [(row["doc_id"], trial) for trial in found]

    recall, missed = [], []
    for hazard in HAZARDS:
        results = trials[hazard.name]
        for part in ["all", *sorted({part for _, trial in results for part in trial.slices})]:
            counted = [trial.counted for _, trial in results if part in ("all", *trial.slices)]
            rate = wilson(sum(counted), len(counted))
            recall.append(
                {
                    "hazard": hazard.name,
                    "slice": part,
                    "measure": hazard.measure,
                    "unit": hazard.unit,
                    "counted": sum(counted),
                    "n": rate.n,
                    "value": rate.value,
                    "low": rate.low,
                    "high": rate.high,
                }
            )
        wrong = hazard.measure == "false_alarm"
        missed += [
            {"doc_id": doc_id, "hazard": hazard.name, "detail": trial.detail}
            for doc_id, trial in results
            if trial.counted == wrong
        ]
    return pa.Table.from_pylist(recall, DRILL_RECALL), pa.Table.from_pylist(missed, DRILL_MISSED)


def _pii(planted: Planted, evidence: Evidence) -> Iterator[Trial]:
    found = evidence.spans.get(planted.doc_id, [])
    for span in planted.truth["spans"]:
        start, end = int(span["start"]), int(span["end"])
        covered = max((min(end, e) - max(start, s) for s, e in found), default=0)
        detail = f"{span['entity']} at {start}-{end}"
        yield Trial((*planted.forms, span["entity"]), covered >= SPAN_OVERLAP * (end - start), detail)


def _duplicate(planted: Planted, evidence: Evidence) -> Iterator[Trial]:
    original = planted.truth["original"]
    rate = planted.truth.get("edit_rate")
    slices = () if rate is None else (f"{rate:.0%} edited",)
    cluster = evidence.clusters.get(planted.doc_id)
    same = cluster is not None and cluster == evidence.clusters.get(
        evidence.originals.get(original, original)
    )
    detail = ", ".join(("in no cluster" if cluster is None else "not in its original's cluster", *slices))
    yield Trial(slices, same, detail)


def _removed_for(hazard: str) -> Callable[[Planted, Evidence], Iterator[Trial]]:
    def judge(planted: Planted, evidence: Evidence) -> Iterator[Trial]:
        signals = evidence.removing.get(planted.doc_id, [])
        caught = any(_names(hazard, signal) for signal in signals) and evidence.removed(planted.doc_id)
        yield Trial(planted.forms, caught, _fate(planted.doc_id, evidence))

    return judge


def _toxic(planted: Planted, evidence: Evidence) -> Iterator[Trial]:
    score = evidence.toxicity.get(planted.doc_id)
    fate = _fate(planted.doc_id, evidence)
    detail = f"not scored, {fate}" if score is None else f"scored {score:.2f}"
    yield Trial(planted.forms, score is not None and score >= evidence.toxicity_limit, detail)


def _leakage(planted: Planted, evidence: Evidence) -> Iterator[Trial]:
    benchmark, item = str(planted.truth["benchmark"]), str(planted.truth["item"])
    hit = (planted.doc_id, benchmark, item) in evidence.hits
    yield Trial(planted.forms, hit, " ".join((*planted.forms, f"copy of {benchmark} {item}")))


def _poison(planted: Planted, evidence: Evidence) -> Iterator[Trial]:
    noticed = evidence.removed(planted.doc_id) or planted.doc_id in evidence.flagged
    yield Trial(planted.forms, noticed, _fate(planted.doc_id, evidence))


def _clean(planted: Planted, evidence: Evidence) -> Iterator[Trial]:
    # Of an original and its planted copy either may be the one that is kept.
    signals = evidence.removing.get(planted.doc_id, [])
    copied = "copies" in planted.truth and signals and all(_names("duplicate", signal) for signal in signals)
    alarm = evidence.removed(planted.doc_id) and not copied
    yield Trial(planted.forms, alarm, _fate(planted.doc_id, evidence))


def _names(hazard: str, signal: str) -> bool:
    """Whether a rule over the signal speaks of the hazard."""
    return any(fnmatchcase(signal, pattern) for pattern in CAUGHT_BY[hazard])


def _fate(doc_id: str, evidence: Evidence) -> str:
    reason = evidence.reasons.get(doc_id)
    verdict = evidence.verdicts.get(doc_id, "no decision")
    return f"{verdict}: {reason}" if reason else verdict


HAZARDS = (
    Hazard("pii", "span", _pii),
    Hazard("exact_duplicate", "document", _duplicate),
    Hazard("near_duplicate", "document", _duplicate),
    Hazard("repetition", "document", _removed_for("repetition")),
    Hazard("wrong_language", "document", _removed_for("wrong_language")),
    Hazard("toxic", "document", _toxic),
    Hazard("leakage", "item", _leakage),
    # Nothing in the lifecycle looks for poison yet: what is caught here is caught for another reason.
    Hazard("poison", "document", _poison),
    Hazard("clean", "document", _clean, measure="false_alarm"),
)


def _evidence(
    truth: pa.Table,
    findings: pa.Table,
    duplicates: pa.Table,
    decisions: pa.Table,
    contamination: pa.Table,
    scores: pa.Table,
    toxicity_limit: float,
) -> Evidence:
    spans = defaultdict(list)
    for row in findings.select(["doc_id", "start", "end"]).to_pylist():
        spans[row["doc_id"]].append((row["start"], row["end"]))
    ledger = decisions.select(["doc_id", "verdict", "reason", "failed"]).to_pylist()
    failed = {row["doc_id"]: row["failed"] or [] for row in ledger}
    hits = contamination.select(["doc_id", "benchmark", "item_id"]).to_pylist()
    return Evidence(
        originals=dict(zip(truth["key"].to_pylist(), truth["doc_id"].to_pylist(), strict=True)),
        spans=spans,
        clusters=dict(
            zip(duplicates["doc_id"].to_pylist(), duplicates["cluster_id"].to_pylist(), strict=True)
        ),
        verdicts={row["doc_id"]: row["verdict"] for row in ledger},
        reasons={row["doc_id"]: row["reason"] for row in ledger},
        removing={
            doc_id: [rule["signal"] for rule in rules if rule["action"] == "drop"]
            for doc_id, rules in failed.items()
        },
        flagged=frozenset(doc_id for doc_id, rules in failed.items() if rules),
        hits=frozenset((row["doc_id"], row["benchmark"], row["item_id"]) for row in hits),
        toxicity={
            doc_id: score
            for doc_id, score in zip(
                scores["doc_id"].to_pylist(), scores["toxicity"].to_pylist(), strict=True
            )
            if score is not None
        },
        toxicity_limit=toxicity_limit,
    )
