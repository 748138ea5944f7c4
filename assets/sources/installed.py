"""Reader `python-docs`: the documentation that the installed packages carry, each under its own licence.

Descriptions, READMEs, licence texts, guides and docstrings of the packages that the project runs on: real
text with its natural boilerplate, exact and near duplicates and authors' addresses, and no network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from assets.sources.digests import digest
from assets.sources.distributions import Package, runtime_packages
from assets.sources.docstrings import Docstring, docstrings
from assets.sources.options import only
from assets.sources.rows import Read, Rejected, Row, Skipped

if TYPE_CHECKING:
    from assets.sources.registry import Source

VERSION = "1"

MARKUP = {".md", ".markdown", ".rst"}
CODE_AND_DATA = {".py", ".pyi", ".json", ".html", ".js", ".css", ".h", ".about"}
# The part of the documentation that a file is, by how its name begins; other markup files are guides.
PARTS = (
    ("readme", re.compile(r"readme", re.IGNORECASE)),
    ("license", re.compile(r"licen[cs]e|copying|notice|[a-z0-9]+[-_]licen[cs]e|mit-", re.IGNORECASE)),
    ("guide", re.compile(r"authors|change|history|contributing|news|api_changes|.*guide", re.IGNORECASE)),
)
NOT_DOCUMENTATION = {"tests", "test", "testing", "_vendor", "_vendored", "vendored", "templates"}


@dataclass(frozen=True)
class Selection:
    """Which documentation is taken: limits in characters, and caps in documents.

    A cap of docstrings is a ceiling a package; a package that isn't named gives its files alone. Modules
    are read in the order of their paths until the cap is met, so the choice is the same everywhere.
    """

    packages: tuple[str, ...] | None = None
    shortest: int = 200
    longest: int = 40_000
    files: int = 6
    per_module: int = 12
    docstrings: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, source: str, options: Mapping[str, Any]) -> Selection:
        """The selection that a source's options describe.

        Raises:
            SourceError: An option isn't known.
        """
        only(source, options, tuple(cls.__dataclass_fields__))
        names = options.get("packages")
        return cls(**{**options, "packages": None if names is None else tuple(names)})


@dataclass(frozen=True)
class DocstringDocument:
    """A docstring that the selection takes, with the key and licence of its document."""

    key: str
    package: Package
    docstring: Docstring

    @property
    def qualified_name(self) -> str:
        """The dotted name that a reader would import, such as `pandas.core.frame.DataFrame.merge`."""
        module = PurePosixPath(self.key.split("::")[0]).with_suffix("")
        parts = [part for part in module.parts if part != "__init__"]
        return ".".join([*parts, self.docstring.name] if self.docstring.name else parts)


def read(source: Source) -> Iterator[Read]:
    """The documents of every package, sorted by package, then by part and name.

    Raises:
        SourceError: The packages can't be found, or an option isn't known.
    """
    selection = Selection.of(source.name, source.options)
    seen: set[str] = set()
    for package in runtime_packages(source.name, selection.packages):
        for found in _of_package(package, selection):
            if isinstance(found, Row):
                if found.key in seen:  # Two distributions can lay claim to one file.
                    continue
                seen.add(found.key)
            yield found


def fingerprint(source: Source) -> str:
    """A digest of the packages with their versions, this reader's version and the options."""
    selection = Selection.of(source.name, source.options)
    packages = runtime_packages(source.name, selection.packages)
    return digest(VERSION, [(p.name, p.version) for p in packages], source.options)


def read_docstrings(source: str, selection: Selection) -> Iterator[DocstringDocument | Rejected]:
    """The docstrings alone, as `read` gives them: what instructions about the packages are made from."""
    seen: set[str] = set()
    for package in runtime_packages(source, selection.packages):
        for found in _docstrings(package, selection):
            if isinstance(found, DocstringDocument):
                if found.key in seen:
                    continue
                seen.add(found.key)
            yield found


def _of_package(package: Package, selection: Selection) -> Iterator[Read]:
    if selection.shortest <= len(package.description) <= selection.longest:
        yield _row(package, f"{package.name}/METADATA", "METADATA", package.description, "description")
    yield from _files(package, selection)
    for found in _docstrings(package, selection):
        if isinstance(found, Rejected):
            yield found
        else:
            position = f"{found.key.split('::')[0]} line {found.docstring.line}"
            yield _row(package, found.key, position, found.docstring.text, "docstring")


def _files(package: Package, selection: Selection) -> Iterator[Read]:
    """The documentation files of a package, at most `selection.files` of them."""
    taken = 0
    for name, file in package.files.items():
        part = _part(name) if taken < selection.files else None
        if part is None:
            continue
        path = package.locate(file)
        key = f"{package.name}/{name}" if name.startswith("dist-info/") else name
        content = path.read_bytes() if path.is_file() else b""
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            yield Rejected(key, f"not UTF-8: {error.reason} at byte {error.start}", content)
            continue
        if not selection.shortest <= len(text) <= selection.longest:
            yield Skipped(key, f"{len(text)} characters")
            continue
        taken += 1
        yield _row(package, key, key, text, part)


def _part(name: str) -> str | None:
    """The part of the documentation that a file is, or None where it is none."""
    *folders, file = name.split("/")
    suffix = PurePosixPath(file).suffix.lower()
    if suffix in CODE_AND_DATA or NOT_DOCUMENTATION.intersection(folders):
        return None
    for part, pattern in PARTS:
        if pattern.match(file):
            return part
    return "guide" if suffix in MARKUP else None


def _docstrings(package: Package, selection: Selection) -> Iterator[DocstringDocument | Rejected]:
    """The docstrings of a package's public modules, up to its cap."""
    wanted = selection.docstrings.get(package.name, 0)
    for name, file in package.files.items() if wanted else ():
        if not _is_public_module(name):
            continue
        try:
            found = list(docstrings(package.locate(file).read_text("utf-8"), selection.shortest))
        except (SyntaxError, ValueError) as error:
            yield Rejected(name, f"not Python source: {error}")
            continue
        short_enough = [d for d in found if len(d.text) <= selection.longest]
        for docstring in short_enough[: min(selection.per_module, wanted)]:
            wanted -= 1
            yield DocstringDocument(f"{name}::{docstring.name}".removesuffix("::"), package, docstring)
        if wanted == 0:
            return


def _is_public_module(name: str) -> bool:
    parts = name.split("/")
    private = any(part.startswith("_") and part != "__init__.py" for part in parts)
    return name.endswith(".py") and not private and not NOT_DOCUMENTATION.intersection(parts)


def _row(package: Package, key: str, position: str, text: str, part: str) -> Row:
    about = {"part": part, "package": package.name, "version": package.version}
    return Row(key=key, position=position, text=text, license=package.license, metadata=about)
