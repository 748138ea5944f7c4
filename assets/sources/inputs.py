"""Any files as plain documents, an id and a text each: what the commands that need no source entry read.

JSON Lines and Parquet go through Arrow a block at a time. A block that holds anything but good rows is read
again row by row, by the same reader as a source's files, so that each bad row is named.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from assets.documents import render
from assets.engine import open_file
from assets.sources.files import find_files
from assets.sources.readers import READERS, FileReader
from assets.sources.records import TURNS, json_row
from assets.sources.registry import Source
from assets.sources.rows import PREFIX_BYTES, Read, Rejected, Row, SourceError, SourceFile
from assets.sources.streams import LONGEST_LINE, Corrupt, Inflated, lines

TEXT = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("text", pa.string(), nullable=False)])

REFUSED = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("position", pa.string(), nullable=False),
        pa.field("error", pa.string(), nullable=False),
        pa.field("prefix", pa.binary()),
    ]
)

# What the column is called in the field's data sets, the likeliest first.
TEXT_COLUMNS = ("text", "content", "raw_content", "body")
ID_COLUMNS = ("id", "doc_id", "document_id", "_id", "uid", "uuid")

FILE_READERS: Mapping[str, FileReader] = {
    name: reader for name, reader in READERS.items() if isinstance(reader, FileReader)
}
SUFFIXES: Mapping[str, str] = {
    suffix: name for name, reader in FILE_READERS.items() for suffix in reader.suffixes
}

BLOCK = 8 << 20
ROWS = 4096
LOOKED_AT = 100


@dataclass(frozen=True)
class Input:
    """A file to read: how, and which columns hold the text, or the turns that make it, and the id."""

    file: SourceFile
    source: Source
    id_column: str | None = None
    whole_ids: bool = False

    @property
    def text_column(self) -> str | None:
        """The column of the text; None where turns make it or the format has no columns."""
        return self.source.columns.get("text")


def find_inputs(
    paths: Sequence[str],
    *,
    reader: str | None = None,
    text_column: str | None = None,
    id_column: str | None = None,
) -> tuple[list[Input], list[tuple[str, Rejected]]]:
    """The files that paths, folders, globs or URIs name, each looked into for its columns; and those refused.

    Args:
        paths: Of a folder, the files that a reader knows by their suffix are taken.
        reader: One of FILE_READERS for all files; by default each file's suffix tells.
        text_column: The column of the text; by default one of TEXT_COLUMNS, else turns as in TURNS.
        id_column: The column of the id; by default one of ID_COLUMNS where it is there.

    Raises:
        SourceError: A path names no file, a file's reader can't be told, or a column is not there.
    """
    if reader is not None and reader not in FILE_READERS:
        raise SourceError(f"no reader {reader!r}; there are {', '.join(FILE_READERS)}")
    suffixes = tuple(SUFFIXES) if reader is None else FILE_READERS[reader].suffixes
    everything = Source(
        name="input", reader=reader or "readable", kind="document", profile="", uri=tuple(paths)
    )
    inputs: list[Input] = []
    refused: list[tuple[str, Rejected]] = []
    for found in find_files(everything, Path.cwd(), suffixes):
        if isinstance(found.refusal, Rejected):
            refused.append((found.file.name, found.refusal))
        elif found.refusal is None:
            source = replace(everything, reader=reader or _reader(found.file))
            inputs.append(_looked_into(found.file, source, text_column, id_column))
    return inputs, refused


class Reading:
    """One pass over inputs: tables of schema TEXT, some megabytes of text each, ids unique over all of them.

    A row without an id is called by its file and row. After the last table `quarantine` (schema REFUSED)
    holds every row that could not be read or whose id is taken, and `rows` counts what each file gave: rows
    in, documents, quarantined. Ids seen are held in memory.
    """

    def __init__(self, inputs: Sequence[Input], refused: Iterable[tuple[str, Rejected]] = ()) -> None:
        self.inputs = inputs
        self.documents: dict[str, int] = {input.file.name: 0 for input in inputs}
        self._refused: list[tuple[str, Rejected]] = list(refused)
        self._taken: dict[str, int] = {}

    @property
    def quarantine(self) -> pa.Table:
        """The rows refused so far."""
        rows = [
            {"file": file, "position": row.position, "error": row.error, "prefix": row.prefix[:PREFIX_BYTES]}
            for file, row in self._refused
        ]
        return pa.Table.from_pylist(rows, schema=REFUSED)

    def __iter__(self) -> Iterator[pa.Table]:
        for input in self.inputs:
            name = input.file.name
            try:
                for block in _blocks(input):
                    self._refused += [(name, row) for row in block.refused]
                    table = self._untaken(name, block)
                    self.documents[name] += table.num_rows
                    if table.num_rows:
                        yield table
            except OSError as error:
                raise SourceError(f"{name}: {error.strerror or error}") from error

    def _untaken(self, name: str, block: _Block) -> pa.Table:
        """A block's documents less those whose id another document has."""
        ids = block.table["id"].to_pylist()
        start = len(self._taken)
        fresh = dict(zip(ids, range(start, start + len(ids)), strict=True))
        if len(fresh) == len(ids) and fresh.keys().isdisjoint(self._taken):
            self._taken |= fresh
            return block.table
        free = []
        for row, id in enumerate(ids):
            free.append(id not in self._taken)
            number = self._taken.setdefault(id, len(self._taken))
            if not free[-1]:
                prefix = block.table["text"][row].as_py()[:PREFIX_BYTES].encode()[:PREFIX_BYTES]
                error = f"its id {id!r} is that of document {number + 1}"
                self._refused.append((name, Rejected(block.position(row), error, prefix)))
        return block.table.filter(pa.array(free))


@dataclass(frozen=True)
class _Block:
    """Some rows of a file: the good ones as a table of schema TEXT with their positions, and the others."""

    table: pa.Table
    position: Callable[[int], str]
    refused: Sequence[Rejected] = ()


def _reader(file: SourceFile) -> str:
    name = file.name.lower()
    for suffix, reader in SUFFIXES.items():
        if name.endswith(suffix):
            return reader
    raise SourceError(f"{file.name}: its name tells no reader; name one of {', '.join(FILE_READERS)}")


def _looked_into(file: SourceFile, source: Source, text_column: str | None, id_column: str | None) -> Input:
    """An input with its columns, as the first rows of the file show them."""
    if not FILE_READERS[source.reader].columns:
        return Input(file, source)
    try:
        first = _first_rows(file, source)
    except (OSError, Corrupt, pa.ArrowInvalid, UnicodeDecodeError, csv.Error):
        # Reading it will say what is wrong, where it is.
        first = []
    names = list(dict.fromkeys(name for row in first for name in row))
    if not names:
        return Input(file, replace(source, columns={"text": text_column or TEXT_COLUMNS[0]}), id_column)
    for wanted, option in ((text_column, "text"), (id_column, "id")):
        if wanted is not None and wanted.split(".")[0] not in names and wanted not in names:
            raise SourceError(f"{file.name}: no column {wanted!r} for the {option}; it has {_some(names)}")
    columns = {"text": text_column} if text_column else _columns(names)
    if columns is None:
        raise SourceError(f"{file.name}: no text column; it has {_some(names)}: name one with --text-column")
    id_column = id_column or next((name for name in ID_COLUMNS if name in names), None)
    whole = any(type(row.get(id_column)) is int for row in first)
    return Input(file, replace(source, columns=columns), id_column, whole)


def _some(names: list[str]) -> str:
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "")


def _columns(names: list[str]) -> dict[str, str] | None:
    for name in TEXT_COLUMNS:
        if name in names:
            return {"text": name}
    for needed in TURNS.values():
        if all(name in names for name in needed):
            others = [name for name in ("system", "input", "prompt") if name in names]
            return {name: name for name in (*needed, *others)}
    return None


def _first_rows(file: SourceFile, source: Source) -> list[Mapping[str, object]]:
    """Some rows from the beginning of a file of records, or its columns as a row without values."""
    with open_file(file.path) as stream:
        if source.reader == "parquet":
            import pyarrow.parquet as pq

            schema = pq.ParquetFile(stream).schema_arrow
            return [{each.name: 0 if pa.types.is_integer(each.type) else None for each in schema}]
        if source.reader == "jsonl":
            found = (_object(line) for line in islice(lines(Inflated(stream)), LOOKED_AT))
            return [row for row in found if row]
        delimiter = "\t" if source.reader == "tsv" else ","
        decoded = (line.decode("utf-8", "replace") for line in lines(Inflated(stream)))
        return [dict.fromkeys(header) for header in islice(csv.reader(decoded, delimiter=delimiter), 1)]


def _object(line: bytes) -> Mapping[str, object]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _blocks(input: Input) -> Iterator[_Block]:
    plain = input.text_column is not None and "." not in input.text_column
    if input.file.size == 0:
        return
    if input.source.reader == "jsonl" and plain:
        yield from _json_blocks(input)
    elif input.source.reader == "parquet" and plain:
        yield from _parquet_blocks(input)
    else:
        yield from _gathered(FILE_READERS[input.source.reader].read(input.file, input.source), input)


def _json_blocks(input: Input) -> Iterator[_Block]:
    number = 0
    with open_file(input.file.path) as stream:
        try:
            for block in _whole_lines(Inflated(stream)):
                count = block.count(b"\n") + (not block.endswith(b"\n"))
                table = _parsed(block, count, input)
                if table is None:
                    numbered = enumerate(block.split(b"\n"), number + 1)
                    rows = (
                        json_row(line, at, input.file, input.source) for at, line in numbered if line.strip()
                    )
                    yield from _gathered(rows, input)
                else:
                    yield _Block(_named(table, input, number), lambda row, at=number: f"line {at + row + 1}")
                number += count
        except Corrupt as error:
            refused = Rejected(
                f"line {number + 1}", f"nothing more can be read: {error}", error.rest[:PREFIX_BYTES]
            )
            yield _Block(TEXT.empty_table(), str, (refused,))


def _whole_lines(stream: Inflated) -> Iterator[bytes]:
    """A stream in blocks of whole lines, some megabytes each, without a byte-order mark.

    Raises:
        Corrupt: After the last whole line, with what follows it as `rest`; also for a line over 256 MiB.
    """
    parts: list[bytes] = []
    size = 0
    first = True
    try:
        while part := stream.read(BLOCK):
            if first:
                part, first = part.removeprefix(b"\xef\xbb\xbf"), False
            parts.append(part)
            size += len(part)
            if size >= BLOCK and b"\n" in part:
                block = b"".join(parts)
                end = block.rfind(b"\n") + 1
                yield block[:end]
                parts, size = [block[end:]], len(block) - end
            elif size > LONGEST_LINE:
                raise Corrupt(f"a line runs past {LONGEST_LINE >> 20} MiB")
    except Corrupt as error:
        block = b"".join(parts)
        end = block.rfind(b"\n") + 1
        if end:
            yield block[:end]
        error.rest = block[end:] or error.rest
        raise
    if size:
        yield b"".join(parts)


def _parsed(block: bytes, count: int, input: Input) -> pa.Table | None:
    """The columns of a block of lines; None where not every line is a good row."""
    import pyarrow.json as pj

    column = input.text_column
    assert column is not None
    schema = pa.schema([pa.field(column, pa.string())])
    if input.id_column and input.id_column != column:
        schema = schema.append(pa.field(input.id_column, pa.int64() if input.whole_ids else pa.string()))
    try:
        table = pj.read_json(
            pa.BufferReader(block),
            read_options=pj.ReadOptions(use_threads=False, block_size=len(block) + 1),
            parse_options=pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
        )
        table.validate(full=True)  # bytes that are not UTF-8 pass the parser
    except pa.ArrowInvalid:
        return None
    # Blank lines and lines of two objects count otherwise; a null text is no document.
    good = table.num_rows == count and table[column].null_count == 0
    return table if good else None


def _parquet_blocks(input: Input) -> Iterator[_Block]:
    import pyarrow.parquet as pq

    column, number = input.text_column, 0
    wanted = [name for name in (column, input.id_column) if name]
    with open_file(input.file.path) as stream:
        try:
            file = pq.ParquetFile(stream)
            batches = file.iter_batches(ROWS, columns=wanted, use_threads=False)
            for batch in batches if _plain(file.schema_arrow, wanted) else ():
                table = pa.Table.from_batches([batch])
                table.validate(full=True)
                if table[column].null_count:
                    break
                yield _Block(_named(table, input, number), lambda row, at=number: f"row {at + row + 1}")
                number += table.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            if getattr(error, "errno", None) is not None:
                raise
    # From where that stopped, row by row.
    rows = islice(FILE_READERS["parquet"].read(input.file, input.source), number, None)
    yield from _gathered(rows, input)


def _plain(schema: pa.Schema, columns: list[str]) -> bool:
    """Whether the columns are there, strings all of them, or whole numbers for ids."""
    types = [schema.field(name).type for name in columns if name in schema.names]
    kinds = [pa.types.is_string(type) or pa.types.is_large_string(type) for type in types]
    kinds[1:] = [kind or pa.types.is_integer(type) for kind, type in zip(kinds[1:], types[1:], strict=True)]
    return len(kinds) == len(columns) and all(kinds)


def _named(table: pa.Table, input: Input, start: int) -> pa.Table:
    """A block's columns as schema TEXT; a row without an id is called by its file and number."""
    texts = table[input.text_column].cast(pa.string())
    if input.id_column is None:
        ids = pa.chunked_array(
            [[f"{input.file.name}#{start + row + 1}" for row in range(len(texts))]], pa.string()
        )
    else:
        ids = table[input.id_column].cast(pa.string())
        nameless = pc.or_kleene(pc.is_null(ids), pc.equal(ids, ""))
        if pc.any(nameless).as_py():
            places = pa.array([f"{input.file.name}#{start + row + 1}" for row in range(len(ids))])
            ids = pc.if_else(nameless, places, ids)
    return pa.table([ids, texts], schema=TEXT)


def _gathered(reads: Iterator[Read], input: Input) -> Iterator[_Block]:
    """Rows read one by one, in blocks."""
    while some := list(islice(reads, ROWS)):
        refused, good, positions = [], [], []
        for read in some:
            if isinstance(read, Rejected):
                refused.append(read)
            elif isinstance(read, Row):
                made = _document(read, input)
                if isinstance(made, Rejected):
                    refused.append(made)
                else:
                    good.append(made)
                    positions.append(read.position)
        table = pa.Table.from_pylist(good, schema=TEXT)
        yield _Block(table, positions.__getitem__, refused)


def _document(row: Row, input: Input) -> dict[str, str] | Rejected:
    text = render(row.messages) if row.text is None and row.messages is not None else row.text or ""
    held = row.metadata.get(input.id_column) if input.id_column else None
    usable = isinstance(held, str | int) and not isinstance(held, bool) and held != ""
    made = {"id": str(held) if usable else row.key, "text": text}
    for name, value in made.items():
        try:
            value.encode()
        except UnicodeEncodeError:
            prefix = text[:PREFIX_BYTES].encode("utf-8", "surrogatepass")
            return Rejected(row.position, f"{name} holds a lone surrogate, which UTF-8 can't carry", prefix)
    return made
