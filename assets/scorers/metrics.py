"""How well a score in [0, 1] tells two classes apart: a table of figures, each with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pyarrow as pa

from assets.intervals import CONFIDENCE, Interval, paired_mean, wilson

ALL = "all"

METRICS = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("n", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Discrimination:
    """The figures of one score on one set of labelled texts; each counts its own n.

    Precision's n is what the score accepts, recall's the positives, F1's everything accepted or positive;
    AUROC's and the Brier score's every text. A figure without observations has n = 0 and no value.
    """

    precision: Interval
    recall: Interval
    f1: Interval
    auroc: Interval
    brier: Interval


def discriminate(scores: np.ndarray, positive: np.ndarray, threshold: float = 0.5) -> Discrimination:
    """The figures of `scores` (float, n) against `positive` (bool, n), accepting from the threshold on."""
    scores = np.asarray(scores, dtype=float)
    positive = np.asarray(positive, dtype=bool)
    accepted = scores >= threshold
    hits = int((accepted & positive).sum())
    # F1 = 2J / (1 + J) of the share J of hits among all accepted or positive, and so is its interval.
    share = wilson(hits, int((accepted | positive).sum()))
    value, low, high = (2 * x / (1 + x) for x in (share.value, share.low, share.high))
    return Discrimination(
        precision=wilson(hits, int(accepted.sum())),
        recall=wilson(hits, int(positive.sum())),
        f1=Interval(value, low, high, share.n),
        auroc=auroc(scores, positive),
        brier=paired_mean((scores - positive) ** 2),
    )


def auroc(scores: np.ndarray, positive: np.ndarray, confidence: float = CONFIDENCE) -> Interval:
    """The chance that a positive scores above a negative, a tie counting half (Mann and Whitney 1947).

    The interval solves the score equation with Hanley and McNeil's variance (Newcombe 2006, method 5), so
    that it keeps a width where the classes part perfectly. One class missing: no value, [0, 1], n = 0.
    """
    positives = int(np.sum(positive))
    negatives = len(scores) - positives
    if not positives or not negatives:
        return Interval(math.nan, 0.0, 1.0, 0)
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = float(ranks[inverse][positive].sum())
    value = (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)

    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    balance = (positives + negatives) / 2 - 1

    def outside(theta: float) -> bool:
        spread = 1 + balance * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return abs(value - theta) > z * math.sqrt(theta * (1 - theta) * spread / (positives * negatives))

    def bound(far: float, near: float) -> float:
        for _ in range(60):
            middle = (far + near) / 2
            far, near = (middle, near) if outside(middle) else (far, middle)
        return (far + near) / 2

    low = 0.0 if value == 0 else bound(0.0, value)
    high = 1.0 if value == 1 else bound(1.0, value)
    return Interval(value, low, high, len(scores))


def by_source(
    sources: pa.ChunkedArray, scores: np.ndarray, positive: np.ndarray, threshold: float = 0.5
) -> pa.Table:
    """A METRICS table: the figures over every text, then over each source's, by name."""
    names = np.array(sources.to_pylist(), dtype=object)
    groups = [(ALL, np.ones(len(names), dtype=bool))]
    groups += [(name, names == name) for name in sorted(set(names))]
    rows = [
        {"source": name, "metric": metric, "value": None if figure.n == 0 else figure.value}
        | {"low": figure.low, "high": figure.high, "n": figure.n}
        for name, mask in groups
        for metric, figure in vars(discriminate(scores[mask], positive[mask], threshold)).items()
    ]
    return pa.Table.from_pylist(rows, METRICS)
