"""Readers of records: JSON Lines, Parquet, CSV and TSV, whose columns are mapped to a document's fields."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from assets.engine import open_file
from assets.sources.languages import primary_subtag
from assets.sources.rows import PREFIX_BYTES, Read, Rejected, Row, SourceError, SourceFile
from assets.sources.streams import LONGEST_LINE, Corrupt, Inflated, lines
from assets.sources.turns import conversation, instruction, preference

if TYPE_CHECKING:
    from assets.sources.registry import Source

# Ways to hold turns, each with the columns it needs; the first tells that it is meant.
TURNS = {
    "conversation": ("messages",),
    "preference": ("chosen", "rejected"),
    "instruction": ("instruction", "output"),
}

# Every field of a document that a column can be mapped to.
FIELDS = (
    "text",
    "key",
    "language",
    "url",
    "license",
    "generator",
    "messages",
    "system",
    "instruction",
    "input",
    "output",
    "prompt",
    "chosen",
    "rejected",
)

REQUIRED = {"text", "messages", "instruction", "output", "chosen", "rejected"}
STRINGS = {"text", "system", "instruction", "input", "output"}
INSTRUCTION = ("system", "instruction", "input", "output")

# What bytes that don't decode become under "surrogateescape".
UNDECODED = re.compile("[\udc80-\udcff]")

# Parquet is decoded this many bytes at a time.
PARQUET_BATCH = 1 << 24


def jsonl(file: SourceFile, source: Source) -> Iterator[Read]:
    """JSON Lines: one object a line in UTF-8, plain, gzip or Zstandard; blank lines are no rows."""
    number = 0
    with open_file(file.path) as stream:
        try:
            for number, line in enumerate(lines(Inflated(stream)), 1):
                if line.strip():
                    yield json_row(line, number, file, source)
        except Corrupt as error:
            yield Rejected(
                f"line {number + 1}", f"nothing more can be read: {error}", error.rest[:PREFIX_BYTES]
            )


def parquet(file: SourceFile, source: Source) -> Iterator[Read]:
    """Parquet, a few megabytes at a time; a row whose strings aren't UTF-8 is rejected alone."""
    number = 0
    with open_file(file.path) as stream:
        try:
            table = pq.ParquetFile(stream)
            _require(table.schema_arrow.names, file, source)
            row_bytes = sum(
                table.metadata.row_group(i).total_byte_size for i in range(table.num_row_groups)
            ) // max(table.metadata.num_rows, 1)
            for batch in table.iter_batches(max(1, min(4096, PARQUET_BATCH // max(row_bytes, 1)))):
                for row in _pylist(batch):
                    number += 1
                    position = f"row {number}"
                    if isinstance(row, Rejected):
                        yield Rejected(position, row.error, row.prefix)
                    else:
                        yield _row(row, position, number, file, source)
        except (pa.ArrowInvalid, OSError) as error:
            if getattr(error, "errno", None) is not None:
                raise
            yield Rejected(f"row {number + 1}", f"nothing more can be read: {error}")


def delimited(file: SourceFile, source: Source, delimiter: str) -> Iterator[Read]:
    """CSV or TSV with a header line, quoted as in RFC 4180; a row may span lines.

    Raises:
        SourceError: The header lacks a mapped column or names one twice.
    """
    csv.field_size_limit(LONGEST_LINE)
    encoding = str(source.options.get("encoding", "utf-8"))
    delimiter = str(source.options.get("delimiter", delimiter))
    line = b""

    def decoded(stream: IO[bytes]) -> Iterator[str]:
        nonlocal line
        # Bytes that don't decode travel as surrogates, so that only their own row is rejected.
        for line in lines(Inflated(stream)):
            yield line.decode(encoding, "surrogateescape") + "\n"

    with open_file(file.path) as stream:
        reader = csv.reader(decoded(stream), delimiter=delimiter, strict=True)
        header: list[str] = []
        number = 0
        while True:
            start = reader.line_num + 1
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Rejected(f"line {start}", f"malformed row: {error}", line[:PREFIX_BYTES])
                continue
            except Corrupt as error:
                yield Rejected(
                    f"line {start}", f"nothing more can be read: {error}", error.rest[:PREFIX_BYTES]
                )
                return
            if not values:
                continue
            if not header:
                header = values
                _require(header, file, source)
                continue
            number += 1
            yield _delimited_row(header, values, encoding, f"line {start}", number, file, source)


def json_row(line: bytes, number: int, file: SourceFile, source: Source) -> Row | Rejected:
    """One line of JSON Lines as a row."""
    position, prefix = f"line {number}", line[:PREFIX_BYTES]
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Rejected(position, f"not UTF-8: {error.reason} at byte {error.start} of the line", prefix)
    except (ValueError, RecursionError) as error:
        return Rejected(position, f"malformed JSON: {error}", prefix)
    if not isinstance(record, dict):
        return Rejected(position, f"expected a JSON object, got a {type(record).__name__}", prefix)
    return _row(record, position, number, file, source, prefix)


def _delimited_row(
    header: list[str],
    values: list[str],
    encoding: str,
    position: str,
    number: int,
    file: SourceFile,
    source: Source,
) -> Row | Rejected:
    prefix = ",".join(values)[:PREFIX_BYTES].encode(encoding, "surrogateescape")[:PREFIX_BYTES]
    if len(values) != len(header):
        return Rejected(position, f"{len(values)} values under a header of {len(header)}", prefix)
    if any(UNDECODED.search(value) for value in values):
        return Rejected(position, f"not {encoding}: a byte does not decode", prefix)
    return _row(dict(zip(header, values, strict=True)), position, number, file, source, prefix)


def _pylist(batch: pa.RecordBatch) -> Iterator[dict[str, object] | Rejected]:
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for index in range(batch.num_rows):
            row = batch.slice(index, 1)
            try:
                yield from row.to_pylist()
            except UnicodeDecodeError as error:
                yield Rejected("", f"not UTF-8: {error.reason}", error.object[:PREFIX_BYTES])


def _require(names: list[str], file: SourceFile, source: Source) -> None:
    where = f"source {source.name!r}: {file.name}"
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(f"{where}: the header names {', '.join(twice)} more than once")
    for name, column in _columns(source).items():
        if column not in names and column.split(".")[0] not in names:
            raise SourceError(
                f"{where}: the header has no column {column!r} (mapped to {name}); it has {', '.join(names)}"
            )


def _columns(source: Source) -> Mapping[str, str]:
    turns = any(needed[0] in source.columns for needed in TURNS.values())
    return source.columns if turns or "text" in source.columns else {"text": "text", **source.columns}


def _row(
    record: Mapping[str, object],
    position: str,
    number: int,
    file: SourceFile,
    source: Source,
    prefix: bytes = b"",
) -> Row | Rejected:
    """A record as a row: mapped columns become fields, turns are put together, the rest is metadata."""
    columns = _columns(source)
    values = {name: _get(record, column) for name, column in columns.items()}
    taken = set(columns)
    fields: dict[str, object] = {"key": f"{file.name}#{number}"}
    extra: dict[str, object] = {}
    try:
        if "key" in columns:
            fields["key"] = _key(values["key"], columns["key"])
        for name in REQUIRED & values.keys():
            if values[name] is None:
                raise ValueError(
                    f"no value in column {columns[name]!r}; the row has {', '.join(list(record)[:20])}"
                )
        for name in STRINGS & values.keys():
            if not isinstance(values[name], str | None):
                raise ValueError(
                    f"column {columns[name]!r} holds a {type(values[name]).__name__}, not a string"
                )
        if "messages" in columns:
            fields["messages"] = conversation(values["messages"], values.get("system"))
        elif "chosen" in columns:
            fields["messages"], extra["rejected"] = preference(
                values["chosen"], values["rejected"], values.get("prompt"), values.get("system")
            )
        elif "instruction" in columns:
            fields["messages"] = instruction(*(str(values.get(name) or "") for name in INSTRUCTION))
        else:
            fields["text"] = values["text"]
    except ValueError as error:
        return Rejected(position, str(error), prefix or str(record).encode("utf-8", "replace")[:PREFIX_BYTES])
    for name in ("language", "url", "license", "generator"):
        value = values.get(name)
        held = primary_subtag(value) if name == "language" and isinstance(value, str) else value
        if isinstance(held, str) and held:
            fields[name] = held
        else:
            taken.discard(name)  # What can't be used stays visible in the metadata.
    rest = dict(record)
    for name in taken:
        rest = _without(rest, columns[name])
    return Row(position=position, metadata=rest | extra, **fields)  # type: ignore[arg-type]


def _get(record: object, column: str) -> object:
    """A column's value; a name with dots that is no column is a path into objects and lists."""
    if isinstance(record, Mapping):
        if column in record:
            return record[column]
        head, _, path = column.partition(".")
        return _get(record[head], path) if path and head in record else None
    if isinstance(record, list):
        head, _, path = column.partition(".")
        if head.isdecimal() and int(head) < len(record):
            return _get(record[int(head)], path) if path else record[int(head)]
    return None


def _without(record: Mapping[str, object], column: str) -> dict[str, object]:
    """A record less one column; a path takes out its leaf, and what it leaves empty."""
    head, _, path = column.partition(".")
    if column in record or head not in record:
        return {name: value for name, value in record.items() if name != column}
    rest = _pruned(record[head], path)
    kept = {name: value for name, value in record.items() if name != head}
    return kept if rest in ({}, [], None) else {**kept, head: rest}


def _pruned(value: object, path: str) -> object:
    if isinstance(value, Mapping):
        return _without(value, path)
    if isinstance(value, list):
        head, _, path = path.partition(".")
        items = [
            (_pruned(item, path) if path else None) if str(index) == head else item
            for index, item in enumerate(value)
        ]
        return [] if all(item in ({}, [], None) for item in items) else items
    return value


def _key(value: object, column: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError(f"no key in column {column!r}: expected a string or a whole number")
    return str(value)
