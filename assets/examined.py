"""What was examined before and need not be again: a text, under one version of what examines it.

For findings, which a document may have many of or none: that it was looked at is a row of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from assets.lake import Lake, streamed

EXAMINED = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("version", pa.string(), nullable=False),
    ]
)
"""A document that was examined: its text, the language it was held to be in, and by which version."""

# Rows at a time: few, since texts may be long.
ROWS, ROWS_TAKEN_OVER = 2048, 16_384


@dataclass(frozen=True)
class Examination:
    """A source's documents, divided into those to examine and those that were, at one snapshot of the lake."""

    connection: duckdb.DuckDBPyConnection
    source: str
    documents: int
    fresh: int

    def to_examine(self) -> Iterator[pa.Table]:
        """The documents that are new or changed, or were examined by another version, some at a time."""
        yield from self._read(
            "FROM raw.documents WHERE source = $source AND doc_id NOT IN (SELECT doc_id FROM seen)", ROWS
        )

    def taken_over(self, table: str, schema: pa.Schema) -> Iterator[pa.Table]:
        """What a table, written together with the record of what was examined, says of the documents that were
        examined already; at least one table, if an empty one.

        Args:
            schema: The columns to read, `doc_id` and `source` among them.
        """
        yield schema.empty_table()
        if self.documents > self.fresh:
            columns = ", ".join(f'"{name}"' for name in schema.names)
            query = f"SELECT {columns} FROM {table} SEMI JOIN seen USING (doc_id) WHERE source = $source"
            for part in self._read(query, ROWS_TAKEN_OVER):
                yield part.cast(schema)

    def record(self, version: str) -> Iterator[pa.Table]:
        """The rows that say that every document was examined (EXAMINED)."""
        yield EXAMINED.empty_table()
        query = "SELECT doc_id, source, content_hash, language, $version AS version FROM raw.documents "
        for part in self._read(query + "WHERE source = $source", ROWS_TAKEN_OVER, version=version):
            yield part.cast(EXAMINED)

    def _read(self, query: str, rows: int, **parameters: object) -> Iterator[pa.Table]:
        return streamed(self.connection, query, {"source": self.source, **parameters}, rows)


@contextmanager
def examination(lake: Lake, table: str, source: str, version: str) -> Iterator[Examination]:
    """A source's documents as a table (EXAMINED) of those examined before divides them.

    What it reads is read at one snapshot, one reading after the other: each must be finished before the next.
    """
    with lake.reading() as connection:
        known = lake.or_nothing(table, *EXAMINED.names)
        connection.execute(
            f"CREATE TEMP TABLE seen AS SELECT doc_id FROM raw.documents AS documents SEMI JOIN {known} AS known "
            "ON known.source = documents.source AND known.doc_id = documents.doc_id "
            "AND known.content_hash = documents.content_hash "
            "AND known.language IS NOT DISTINCT FROM documents.language AND known.version = $version "
            "WHERE documents.source = $source",
            {"source": source, "version": version},
        )
        counts = "SELECT count(*), count(*) - (SELECT count(*) FROM seen) FROM raw.documents WHERE source = ?"
        documents, fresh = connection.execute(counts, [source]).fetchone()  # type: ignore[misc]
        yield Examination(connection, source, documents, fresh)
