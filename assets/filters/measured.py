"""Measured once: what of a source's documents the lake knows already, and the measurement of the rest.

The unit is a text, by its content hash, and a group of signals, by its version. A text that any document in
the lake had before is not read again; a group whose version was raised is measured again, alone.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version as version_of
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from assets import engine
from assets.filters import language
from assets.filters.signals import SCHEMA as SIGNAL_COLUMNS
from assets.filters.signals import SIGNALS, VERSIONS, measure
from assets.lake import Lake, streamed

TABLE = "filtered.signals"
LANGUAGE = "language"

MEASURED = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        *SIGNAL_COLUMNS,
        *language.SCHEMA,
        pa.field("signal_version", pa.string(), nullable=False),
    ]
)

# A text's values, whatever documents have it.
VALUES = pa.schema([each for each in MEASURED if each.name not in ("doc_id", "source", "signal_version")])

# Rows at a time: of texts few, since they may be long.
ROWS, ROWS_WRITTEN = 2048, 65_536


def versions() -> dict[str, str]:
    """The version of each group as it is now."""
    return {**VERSIONS, LANGUAGE: f"{language.VERSION}-{version_of(language.MODEL_DISTRIBUTION)}"}


def stamp(versions: Mapping[str, str]) -> str:
    """Versions as they stand in a row: `composition=1-5f1c0a language=1-1.0.0 …`."""
    return " ".join(f"{group}={version}" for group, version in sorted(versions.items()))


def stale(stamped: str | None, now: Mapping[str, str]) -> frozenset[str]:
    """The groups whose version isn't the one that a row was measured at; all of them for no row."""
    then = dict(pair.partition("=")[::2] for pair in (stamped or "").split())
    return frozenset(group for group, version in now.items() if then.get(group) != version)


def columns_of(group: str) -> list[str]:
    """The columns that a group measures."""
    if group == LANGUAGE:
        return list(language.SCHEMA.names)
    return [signal.name for signal in SIGNALS if signal.group == group]


def measure_groups(texts: pa.Table, groups: frozenset[str]) -> pa.Table:
    """A table's `text` as what some groups measure of it, beside its other columns."""
    made = texts.drop_columns(["text"])
    found = []
    if signals := groups - {LANGUAGE}:
        found.append(measure(texts["text"], signals))
    if LANGUAGE in groups:
        found.append(language.identify(texts["text"]))
    for table in found:
        for name, column in zip(table.column_names, table.columns, strict=True):
            made = made.append_column(name, column)
    return made


@dataclass
class Measurement:
    """One pass over a source: tables of schema MEASURED, sorted by doc_id, a row for each document.

    After the last table, `texts` counts the texts that each group was measured on, `documents` all documents
    and `taken_over` those of which nothing had to be measured.
    """

    lake: Lake
    source: str
    runner: str = "native"
    workers: int = 1
    texts: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    taken_over: int = 0

    def __iter__(self) -> Iterator[pa.Table]:
        now = versions()
        # One snapshot: what is known when it is looked up must still be there to be taken over.
        with self.lake.reading() as connection, tempfile.TemporaryDirectory(prefix="winnow-") as folder:
            connection.execute(f"CREATE TEMP TABLE texts AS {_texts(self.lake)}", [self.source, stamp(now)])
            staged = Path(folder) / "measured.parquet"
            with pq.ParquetWriter(staged, VALUES) as writer:
                for stamped, groups in self._behind(connection, now):
                    for table in self._measure(connection, stamped, groups):
                        writer.write_table(table.select(VALUES.names).cast(VALUES))
            yield MEASURED.empty_table()
            yield from self._joined(connection, staged, stamp(now))

    def _behind(
        self, connection: duckdb.DuckDBPyConnection, now: Mapping[str, str]
    ) -> list[tuple[str | None, frozenset[str]]]:
        """The stamps that texts stand at, none for a new one, with the groups they lack."""
        counted = "SELECT stamp, sum(documents)::BIGINT FROM texts GROUP BY stamp ORDER BY stamp"
        found = []
        for stamped, documents in connection.execute(counted).fetchall():
            groups = stale(stamped, now)
            self.documents += documents
            self.taken_over += 0 if groups else documents
            found += [(stamped, groups)] if groups else []
        return found

    def _measure(
        self, connection: duckdb.DuckDBPyConnection, stamped: str | None, groups: frozenset[str]
    ) -> Iterator[pa.Table]:
        """The texts of one stamp: the groups they lack measured, the others' values taken over."""
        known = [name for group in versions().keys() - groups for name in columns_of(group)]
        query = (
            f"SELECT texts.content_hash, documents.text{''.join(f', before.{name}' for name in known)} "
            "FROM raw.documents AS documents JOIN texts ON documents.doc_id = texts.doc_id "
            + (f"JOIN {TABLE} AS before ON before.doc_id = texts.known_as " if known else "")
            + "WHERE documents.source = ? AND texts.stamp IS NOT DISTINCT FROM ?"
        )
        batches = streamed(connection, query, [self.source, stamped], ROWS)
        measured = engine.map_batches(
            partial(measure_groups, groups=groups), batches, runner=self.runner, workers=self.workers
        )
        for batch, table in measured:
            self.texts.update(dict.fromkeys(groups, batch.num_rows))
            yield table

    def _joined(
        self, connection: duckdb.DuckDBPyConnection, staged: Path, stamped: str
    ) -> Iterator[pa.Table]:
        """Every document of the source with the values of its text, measured now or before."""
        names = ", ".join(VALUES.names[1:])
        values = f"SELECT content_hash, {names} FROM read_parquet($staged)"
        if self.taken_over:
            values += (
                f" UNION ALL SELECT texts.content_hash, {names} FROM texts "
                f"JOIN {TABLE} AS before ON before.doc_id = texts.known_as WHERE texts.stamp = $stamp"
            )
        query = (
            f"SELECT documents.doc_id, documents.source, known.*, $stamp AS signal_version "
            f"FROM raw.documents AS documents JOIN ({values}) AS known USING (content_hash) "
            "WHERE documents.source = $source ORDER BY documents.doc_id"
        )
        parameters = {"staged": str(staged), "stamp": stamped, "source": self.source}
        for table in streamed(connection, query, parameters, ROWS_WRITTEN):
            yield table.cast(MEASURED)


def _texts(lake: Lake) -> str:
    """The SQL for each different text of a source: a document that has it, how many do, and the one document
    in the lake whose values it can take over, at the present stamp where there is one."""
    known = lake.or_nothing(TABLE, "doc_id", "content_hash", "signal_version")
    return f"""
        WITH present AS (
            SELECT content_hash, min(doc_id) AS doc_id, count(*) AS documents
            FROM raw.documents WHERE source = $1 GROUP BY content_hash
        ), known AS (
            SELECT
                content_hash,
                arg_min(
                    {{doc_id: doc_id, stamp: signal_version}}, (signal_version IS DISTINCT FROM $2, doc_id)
                ) AS before
            FROM {known} SEMI JOIN present USING (content_hash)
            GROUP BY content_hash
        )
        SELECT present.*, before.doc_id AS known_as, before.stamp
        FROM present LEFT JOIN known USING (content_hash)
    """
