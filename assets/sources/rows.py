"""What a reader takes and gives: a file of a source, and the rows it held, good, rejected or skipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PREFIX_BYTES = 200


class SourceError(Exception):
    """A source that can't be read as its entry says; the message names the source, the file and the place."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a source: where it is opened, the name that tables give it, its size in bytes if known."""

    path: str
    name: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """One row that could be read; a field left at None takes the source's own value.

    `key` names the row at its origin and is unique within the source; `position` says where it was found
    ("line 12", "row 3", "record 7 at byte 991", "urllib.parse.quote"). Either `text` or `messages` is
    given; with messages alone, the text is their rendering. `metadata` is anything that JSON can hold.
    """

    key: str
    position: str
    text: str | None = None
    messages: tuple[dict[str, str], ...] | None = None
    language: str | None = None
    url: str | None = None
    license: str | None = None
    synthetic: bool | None = None
    generator: str | None = None
    parents: tuple[str, ...] | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that can't become a document: it goes to quarantine with the first bytes of what was there."""

    position: str
    error: str
    prefix: bytes = b""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was never meant to be a document (a request record, an image): counted, not kept."""

    position: str
    reason: str


Read = Row | Rejected | Skipped
