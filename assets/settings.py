"""Where things lie. Each may be moved by an environment variable; the defaults need none.

Importing this module also keeps libraries from writing or calling outside: caches go below `home()`,
telemetry is off.
"""

from __future__ import annotations

import os
from glob import glob
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def _path(variable: str, default: str) -> Path:
    """What a variable names, or a place in the project."""
    return Path(os.environ.get(variable) or PROJECT / default).resolve()


def home() -> Path:
    """Everything a run leaves behind: the lake, Dagster's history, releases. `WINNOW_HOME` moves it."""
    return _path("WINNOW_HOME", "var")


def sources_file() -> Path:
    """The file that names the sources. `WINNOW_SOURCES` points at another one."""
    return _path("WINNOW_SOURCES", "assets/sources/sources.yaml")


def gates_file() -> Path:
    """The file of gates that the verdict is made of. `WINNOW_GATES` points at another one."""
    return _path("WINNOW_GATES", "assets/evals/gates.yaml")


def policies_file() -> Path:
    """The file that says how documents are compared. `WINNOW_POLICIES` points at another one."""
    return _path("WINNOW_POLICIES", "assets/filters/policies.yaml")


def benchmark_files() -> tuple[Path, ...]:
    """Benchmarks to look for besides the packaged ones: the files of `WINNOW_BENCHMARKS`, none by default.

    It holds paths and globs of JSONL files, divided by colons as PATH is.

    Raises:
        FileNotFoundError: One of them names no file.
    """
    files: list[Path] = []
    for pattern in filter(None, os.environ.get("WINNOW_BENCHMARKS", "").split(os.pathsep)):
        found = [Path(name).resolve() for name in sorted(glob(pattern, recursive=True))]  # noqa: PTH207 - a pattern may be absolute
        if not found:
            raise FileNotFoundError(f"WINNOW_BENCHMARKS: {pattern} matches no file")
        files += found
    return tuple(files)


def engine() -> str:
    """What measuring runs on: `native`, or `ray` for a cluster. `WINNOW_ENGINE` sets it."""
    return os.environ.get("WINNOW_ENGINE") or "native"


def workers() -> int:
    """How many batches of documents one source measures at once: one, or what `WINNOW_WORKERS` says.

    Raises:
        ValueError: That is no number above 0.
    """
    said = os.environ.get("WINNOW_WORKERS") or "1"
    if not (said.isdecimal() and int(said)):
        raise ValueError(f"WINNOW_WORKERS: {said!r} is no number above 0")
    return int(said)


def recognizers_file() -> Path:
    """Which recognisers of personal data are in use. `WINNOW_RECOGNIZERS` points at another file."""
    return _path("WINNOW_RECOGNIZERS", "assets/privacy/recognizers.yaml")


def redaction_file() -> Path:
    """What is done with each kind of personal value. `WINNOW_REDACTION` points at another file."""
    return _path("WINNOW_REDACTION", "assets/privacy/actions.csv")


NER_TIERS = ("off", "gated", "full")
"""Where names of persons and places are looked for: nowhere, in sentences that may hold one, everywhere."""


def ner() -> str:
    """The tier of `NER_TIERS`: off, or what `WINNOW_NER` says.

    Raises:
        ValueError: That is no tier.
    """
    said = os.environ.get("WINNOW_NER") or "off"
    if said not in NER_TIERS:
        raise ValueError(f"WINNOW_NER: {said!r} is none of {', '.join(NER_TIERS)}")
    return said


def lake_root() -> Path:
    """The lake's folder."""
    return home() / "lake"


def releases_root() -> Path:
    """The folder of immutable releases and their aliases."""
    return home() / "releases"


def extensions() -> Path:
    """Where DuckDB unpacks the extensions that the environment's wheels carry."""
    return home() / "cache" / "duckdb"


def pii_key_file() -> Path:
    """The key that personal values are hashed with; outside the lake. `WINNOW_PII_KEY` overrides it."""
    return home() / "keys" / "pii.key"


def tombstone_key_file() -> Path:
    """The key that erased things are known by; never changed. `WINNOW_TOMBSTONE_KEY` overrides it."""
    return home() / "keys" / "tombstone.key"


def erasures_root() -> Path:
    """The receipts of erasures, and the plan of one that is not finished."""
    return home() / "erasures"


os.environ.setdefault("NUMBA_CACHE_DIR", str(home() / "cache" / "numba"))
os.environ.setdefault("MPLCONFIGDIR", str(home() / "cache" / "matplotlib"))
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
# Not in the project: what dbt parsed there by hand, with other paths, would be taken for this home's.
os.environ.setdefault("DBT_TARGET_PATH", str(home() / "cache" / "dbt"))
os.environ.setdefault("DBT_LOG_PATH", str(home() / "logs"))
os.environ.setdefault("DAGSTER_HOME", str(home() / "dagster"))
