"""Rates and means with the interval that belongs beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A figure with its confidence interval and the number of observations behind it."""

    value: float
    low: float
    high: float
    n: int

    def percent(self, digits: int = 1) -> str:
        """`97.2 % [95.1, 98.4] n=431`; an empty sample says so."""
        if self.n == 0:
            return "no data (n=0)"
        value, low, high = (f"{100 * x:.{digits}f}" for x in (self.value, self.low, self.high))
        return f"{value} % [{low}, {high}] n={self.n}"

    def number(self, digits: int = 3) -> str:
        """`-0.081 [-0.094, -0.068] n=5`; an empty sample says so."""
        if self.n == 0:
            return "no data (n=0)"
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}] n={self.n}"


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """A proportion with its Wilson score interval (Wilson 1927); n = 0 gives NaN in [0, 1]."""
    if n == 0:
        return Interval(math.nan, 0.0, 1.0, 0)
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = successes / n
    centre = p + z * z / (2 * n)
    margin = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At 0 of n and n of n rounding would leave the bound an ulp away from the edge.
    low = 0.0 if successes == 0 else (centre - margin) / scale
    high = 1.0 if successes == n else (centre + margin) / scale
    return Interval(p, low, high, n)


def paired_mean(differences: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The mean of paired differences with its Student t interval; one pair gives an infinite interval."""
    from scipy.stats import t

    values = np.asarray(differences, dtype=float)
    if len(values) == 0:
        return Interval(math.nan, -math.inf, math.inf, 0)
    if len(values) == 1:
        return Interval(float(values[0]), -math.inf, math.inf, 1)
    mean = float(values.mean())
    half = float(t.ppf(0.5 + confidence / 2, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    return Interval(mean, mean - half, mean + half, len(values))
