"""The lake: DuckLake tables, each write one transaction that names the run behind it.

The catalogue is SQLite by default; `WINNOW_CATALOG` may hold another DuckLake catalogue, such as
`postgres:dbname=winnow`, for a team. Data files are Parquet below `<root>/data`.
"""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

T = TypeVar("T")

RUN_ID = pa.field("run_id", pa.string(), nullable=False)

# A commit that meets another one is retried: SQLite admits one writer at a time, and DuckLake refuses
# a commit whose snapshot number another process has just taken.
COMMIT_ATTEMPTS = 12
CONFLICTS = (
    "locked",
    "busy",
    "conflict",
    "concurrent",
    "primary key",
    "unique constraint",
    "could not serialize",
)


@dataclass(frozen=True)
class Write:
    """What a write left behind: the lake's snapshot, the rows and bytes, and a version made of content."""

    table: str
    snapshot: int
    rows: int
    bytes: int
    data_version: str


@dataclass(frozen=True)
class Snapshot:
    """One committed change of the lake; `run_id` is the run that made it, where one did."""

    id: int
    time: datetime
    changes: str
    author: str | None
    message: str | None
    run_id: str | None


@dataclass(frozen=True)
class Lake:
    """A DuckLake below one folder: `catalog.sqlite`, `data/` and DuckDB's unpacked extensions."""

    root: Path

    @property
    def catalog(self) -> str:
        """The DuckLake catalogue's address, without the `ducklake:` prefix."""
        return os.environ.get("WINNOW_CATALOG") or f"sqlite:{self.root / 'catalog.sqlite'}"

    @property
    def extensions(self) -> Path:
        """Where DuckDB unpacks the extensions that the environment's wheels carry."""
        return self.root / "extensions"

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A DuckDB connection with the lake as its current catalogue; closed at the end of the block.

        A process attaches a lake once, since loading the extensions takes half a second; each block
        gets a connection of its own and sees whatever is committed when its transaction begins.
        """
        connection = _attached(self, os.getpid()).cursor()
        try:
            connection.execute("USE lake")
            yield connection
        finally:
            connection.close()

    def attach_statement(self) -> str:
        """The SQL that attaches this lake as `lake`; every row goes to a Parquet file, none inline."""
        options = [
            f"DATA_PATH '{self.root / 'data'}/'",
            "OVERRIDE_DATA_PATH true",
            "DATA_INLINING_ROW_LIMIT 0",
        ]
        if self.catalog.startswith("sqlite:"):
            options += ["META_JOURNAL_MODE 'WAL'", "META_BUSY_TIMEOUT 10000"]
        return f"ATTACH IF NOT EXISTS 'ducklake:{self.catalog}' AS lake ({', '.join(options)})"

    def query(self, sql: str, parameters: Sequence[object] | dict[str, object] = ()) -> pa.Table:
        """The result of a SELECT over the lake; a table that isn't there raises `duckdb.CatalogException`."""
        with self.connect() as connection:
            return connection.execute(sql, parameters).to_arrow_table()

    def exists(self, table: str) -> bool:
        """Whether a table, given as `schema.name`, is in the lake."""
        schema, name = table.split(".")
        found = (
            "SELECT 1 FROM duckdb_tables() "
            "WHERE database_name = 'lake' AND schema_name = ? AND table_name = ?"
        )
        return self.query(found, [schema, name]).num_rows > 0

    def data_version(self, table: str, source: str | None = None) -> str:
        """A version made of content: the row count and an order-free sum of row hashes, without run ids."""
        with self.connect() as connection:
            return _data_version(connection, table, source)

    def replace(
        self,
        table: str,
        data: pa.Table | Iterable[pa.Table],
        *,
        run_id: str,
        source: str | None = None,
        schema: pa.Schema | None = None,
    ) -> Write:
        """Replaces a table's rows, or one source's rows, in one transaction.

        The Parquet file is written first and the transaction only swaps it in, so a writer killed at
        any moment leaves the lake as it was; the orphaned file is removed by `clean`.

        Args:
            table: `schema.name`; made on first use from the data's Arrow schema plus `run_id`, and
                partitioned by `source` where one is given. New columns are added to an existing table.
            data: A table, or tables that share a schema and are written as they come.
            run_id: The run that writes; a column of every row and the commit's `extra_info`.
            source: The partition to replace; None replaces the whole table.
            schema: The data's schema; needed where `data` may be an empty iterable.
        """
        return self._write(table, data, run_id=run_id, source=source, schema=schema, keep=False)

    def append(self, table: str, data: pa.Table, *, run_id: str) -> Write:
        """Adds rows to a table that keeps its history, in one transaction."""
        return self._write(table, data, run_id=run_id, source=None, schema=None, keep=True)

    def _write(
        self,
        table: str,
        data: pa.Table | Iterable[pa.Table],
        *,
        run_id: str,
        source: str | None,
        schema: pa.Schema | None,
        keep: bool,
    ) -> Write:
        tables = iter([data] if isinstance(data, pa.Table) else data)
        first = next(tables, None)
        if first is None:
            if schema is None:
                raise ValueError(f"{table}: no data and no schema")
            first = schema.empty_table()
        file_schema = pa.schema([*first.schema, RUN_ID])
        folder = self.root / "data" / Path(*table.split(".")) / (f"source={source}" if source else "")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{uuid.uuid4()}.parquet"
        rows = 0
        with pq.ParquetWriter(path, file_schema, compression="zstd") as writer:
            for part in chain([first], tables):
                rows += part.num_rows
                run_ids = pa.repeat(run_id, part.num_rows)
                writer.write_table(part.append_column(RUN_ID, run_ids).cast(file_schema))
        size = path.stat().st_size
        if rows == 0:
            path.unlink()
        swap = _Swap(table, path if rows else None, source, run_id, keep)
        with self.connect() as connection:
            _create(connection, table, file_schema, partitioned=source is not None)
            snapshot = _retry(lambda: swap.commit(connection))
            return Write(table, snapshot, rows, size if rows else 0, _data_version(connection, table, source))

    def snapshots(self) -> list[Snapshot]:
        """Every snapshot still kept, oldest first."""
        rows = self.query(
            "SELECT snapshot_id, epoch_ms(snapshot_time), changes::VARCHAR, author, commit_message, "
            "commit_extra_info FROM lake.snapshots() ORDER BY snapshot_id"
        )
        return [
            Snapshot(id_, datetime.fromtimestamp(milliseconds / 1000, UTC), *rest)
            for id_, milliseconds, *rest in (row.values() for row in rows.to_pylist())
        ]

    def clean(self) -> int:
        """Removes data files that no snapshot names, as a killed writer leaves them; returns how many."""
        with self.connect() as connection:
            return len(
                connection.execute(
                    "CALL ducklake_delete_orphaned_files('lake', cleanup_all => true)"
                ).fetchall()
            )


@cache
def _attached(lake: Lake, _process: int) -> duckdb.DuckDBPyConnection:
    lake.root.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(
        config={"extension_directory": str(lake.extensions), "autoinstall_known_extensions": False}
    )
    load_extensions(connection, lake.catalog)
    _retry(lambda: connection.execute(lake.attach_statement()))
    # DuckLake stores the path it was made with; every attachment overrides it, so it need not be kept.
    stored = "__ducklake_metadata_lake.ducklake_metadata"
    if connection.execute(f"SELECT value FROM {stored} WHERE key = 'data_path'").fetchone() != ("data/",):
        _retry(lambda: connection.execute(f"UPDATE {stored} SET value = 'data/' WHERE key = 'data_path'"))
    return connection


def load_extensions(connection: duckdb.DuckDBPyConnection, catalog: str) -> None:
    """Loads DuckLake and the catalogue's own extension from the wheels that carry them."""
    from duckdb_extensions import import_extension

    needed = {"ducklake": "ducklake", catalog.split(":", 1)[0]: f"{catalog.split(':', 1)[0]}_scanner"}
    for name, loaded_as in needed.items():
        if name == "duckdb":
            continue
        try:
            connection.load_extension(loaded_as)
        except duckdb.IOException:
            # First use in this lake: unpack it next to the data, never into the user's home.
            import_extension(name, con=connection)
            connection.load_extension(loaded_as)


def _data_version(connection: duckdb.DuckDBPyConnection, table: str, source: str | None) -> str:
    where = "WHERE source = ?" if source else ""
    rows, digest = connection.execute(
        "SELECT count(*), coalesce(sum(hash(content)), 0) % 18446744073709551616::HUGEINT "
        f"FROM (SELECT * EXCLUDE (run_id) FROM {table} {where}) AS content",
        [source] if source else [],
    ).fetchone()  # type: ignore[misc]
    return f"{rows}-{int(digest):016x}"


def _create(
    connection: duckdb.DuckDBPyConnection, table: str, schema: pa.Schema, *, partitioned: bool
) -> None:
    existing = connection.execute(
        "SELECT column_name FROM duckdb_columns() "
        "WHERE database_name = 'lake' AND schema_name = ? AND table_name = ?",
        table.split("."),
    ).fetchall()
    connection.register("written", schema.empty_table())
    if existing:
        known = {name for (name,) in existing}
        described = connection.execute("DESCRIBE SELECT * FROM written").fetchall()
        for name, type_ in ((row[0], row[1]) for row in described if row[0] not in known):
            _retry(lambda n=name, t=type_: connection.execute(f'ALTER TABLE {table} ADD COLUMN "{n}" {t}'))
        return

    def create() -> None:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {table.split('.')[0]}")
        connection.execute("BEGIN")
        try:
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} AS FROM written")
            if partitioned:
                connection.execute(f"ALTER TABLE {table} SET PARTITIONED BY (source)")
            connection.execute("COMMIT")
        except duckdb.Error:
            _rollback(connection)
            raise

    _retry(create)


@dataclass(frozen=True)
class _Swap:
    """The transaction of a write: old rows out, the new file in, the run named on the commit."""

    table: str
    path: Path | None
    source: str | None
    run_id: str
    keep: bool

    def commit(self, connection: duckdb.DuckDBPyConnection) -> int:
        schema, name = self.table.split(".")
        connection.execute("BEGIN")
        try:
            if self.source is not None:
                connection.execute(f"DELETE FROM {self.table} WHERE source = ?", [self.source])
            elif not self.keep:
                connection.execute(f"DELETE FROM {self.table}")
            if self.path is not None:
                connection.execute(
                    "CALL ducklake_add_data_files('lake', ?, ?, schema => ?, hive_partitioning => ?, "
                    "allow_missing => true)",
                    [name, str(self.path), schema, self.source is not None],
                )
            message = f"{'append to' if self.keep else 'replace'} {self.table}"
            if self.source is not None:
                message += f" of {self.source}"
            connection.execute(
                "CALL lake.set_commit_message('winnow', ?, extra_info => ?)", [message, self.run_id]
            )
            connection.execute("COMMIT")
        except duckdb.Error:
            _rollback(connection)
            raise
        return connection.execute("FROM lake.last_committed_snapshot()").fetchone()[0]  # type: ignore[index]


def _rollback(connection: duckdb.DuckDBPyConnection) -> None:
    # A commit that failed has already ended its transaction.
    with suppress(duckdb.TransactionException):
        connection.execute("ROLLBACK")


def _retry(action: Callable[[], T]) -> T:
    """Runs an action again, with backoff and jitter, while another process holds what it needs."""
    for attempt in range(1, COMMIT_ATTEMPTS + 1):
        try:
            return action()
        except duckdb.Error as error:
            message = str(error).lower()
            if attempt == COMMIT_ATTEMPTS or not any(word in message for word in CONFLICTS):
                raise
            time.sleep(random.uniform(0.02, 0.1) * min(2**attempt, 32))
    raise AssertionError("unreachable")
