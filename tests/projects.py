"""A small project of its own for the tests of the lifecycle: seeded sources, a home, the console script."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import StringIO
from pathlib import Path
from random import Random
from unittest.mock import patch

import dagster as dg
import yaml
from rich.console import Console
from typer.testing import CliRunner

from assets.documents import document_id
from assets.lake import Lake
from assets.releases.store import ReleaseStore
from assets.sources.drill import SCRIPT

WINNOW = Path(sys.executable).parent / "winnow"

HANDBOOK, LETTERS = "handbook", "letters"

# What nobody may find outside the sources and the raw layer. The numbers are of ranges kept for fiction.
PERSONAL = (
    "ottilie.brandvold@fjordmail.example.org",
    "casimir_wren@quillpost.example.com",
    "+1 202-555-0143",
    "(415) 555-0182",
)

TOPICS = ("garden", "library", "rivers", "weather")

ENTRIES = {
    HANDBOOK: {"reference": True, "weight": 1.0},
    LETTERS: {"weight": 1.0},
}


@dataclass(frozen=True)
class Project:
    """A sources file with its data, and the home of everything that runs on it."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which a process works on this project and no other."""
        # Where these lie follows from the home, and the tests' own process has set them for its own.
        theirs = ("DAGSTER_HOME", "DBT_TARGET_PATH", "DBT_LOG_PATH", "MPLCONFIGDIR")
        return {
            **{name: value for name, value in os.environ.items() if name not in theirs},
            "WINNOW_HOME": str(self.home),
            "WINNOW_SOURCES": str(self.root / "sources.yaml"),
            "COLUMNS": "200",
        }

    @property
    def lake(self) -> Lake:
        return Lake(self.home / "lake")

    @property
    def releases(self) -> ReleaseStore:
        return ReleaseStore(self.home / "releases")

    def winnow(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """The console script, run to its end; standard error is part of the output."""
        return self._run([str(WINNOW), *arguments], self.environment | environment)

    def dagster(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Dagster's own command line on the project's definitions, as someone who goes past the console."""
        command = [sys.executable, "-m", "dagster", *arguments, "-m", "orchestration.definitions"]
        home = {"DAGSTER_HOME": str(self.home / "dagster")}
        return self._run(command, self.environment | home | environment)

    def _run(self, command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            env=environment,
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=580,
        )

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The Dagster history that the project's processes write."""
        with dg.DagsterInstance.from_config(str(self.home / "dagster")) as instance:
            yield instance

    def made(self) -> Counter[tuple[str, str | None]]:
        """How often each asset, and partition of one, has been materialised."""
        with self.instance() as instance:
            return Counter(
                (key.to_user_string(), record.partition_key)
                for key in instance.all_asset_keys()
                for record in instance.fetch_materializations(key, limit=1000).records
            )

    def copy(self, root: Path) -> Project:
        """The same project elsewhere, with its history; file times stay, as what was read goes by them."""
        shutil.copytree(self.root, root, symlinks=True)
        return Project(root)

    def records(self, source: str) -> list[dict[str, str]]:
        """The records of a source's file."""
        lines = (self.root / f"{source}.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def write(self, source: str, records: list[dict[str, str]]) -> None:
        """Replaces a source's file."""
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (self.root / f"{source}.jsonl").write_text(lines, encoding="utf-8")


def invoke(*arguments: object, code: int = 0) -> str:
    """What a command of the console script prints, in this process; it ends with the code expected."""
    from orchestration import cli

    with patch.object(cli, "console", Console(file=StringIO())) as console:
        result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    said = console.file.getvalue()
    assert result.exit_code == code, (said, result.output, result.exception)
    return said


def make_project(root: Path) -> Project:
    """A project that has not run: clean reference text, and letters with every common fault."""
    root.mkdir(parents=True)
    entries = [
        {
            "name": name,
            "uri": f"{name}.jsonl",
            "reader": "jsonl",
            "kind": "document",
            "profile": "web",
            "columns": {"key": "id", "text": "text"},
            "license": "CC0-1.0",
            "language": "en",
            "collected_at": "2026-01-01",
            "consent": "not_required",
            "owner": "team:data-curation",
            **more,
        }
        for name, more in ENTRIES.items()
    ]
    (root / "sources.yaml").write_text(yaml.safe_dump({"version": 1, "sources": entries}, sort_keys=False))
    project = Project(root)
    dice = Random(7)
    handbook = [{"id": f"page-{n:03d}", "text": prose(dice)} for n in range(120)]
    letters = [{"id": f"letter-{n:03d}", "text": prose(dice)} for n in range(110)]
    for letter, value in zip(letters, PERSONAL, strict=False):
        letter["text"] += f"\n\nIf anything is unclear, the person to ask is reached at {value} all week."
    # First and last in order: whoever keeps a column's minimum or maximum keeps these.
    for letter, value in zip(letters[30:], PERSONAL, strict=False):
        letter["text"] = f"{value} is where to write. {letter['text']}"
    letters += [{"id": f"copy-{n}", "text": letters[60 + n]["text"]} for n in range(3)]
    letters += [{"id": f"refrain-{n}", "text": f"{prose(dice, sentences=1)}\n" * 12} for n in range(8)]
    letters += [{"id": f"scrap-{n}", "text": prose(dice, sentences=1)} for n in range(8)]
    project.write(HANDBOOK, handbook)
    project.write(LETTERS, letters)
    return project


def doc_id(source: str, key: str) -> str:
    """The id of a record of a project's source."""
    return document_id(source, key)


def prose(dice: Random, sentences: int = 8) -> str:
    """English sentences, each of one's beginning and another's end: few texts share 13 words in a row, as
    held-out text must not, and all share their phrases, so that a few thousand of them teach the proxy."""
    openings, endings = _halves()
    pairs = zip(dice.sample(openings, sentences), dice.sample(endings, sentences), strict=True)
    made = [f"{opening} {ending}" for opening, ending in pairs]
    return "\n\n".join(" ".join(made[at : at + 4]) for at in range(0, sentences, 4))


@cache
def _halves() -> tuple[list[str], list[str]]:
    script = yaml.safe_load(SCRIPT.read_text(encoding="utf-8"))
    lines = [line.split() for topic in TOPICS for line in script["prose"][topic]]
    openings = [" ".join(words[: len(words) // 2]) for words in lines]
    endings = [" ".join(words[len(words) // 2 :]) for words in lines]
    return openings, endings
