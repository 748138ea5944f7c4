"""Every test session has a home of its own: nothing of a developer's `var/` is read or written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

# Before anything of the project is imported: settings are read from here on.
_HOME = tempfile.TemporaryDirectory(prefix="winnow-tests-")
os.environ["WINNOW_HOME"] = _HOME.name
os.environ["DAGSTER_HOME"] = str(Path(_HOME.name) / "dagster")
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).parent.parent / "var" / "cache" / "numba"))
os.environ.pop("WINNOW_PII_KEY", None)
