"""The house's order where the import linter can't see it: what loads late, must agree, stays out."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from assets.filters.signals import SIGNALS
from assets.scorers.scores import SCORERS
from assets.sources.registry import PROFILES

PROJECT = Path(__file__).parent.parent
PURE = ("sources", "filters", "privacy", "scorers", "evals", "releases", "governance")

# Each costs seconds or hundreds of megabytes where it is imported.
HEAVY = (
    "botocore",
    "dagster",
    "daft",
    "dbt",
    "fasttext",
    "great_expectations",
    "matplotlib",
    "pandas",
    "presidio_analyzer",
    "spacy",
    "trafilatura",
)

# Files that git tracks, and nothing else, make the project.
TOP_LEVEL = {
    ".ci",
    ".gitignore",
    "LICENSE",
    "Makefile",
    "README.md",
    "assets",
    "benchmarks",
    "dbt_project",
    "docs",
    "expectations",
    "orchestration",
    "pyproject.toml",
    "requirements-dev.lock",
    "requirements-uv.lock",
    "requirements.lock",
    "tests",
}


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [Path(name) for name in listed.stdout.split("\0") if name and (PROJECT / name).is_file()]


def _loaded_by(modules: list[str]) -> set[str]:
    """The heavy libraries that a fresh interpreter holds after importing some modules."""
    code = f"import sys, {', '.join(modules)}; print(*(set({HEAVY}) & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def _modules(folder: str) -> list[str]:
    files = (file for file in (PROJECT / folder).rglob("*.py") if file.stem != "__init__")
    return sorted(".".join(file.relative_to(PROJECT).with_suffix("").parts) for file in files)


def test_pure_modules_load_heavy_libraries_on_use_only() -> None:
    modules = [module for folder in PURE for module in _modules(f"assets/{folder}")]
    leaves = [f"assets.{name}" for name in ("documents", "engine", "intervals", "lake", "plots", "settings")]
    assert _loaded_by([*leaves, *modules, *_modules("expectations")]) == set()


def test_the_console_script_starts_without_the_orchestrator() -> None:
    assert _loaded_by(["orchestration.cli"]) == set()


def test_dbt_knows_the_signals_that_are_measured() -> None:
    macro = (PROJECT / "dbt_project" / "macros" / "signals.sql").read_text(encoding="utf-8")
    assert re.findall(r"^\s+'(\w+)'", macro, re.MULTILINE) == [signal.name for signal in SIGNALS]


def test_rules_name_profiles_and_scores_that_exist() -> None:
    with (PROJECT / "dbt_project" / "seeds" / "rules.csv").open(encoding="utf-8", newline="") as file:
        rules = list(csv.DictReader(file))
    assert {rule["profile"] for rule in rules} <= {"all", *PROFILES}
    # Every profile has rules of its own: one that nobody wrote would let everything through.
    assert set(PROFILES) <= {rule["profile"] for rule in rules}
    judged = {rule["signal"] for rule in rules if rule["stage"] == "scored"}
    assert judged <= {"not_releasable", "license_unknown", *(scorer.name for scorer in SCORERS)}


def test_every_pure_folder_is_linted() -> None:
    folders = {path.parent.name for path in (PROJECT / "assets").glob("*/__init__.py")}
    assert folders == set(PURE), "a folder without __init__.py is invisible to the import linter"
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (free,) = (contract for contract in contracts if "dagster" in contract.get("forbidden_modules", ()))
    assert {f"assets.{folder}" for folder in PURE} <= set(free["source_modules"])


def test_nothing_is_called_a_helper(tracked: list[Path]) -> None:
    vague = re.compile(r"utils?|helpers?|common|misc|core|manager|handler|processor")
    assert [path for path in tracked if path.suffix == ".py" and vague.fullmatch(path.stem)] == []


def test_the_top_level_is_the_house(tracked: list[Path]) -> None:
    assert {path.parts[0] for path in tracked} <= TOP_LEVEL


def test_no_path_of_a_machine_and_no_package_index_is_tracked(tracked: list[Path]) -> None:
    # The brackets keep this pattern from finding itself.
    here = re.compile(
        rb"(?<![\w./-])[/](?:home|root|Users|work|opt|srv)[/]\w|file:[/]{3}\w|\b[p]ypi\.org|[p]ythonhosted"
    )
    found = [
        f"{path}: {match[0].decode()}"
        for path in tracked
        if path.suffix != ".png"
        for match in here.finditer((PROJECT / path).read_bytes())
    ]
    assert found == []


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock", "requirements-uv.lock"])
def test_locks_pin_by_hash_and_name_no_host(name: str) -> None:
    text = (PROJECT / name).read_text(encoding="utf-8")
    assert "://" not in text
    # A requirement goes on while its lines end in a backslash.
    requirements = text.replace("\\\n", " ").splitlines()
    assert requirements
    for requirement in requirements:
        assert re.match(r"[\w.\[\],-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", requirement), requirement[:60]


def test_the_tests_environment_holds_the_runs_own() -> None:
    pinned = {
        name: set(re.findall(r"^([\w.-]+==\S+)", (PROJECT / name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "requirements-dev.lock")
    }
    assert pinned["requirements.lock"] <= pinned["requirements-dev.lock"]
