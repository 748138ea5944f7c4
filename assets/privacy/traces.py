"""Where strings still stand in files, read byte by byte or, where they are packed, unpacked; and how they are
taken out of logs and databases that must otherwise stay.
"""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from assets.lake import vacuum

ERASED = "(erased)"
SQLITE, GZIP, ZSTD, PARQUET = b"SQLite format 3\0", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1"
# Bytes that are searched at once; a string over the border of two is found by what they overlap.
CHUNK, OVERLAP = 8 << 20, 1 << 12
# In a database, what stands before an id may pass for a part of it.
HEX = re.compile(rb"[0-9a-f]{32,}")
ID_LENGTH = 32


@dataclass(frozen=True)
class Needles:
    """What to look for: ids of documents, and other strings, plain or as JSON escapes them, Latin letters in
    any case."""

    ids: frozenset[str]
    strings: frozenset[str]

    def found(self, data: bytes) -> bool:
        """Whether any of them stands in some bytes."""
        for run in HEX.finditer(data) if self.ids else ():
            digits = run[0].decode()
            if any(digits[at : at + ID_LENGTH] in self.ids for at in range(len(digits) - ID_LENGTH + 1)):
                return True
        return self._pattern is not None and self._pattern.search(data) is not None

    @cached_property
    def _pattern(self) -> re.Pattern[bytes] | None:
        # Dagster keeps JSON inside JSON.
        escaped = {json.dumps(string)[1:-1] for string in self.strings}
        written = self.strings | escaped | {json.dumps(string)[1:-1] for string in escaped}
        if not written:
            return None
        return re.compile(
            b"|".join(re.escape(form.encode()) for form in sorted(written, key=len)), re.IGNORECASE
        )


def find_traces(files: Iterable[Path], needles: Needles) -> list[Path]:
    """The files that hold any of the needles; one that goes away meanwhile holds nothing."""
    found = []
    for path in files:
        try:
            if any(needles.found(data) for data in _contents(path)):
                found.append(path)
        except FileNotFoundError:
            continue
    return found


def scrub(path: Path, needles: Needles) -> None:
    """Takes every line, or every line of a text in a database's cell, that holds a needle out of a file.

    An SQLite database keeps its rows, and no freed page that would still hold them.
    """
    with path.open("rb") as file:
        head = file.read(len(SQLITE))
    if head == SQLITE:
        _scrub_database(path, needles)
    elif not head.startswith((PARQUET, GZIP, ZSTD)):
        kept = [
            line if not needles.found(line) else f"{ERASED}\n".encode()
            for line in path.read_bytes().splitlines(keepends=True)
        ]
        # In place: a log that a process has open goes on in the same file.
        with path.open("r+b") as file:
            file.write(b"".join(kept))
            file.truncate()


def _contents(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        head = file.read(len(SQLITE))
        if head.startswith(PARQUET):
            yield from _columns(path)
            return
        file.seek(0)
        read: Callable[[int], bytes] = file.read
        if head.startswith(GZIP):
            read = gzip.GzipFile(fileobj=file).read
        elif head.startswith(ZSTD):
            import zstandard

            read = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read
        tail = b""
        while data := read(CHUNK):
            yield tail + data
            tail = data[-OVERLAP:]


def _columns(path: Path) -> Iterator[bytes]:
    """The values of a Parquet file's columns of texts and bytes, however deep they lie, and what its footer
    says of them."""
    with path.open("rb") as file:
        file.seek(-8, 2)
        size = int.from_bytes(file.read(4), "little")
        file.seek(-8 - size, 2)
        yield file.read(size)
    for batch in pq.ParquetFile(path).iter_batches():
        for column in batch.columns:
            yield from _values(column)


def _values(array: pa.Array) -> Iterator[bytes]:
    kind = array.type
    if pa.types.is_dictionary(kind):
        yield from _values(array.dictionary)
    elif pa.types.is_struct(kind):
        for field in array.flatten():
            yield from _values(field)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _values(array.flatten())
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        yield b"\n".join(value.as_buffer() for value in array if value.is_valid)


def _scrub_database(path: Path, needles: Needles) -> None:
    with closing(sqlite3.connect(path, timeout=60)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            columns = [row[1] for row in database.execute(f'PRAGMA table_info("{table}")')]
            for column in columns:
                cells = database.execute(f'SELECT rowid, "{column}" FROM "{table}"')
                changed = [
                    (_scrubbed(cell, needles), rowid)
                    for rowid, cell in cells
                    if isinstance(cell, str | bytes) and needles.found(_bytes(cell))
                ]
                database.executemany(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', changed)
        database.commit()
    vacuum(path)


def _scrubbed(cell: str | bytes, needles: Needles) -> str | bytes:
    text = _bytes(cell).decode("utf-8", "replace")
    try:
        scrubbed = json.dumps(_walk(json.loads(text), needles))
    except ValueError:
        scrubbed = _lines(text, needles)
    return scrubbed if isinstance(cell, str) else scrubbed.encode()


def _walk(value: Any, needles: Needles) -> Any:
    if isinstance(value, dict):
        return {_lines(key, needles): _walk(held, needles) for key, held in value.items()}
    if isinstance(value, list):
        return [_walk(held, needles) for held in value]
    if not isinstance(value, str):
        return value
    if value.startswith(("{", "[")):
        with suppress(ValueError):
            return json.dumps(_walk(json.loads(value), needles))
    return _lines(value, needles)


def _lines(text: str, needles: Needles) -> str:
    lines = text.split("\n")
    return "\n".join(ERASED if needles.found(line.encode()) else line for line in lines)


def _bytes(cell: str | bytes) -> bytes:
    return cell.encode() if isinstance(cell, str) else cell
