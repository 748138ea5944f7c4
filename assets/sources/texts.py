"""Readers of files that are one document each: plain text, Markdown and reStructuredText, as they stand."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import TYPE_CHECKING

from assets.engine import open_file
from assets.sources.rows import PREFIX_BYTES, Read, Rejected, Row, SourceFile
from assets.sources.streams import Corrupt, Inflated

if TYPE_CHECKING:
    from assets.sources.registry import Source

# Byte-order marks, and the codecs that take them off.
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def text(file: SourceFile, source: Source) -> Iterator[Read]:
    """One document a file, keyed by the file's name."""
    content = whole(file)
    if isinstance(content, Rejected):
        yield content
        return
    try:
        yield Row(file.name, "file", decode(content, str(source.options.get("encoding", "utf-8"))))
    except UnicodeError as error:
        yield Rejected("file", str(error), content[:PREFIX_BYTES])


def whole(file: SourceFile) -> bytes | Rejected:
    """A file's bytes, decompressed, or why they can't be had."""
    blocks = bytearray()
    with open_file(file.path) as stream:
        inflated = Inflated(stream)
        try:
            while block := inflated.read():
                blocks += block
        except Corrupt as error:
            return Rejected("file", str(error), bytes(blocks[:PREFIX_BYTES]) or error.rest[:PREFIX_BYTES])
    return bytes(blocks)


def decode(content: bytes, encoding: str) -> str:
    """Text in a named encoding, decoded strictly; a byte-order mark outweighs the name and is dropped.

    Raises:
        UnicodeError: The encoding is unknown, or the bytes aren't in it.
    """
    encoding = next((marked for mark, marked in MARKS.items() if content.startswith(mark)), encoding)
    try:
        return content.decode(encoding)
    except LookupError as error:
        raise UnicodeError(f"unknown encoding {encoding!r}") from error
    except UnicodeDecodeError as error:
        raise UnicodeError(f"not {encoding}: {error.reason} at byte {error.start}") from error
