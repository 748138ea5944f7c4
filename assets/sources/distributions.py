"""The installed distributions that the project runs on, found from its own requirements alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, cast

from packaging.requirements import Requirement

from assets.sources.licenses import spdx
from assets.sources.rows import SourceError

if TYPE_CHECKING:
    from email.message import Message

PROJECT = "winnow"
OWN_LICENSE = re.compile(r"(licen[cs]e|copying)(\.(txt|md|rst))?", re.IGNORECASE)
METADATA_FOLDER = re.compile(r"^[^/]+\.(dist|egg)-info(?=/)")


@dataclass(frozen=True)
class Package:
    """An installed distribution: its normalised name, its version, and what it carries."""

    name: str
    distribution: metadata.Distribution

    # Each look at a distribution's metadata parses its file again, so what is needed is kept.
    @cached_property
    def message(self) -> Message:
        return cast("Message", self.distribution.metadata)

    @property
    def version(self) -> str:
        return str(self.message["Version"])

    @cached_property
    def license(self) -> str:
        """The SPDX expression of the package's own licence; NOASSERTION when unclear."""
        own = (
            self.locate(file).read_text("utf-8", "replace")
            for name, file in self.files.items()
            if name.startswith("dist-info/") and OWN_LICENSE.fullmatch(file.name)
        )
        return spdx(self.message, own)

    @property
    def description(self) -> str:
        """The long description of the package's metadata, usually its README; empty where it has none."""
        return str(self.message.get("Description") or self.message.get_payload() or "")

    @cached_property
    def files(self) -> dict[str, metadata.PackagePath]:
        """The files inside the package by their names below `site-packages`, sorted by name.

        The metadata folder is named `dist-info`, without the version, so that names outlive releases.
        Scripts and shared data, which lie outside, are left out.
        """
        inside = (file for file in self.distribution.files or [] if file.parts[0] not in ("..", "/"))
        named = {METADATA_FOLDER.sub("dist-info", file.as_posix(), count=1): file for file in inside}
        return dict(sorted(named.items()))

    @staticmethod
    def locate(file: metadata.PackagePath) -> Path:
        """Where a file of the package lies on this machine."""
        return Path(str(file.locate()))


def runtime_packages(source: str, names: Iterable[str] | None = None) -> list[Package]:
    """The packages that a source reads, sorted by name: those named, or the project's runtime closure.

    The closure follows the project's requirements with their markers evaluated and its own extras off,
    so it doesn't change with whatever else is installed. A requirement that isn't installed (an override,
    another platform) isn't part of it; a package that is named must be there.

    Raises:
        SourceError: The project, or a named package, isn't installed.
    """
    if names is not None:
        return [_package(source, name) for name in sorted({_normalise(name) for name in names})]
    project = _package(source, PROJECT)
    found: dict[str, Package] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(project.distribution, "")]
    while waiting:
        distribution, extra = waiting.pop()
        for requirement in map(Requirement, distribution.requires or []):
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            name = _normalise(requirement.name)
            for wanted in ("", *sorted(requirement.extras)):
                if (name, wanted) in seen:
                    continue
                seen.add((name, wanted))
                try:
                    found[name] = Package(name, metadata.distribution(name))
                except metadata.PackageNotFoundError:
                    continue
                waiting.append((found[name].distribution, wanted))
    found.pop(PROJECT, None)
    return [found[name] for name in sorted(found)]


def _package(source: str, name: str) -> Package:
    try:
        return Package(_normalise(name), metadata.distribution(name))
    except metadata.PackageNotFoundError:
        raise SourceError(
            f"source {source!r}: the distribution {name!r} isn't installed in this environment; "
            "install the project, or name packages in the entry's options"
        ) from None


def _normalise(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
