"""Which files a source names, what tables call them, and which of them are not to be opened."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from assets.engine import FileEntry, fixed_part, is_remote, list_files
from assets.sources.rows import Rejected, Skipped, SourceError, SourceFile

if TYPE_CHECKING:
    from assets.sources.registry import Source

VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Found:
    """A file that a source names, and why it is not opened where it isn't."""

    file: SourceFile
    refusal: Rejected | Skipped | None = None


def find_files(source: Source, root: Path, suffixes: tuple[str, ...]) -> list[Found]:
    """Every file a source's URIs name, once each, sorted by name.

    A file is named relative to the source's folder: the deepest folder or prefix that all of its URIs
    share. A link out of that folder, or to a folder, is not followed. Where a URI is a folder, files
    without one of the reader's `suffixes` are passed over and counted; a file or glob is taken at its word.

    Raises:
        SourceError: A URI names no file or its store can't be listed, or URIs mix this machine and stores.
    """
    uris = [_located(uri, source, root) for uri in source.uri]
    if len({is_remote(uri) for uri in uris}) > 1:
        raise SourceError(
            f"source {source.name!r}: local and remote URIs in one source; make them two sources"
        )
    listings = [_listing(source, written, uri) for written, uri in zip(source.uri, uris, strict=True)]
    folder = _common_folder([_folder(uri, entries) for uri, entries in zip(uris, listings, strict=True)])
    found: dict[str, Found] = {}
    for uri, entries in zip(uris, listings, strict=True):
        whole_folder = fixed_part(uri) == uri and [entry.path for entry in entries] != [uri]
        for entry in entries:
            name = entry.path.removeprefix(folder).lstrip("/")
            file = SourceFile(entry.path, name, entry.size)
            refusal: Rejected | Skipped | None = None if is_remote(uri) else _link_refusal(entry.path, folder)
            if refusal is None and whole_folder and not name.lower().endswith(suffixes):
                refusal = Skipped("file", f"not a {source.reader} file: none of {', '.join(suffixes)}")
            found[name] = Found(file, refusal)
    return [found[name] for name in sorted(found)]


def _located(written: str, source: Source, root: Path) -> str:
    """A URI with its environment variables in place; a local one as an absolute path."""
    missing = [name for name in VARIABLE.findall(written) if name not in os.environ]
    if missing:
        raise SourceError(
            f"source {source.name!r}: {written}: {', '.join(missing)} is not set in the environment"
        )
    uri = VARIABLE.sub(lambda match: os.environ[match[1]], written)
    return uri if is_remote(uri) else os.path.normpath(root.absolute() / uri.removeprefix("file://"))


def _listing(source: Source, written: str, uri: str) -> list[FileEntry]:
    try:
        entries = list_files(uri)
    except OSError as error:
        raise SourceError(
            f"source {source.name!r}: {written} can't be listed: {error.strerror or error}"
        ) from error
    if not entries:
        raise SourceError(f"source {source.name!r}: {written} matches no file")
    return entries


def _folder(uri: str, entries: list[FileEntry]) -> str:
    return (
        uri.rpartition("/")[0] if [entry.path for entry in entries] == [uri] else fixed_part(uri).rstrip("/")
    )


def _common_folder(folders: list[str]) -> str:
    levels = zip(*(folder.split("/") for folder in folders), strict=False)
    shared = [level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels)]
    return "/".join(shared) + "/"


def _link_refusal(path: str, folder: str) -> Rejected | None:
    target = Path(path).resolve()
    if not target.is_relative_to(Path(folder).resolve()):
        return Rejected("file", "a link that leads out of the source's folder; it was not followed")
    if target.is_dir():
        return Rejected("file", "a link to a folder; it was not followed")
    if not target.exists():
        return Rejected("file", "a link to a file that is not there")
    return None
