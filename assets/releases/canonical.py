"""Canonical JSON: equal values, equal bytes."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

SIGNIFICANT_DIGITS = 12


def canonical_json(value: Any, indent: int | None = None) -> bytes:
    """A value as UTF-8 JSON with sorted keys and a newline at its end.

    Numbers are written as RFC 8785 writes them, after rounding to 12 significant digits: 1.0 is `1`.
    What JSON can't carry (NaN and the infinities: a rate without data, an interval without bounds) is
    `null`.

    Raises:
        TypeError: The value holds something that is no JSON value.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(
        _plain(value),
        sort_keys=True,
        ensure_ascii=False,
        allow_nan=False,
        indent=indent,
        separators=separators,
    )
    return text.encode() + b"\n"


def sha256(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return _number(value)
    return value


def _number(value: float) -> float | int | None:
    """The sum of the same floats in another order differs in its last bits, and an id must not."""
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 2**53 else rounded
