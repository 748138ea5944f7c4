"""What every benchmark of this folder writes the same way: the machine, shares with their interval, the file."""

from __future__ import annotations

import gzip
import json
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assets.intervals import wilson

# Not from the settings, which fix a home when they are imported: a benchmark may choose its own first.
PROJECT = Path(__file__).resolve().parent.parent
DATA = PROJECT.parent / "shared" / "data"
MEASURED = PROJECT / "docs" / "measured"


def machine() -> dict[str, object]:
    """What it was measured on."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
    }


def share(some: int, n: int) -> dict[str, Any]:
    """A share with its 95 % interval (Wilson), as numbers and as people read it."""
    interval = wilson(some, n)
    return {
        "value": round(interval.value, 5) if n else None,
        "low": round(interval.low, 5),
        "high": round(interval.high, 5),
        "n": n,
        "text": interval.percent(2),
    }


def records(path: Path) -> list[dict[str, Any]]:
    """The records of a JSONL.gz file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def save(report: Mapping[str, Any], path: Path) -> None:
    """Writes a report where the documentation reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
