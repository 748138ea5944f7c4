"""What was examined before and need not be again: a text, under one version of what examines it.

For findings, which a document may have many of or none: that it was looked at is a row of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from assets.lake import Lake

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

    lake: Lake
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
        """What a table says of the documents that were examined already; at least one table, if an empty one.

        Args:
            schema: The columns to read, `doc_id` and `source` among them.
        """
        yield schema.empty_table()
        if self.documents > self.fresh and self.lake.exists(table):
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

    def _read(self, query: str, rows: int, **parameters: str) -> Iterator[pa.Table]:
        result = self.connection.execute(query, {"source": self.source, **parameters})
        for batch in result.to_arrow_reader(rows):
            yield pa.Table.from_batches([batch])


@contextmanager
def examination(lake: Lake, table: str, source: str, version: str) -> Iterator[Examination]:
    """A source's documents as a table (EXAMINED) of those examined before divides them.

    What it reads is read at one snapshot, one reading after the other: each must be finished before the next.
    """
    with lake.connect() as connection:
        connection.execute("BEGIN")
        try:
            seen = "SELECT doc_id, content_hash, language, version FROM " + (
                f"{table} WHERE source = $source"
                if lake.exists(table)
                else "(SELECT NULL::VARCHAR AS doc_id, '' AS content_hash, '' AS language, '' AS version LIMIT 0)"
            )
            connection.execute(
                f"CREATE TEMP TABLE seen AS SELECT doc_id FROM raw.documents AS documents "
                f"JOIN ({seen}) AS seen USING (doc_id, content_hash) WHERE documents.source = $source "
                "AND documents.language IS NOT DISTINCT FROM seen.language AND seen.version = $version",
                {"source": source, "version": version},
            )
            counts = (
                "SELECT count(*), count(*) - (SELECT count(*) FROM seen) FROM raw.documents WHERE source = ?"
            )
            documents, fresh = connection.execute(counts, [source]).fetchone()  # type: ignore[misc]
            yield Examination(lake, connection, source, documents, fresh)
        finally:
            connection.execute("ROLLBACK")
