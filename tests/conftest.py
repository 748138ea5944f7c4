"""Every test session has a home of its own: nothing of a developer's `var/` is read or written."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from projects import Project

# Before anything of the project is imported: settings are read from here on.
_HOME = tempfile.TemporaryDirectory(prefix="winnow-tests-")
os.environ["WINNOW_HOME"] = _HOME.name
os.environ["DAGSTER_HOME"] = str(Path(_HOME.name) / "dagster")
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).parent.parent / "var" / "cache" / "numba"))
os.environ.pop("WINNOW_PII_KEY", None)
os.environ.pop("WINNOW_NER", None)


@pytest.fixture(scope="session")
def green(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose lifecycle has run once, to a champion; whoever changes it works on a copy."""
    from projects import make_project

    project = make_project(tmp_path_factory.mktemp("lifecycle") / "green")
    for command in (("run",), ("deploy", "--approved-by", "Ada Approver")):
        done = project.winnow(*command)
        assert done.returncode == 0, done.stdout
    return project


@pytest.fixture
def absent_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment without the extra `ner`."""
    from assets.privacy.names import PACKAGE, load_model

    load_model.cache_clear()
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    yield
    load_model.cache_clear()


@pytest.fixture
def refused_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a socket fails."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
