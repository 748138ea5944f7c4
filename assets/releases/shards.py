"""Shards: a release's documents as Parquet files whose bytes depend on the documents alone."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.documents import DOCUMENT
from assets.releases.manifest import Counts, Shard, SourceCount

SHARD_BYTES = 64 * 1024 * 1024
ROW_GROUP_ROWS = 8192
BATCH_ROWS = 4096
ZSTD_LEVEL = 3


class NotReleasable(ValueError):
    """The documents handed over can't make a release: none at all, a column short, or an id given twice."""


def write_shards(
    documents: pa.Table | Iterable[pa.Table], folder: Path, shard_bytes: int = SHARD_BYTES
) -> tuple[Shard, ...]:
    """Writes documents, sorted by id, as `part-00000.parquet`, … and returns what was written.

    An id is a hash, so its order mixes the sources, and any run of rows is a fair sample. Neither the
    order nor the chunks that the documents come in leave a trace. The sort spills to disk.

    Args:
        documents: Tables with every column of the DOCUMENT schema; further columns are kept.
        folder: An empty folder inside the release's.
        shard_bytes: A shard is closed once its text reaches this many bytes.

    Raises:
        NotReleasable: No documents, a column missing or of another type, a null where the schema allows
            none, or a `doc_id` given twice.
    """
    tables = iter([documents] if isinstance(documents, pa.Table) else documents)
    first = next(tables, None)
    if first is None:
        raise NotReleasable("no documents")
    schema = _release_schema(first.schema)
    shards: list[Shard] = []
    last_id = None
    for table in _cut(_sorted_by_id(chain([first], tables), schema, folder), shard_bytes):
        ids = table.column("doc_id").to_pylist()
        for before, after in zip([last_id, *ids], ids, strict=False):
            if before == after:
                raise NotReleasable(f"doc_id {after} is given twice")
        last_id = ids[-1]
        path = folder / f"part-{len(shards):05d}.parquet"
        _write(table, path)
        name = path.relative_to(folder.parent).as_posix()
        shards.append(Shard(name, table.num_rows, path.stat().st_size, file_sha256(path)))
    if not shards:
        raise NotReleasable("no documents")
    return tuple(shards)


def without(path: Path, doc_ids: Collection[str], target: Path) -> int:
    """Writes a shard without some documents and returns how many those were; where there are none, nothing."""
    gone = pa.array(sorted(doc_ids), pa.string())
    if not pc.any(pc.is_in(pq.read_table(path, columns=["doc_id"])["doc_id"], gone)).as_py():
        return 0
    table = pq.read_table(path)
    left = table.filter(pc.invert(pc.is_in(table["doc_id"], gone)))
    _write(left.combine_chunks(), target)
    return table.num_rows - left.num_rows


def _write(table: pa.Table, path: Path) -> None:
    pq.write_table(
        table, path, compression="zstd", compression_level=ZSTD_LEVEL, row_group_size=ROW_GROUP_ROWS
    )


def count(folder: Path) -> Counts:
    """What lies in a folder of shards, read back from the files."""
    import pyarrow.dataset as ds  # It brings pandas with it.

    paths = sorted(folder.glob("*.parquet"))
    with duckdb.connect() as con:
        con.register("shards", ds.dataset([str(path) for path in paths], format="parquet"))

        def tally(column: str, where: str = "true") -> dict[str, int]:
            query = f"select {column}, count(*) from shards where {where} group by 1 order by 1"
            return dict(con.execute(query).fetchall())

        documents, text_bytes, synthetic = con.execute(
            "select count(*), sum(strlen(text))::bigint, count(*) filter (synthetic) from shards"
        ).fetchall()[0]
        by_source = con.execute(
            "select source, license, count(*), sum(strlen(text))::bigint, "
            "min(collected_at)::varchar, max(collected_at)::varchar from shards group by all order by all"
        ).fetchall()
        return Counts(
            documents=documents,
            text_bytes=text_bytes,
            shard_bytes=sum(path.stat().st_size for path in paths),
            synthetic=synthetic,
            source=tally("source"),
            license=tally("license"),
            language=tally("coalesce(language, 'und')"),
            kind=tally("kind"),
            consent=tally("consent"),
            generator=tally("coalesce(generator, 'unknown')", "synthetic"),
            sources=tuple(SourceCount(*row) for row in by_source),
        )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _release_schema(given: pa.Schema) -> pa.Schema:
    missing = [name for name in DOCUMENT.names if name not in given.names]
    if missing:
        raise NotReleasable(f"documents lack {', '.join(missing)}")
    further = [given.field(name).remove_metadata() for name in given.names if name not in DOCUMENT.names]
    return pa.schema([*DOCUMENT, *further])


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, KeyError) as error:
        raise NotReleasable(f"documents do not fit the schema: {error}") from error


def _sorted_by_id(tables: Iterable[pa.Table], schema: pa.Schema, folder: Path) -> Iterator[pa.Table]:
    """The rows in the order of their ids, a few thousand a table; what memory can't hold spills to disk."""
    batches = (batch for table in tables for batch in _conform(table, schema).to_batches())
    # Through a C stream an exception would lose its type on the way to DuckDB and back.
    failure: list[NotReleasable] = []

    def guarded() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except NotReleasable as error:
            failure.append(error)
            raise

    # The spilled rows are documents too: they stay inside the folder that a failed build leaves to the sweep.
    with duckdb.connect(config={"temp_directory": str(folder / ".spill")}) as con:
        con.register("documents", pa.RecordBatchReader.from_batches(schema, guarded()))
        try:
            ordered = con.execute("select * from documents order by doc_id").to_arrow_reader(BATCH_ROWS)
        except duckdb.Error:
            if failure:
                raise failure[0] from None
            raise
        for batch in ordered:
            yield pa.Table.from_batches([batch]).cast(schema)


def _cut(tables: Iterable[pa.Table], shard_bytes: int) -> Iterator[pa.Table]:
    """Cuts a stream of rows after the row that fills a shard, wherever the stream's own chunks end."""
    parts: list[pa.Table] = []
    held = 0
    for table in tables:
        sizes = np.cumsum(pc.binary_length(table.column("text")).to_numpy().astype(np.int64))
        start, offset = 0, 0
        while start < table.num_rows:
            end = min(int(np.searchsorted(sizes, shard_bytes - held + offset)) + 1, table.num_rows)
            parts.append(table.slice(start, end - start))
            held += int(sizes[end - 1]) - offset
            start, offset = end, int(sizes[end - 1])
            if held >= shard_bytes:
                yield pa.concat_tables(parts).combine_chunks()
                parts, held = [], 0
    if parts:
        yield pa.concat_tables(parts).combine_chunks()
