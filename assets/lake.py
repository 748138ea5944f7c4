"""The lake: DuckLake tables, each write one transaction that names the run behind it.

The catalogue is SQLite by default; `WINNOW_CATALOG` may hold another DuckLake catalogue, such as
`postgres:dbname=winnow`, for a team. Data files are Parquet below `<root>/data`.
"""

from __future__ import annotations

import os
import random
import re
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from assets import settings

T = TypeVar("T")

# A table, or at least one table of the same schema, written as they come.
Data: TypeAlias = pa.Table | Iterable[pa.Table]

RUN_ID = pa.field("run_id", pa.string(), nullable=False)

# DuckLake's own tables, as its attachment as `lake` names them.
METADATA = "__ducklake_metadata_lake"

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
    # Two processes made the same catalogue, and this one came second.
    "already exists",
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
class _File:
    """A Parquet file that is written and waits for the transaction that makes it part of a table."""

    table: str
    schema: pa.Schema
    path: Path
    rows: int


@dataclass(frozen=True)
class Left:
    """What is left of a table, as SQL: a condition on the rows that are concerned, and a SELECT of all that stay."""

    concerned: str
    query: str


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
    """A DuckLake below one folder: `catalog.sqlite` and `data/`."""

    root: Path

    @property
    def catalog(self) -> str:
        """The DuckLake catalogue's address, without the `ducklake:` prefix.

        Raises:
            ValueError: It holds a password: addresses reach logs. libpq finds one by itself, in
                `PGPASSWORD` or a password file.
        """
        address = os.environ.get("WINNOW_CATALOG") or f"sqlite:{self.root / 'catalog.sqlite'}"
        if re.match(r"postgres:.*(password\s*=|://[^/]*:[^/]*@)", address):
            raise ValueError("WINNOW_CATALOG: leave the password to PGPASSWORD or a password file")
        return address

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

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection that sees one snapshot until the end of the block; temporary tables go with it."""
        with self.connect() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

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

    def query(
        self,
        sql: str,
        parameters: Sequence[object] | dict[str, object] = (),
        given: Mapping[str, pa.Table] = MappingProxyType({}),
    ) -> pa.Table:
        """The result of a SELECT over the lake; a table that isn't there raises `duckdb.CatalogException`.

        Args:
            given: Tables that the SQL may read besides the lake's, by name.
        """
        with self.connect() as connection:
            _give(connection, given)
            return connection.execute(sql, parameters).to_arrow_table()

    def or_nothing(self, table: str, *columns: str) -> str:
        """A table, or where it isn't there yet a relation of these columns of strings without a row, as SQL."""
        if self.exists(table):
            return table
        return f"(SELECT {', '.join(f'NULL::VARCHAR AS {column}' for column in columns)} LIMIT 0)"

    def stream(self, sql: str, parameters: Sequence[object] = (), rows: int = 4096) -> Iterator[pa.Table]:
        """The result of a SELECT, so many rows at a time: for tables that hold texts."""
        with self.connect() as connection:
            yield from streamed(connection, sql, parameters, rows)

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

    def replace(self, table: str, data: Data, *, run_id: str, source: str | None = None) -> Write:
        """Replaces a table's rows, or one source's rows, in one transaction: `replace_all` of one table."""
        return self.replace_all({table: data}, run_id=run_id, source=source)[table]

    def replace_all(
        self, tables: Mapping[str, Data], *, run_id: str, source: str | None = None
    ) -> dict[str, Write]:
        """Replaces several tables' rows, or one source's rows in each, in one transaction.

        The Parquet files are written first, in the order given, and the transaction only swaps them in:
        a writer killed at any moment leaves the lake as it was, and `clean` removes what it orphaned.

        Args:
            tables: The data by `schema.name`. A table is made on first use from its data's Arrow schema
                plus `run_id`, partitioned by `source` where one is given; new columns are added.
            run_id: The run that writes; a column of every row and the commit's `extra_info`.
            source: The partition to replace; None replaces whole tables.
        """
        files = [self._stage(table, data, run_id, source) for table, data in tables.items()]
        return self._commit(files, run_id, source, keep=False)

    def append(self, table: str, data: pa.Table, *, run_id: str) -> Write:
        """Adds rows to a table that keeps its history, in one transaction."""
        file = self._stage(table, data, run_id, None)
        return self._commit([file], run_id, None, keep=True)[table]

    def _stage(self, table: str, data: Data, run_id: str | None, source: str | None) -> _File:
        """Writes a table's file; without a run, the data says of each row which one made it."""
        tables = iter([data] if isinstance(data, pa.Table) else data)
        first = next(tables)
        schema = pa.schema([*first.schema, RUN_ID]) if run_id else first.schema
        folder = self.root / "data" / Path(*table.split(".")) / (f"source={source}" if source else "")
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{uuid.uuid4()}.parquet"
        rows = 0
        # The catalogue would copy each column's first and last value, and those of texts are texts. None at all:
        # where one file of a table knows its own and another doesn't, DuckLake takes the one's for the whole.
        with pq.ParquetWriter(path, schema, compression="zstd", write_statistics=False) as writer:
            for part in chain([first], tables):
                rows += part.num_rows
                if run_id:
                    part = part.append_column(RUN_ID, pa.repeat(run_id, part.num_rows))
                writer.write_table(part.cast(schema))
        return _File(table, schema, path, rows)

    def _commit(self, files: list[_File], run_id: str, source: str | None, *, keep: bool) -> dict[str, Write]:
        message = f"{'append to' if keep else 'replace'} {', '.join(file.table for file in files)}"
        message += f" of {source}" if source else ""

        def swap() -> int:
            with _transaction(connection):
                for file in files:
                    _swap(connection, file, source, keep=keep)
                connection.execute(
                    "CALL lake.set_commit_message('winnow', ?, extra_info => ?)", [message, run_id]
                )
            return connection.execute("FROM lake.last_committed_snapshot()").fetchone()[0]  # type: ignore[index]

        with self.connect() as connection:
            for file in files:
                _create(connection, file, partitioned=source is not None)
            snapshot = _retry(swap)
            writes = {
                file.table: Write(
                    table=file.table,
                    snapshot=snapshot,
                    rows=file.rows,
                    bytes=file.path.stat().st_size,
                    data_version=_data_version(connection, file.table, source),
                )
                for file in files
            }
        for file in files:
            if file.rows == 0:
                file.path.unlink()
        return writes

    def columns(self) -> dict[str, dict[str, str]]:
        """Each table's columns with their SQL types; views are not tables."""
        rows = self.query(
            "SELECT schema_name || '.' || table_name AS name, column_name, data_type FROM duckdb_columns() "
            "SEMI JOIN duckdb_tables() USING (database_name, schema_name, table_name) "
            "WHERE database_name = 'lake' ORDER BY name, column_index"
        )
        found: dict[str, dict[str, str]] = {}
        for row in rows.to_pylist():
            found.setdefault(row["name"], {})[row["column_name"]] = row["data_type"]
        return found

    def rewrite(self, left: Mapping[str, Left], given: Mapping[str, pa.Table], *, message: str) -> None:
        """Replaces tables by what is left of them, in one transaction; rows keep the run that made them.

        Args:
            left: By table; of one in partitions, only those with rows that are concerned are written anew.
            given: Tables that the SQL may read, by name.
        """

        def together() -> None:
            with self.connect() as connection, _transaction(connection):
                _give(connection, given)
                for table, part in left.items():
                    for source in _partitions(connection, table, part):
                        where = "WHERE source = $source" if source else ""
                        parameters = {"source": source} if source else {}
                        rows = connection.execute(f"FROM ({part.query}) {where}", parameters)
                        batches = rows.to_arrow_reader(4096)
                        tables = (pa.Table.from_batches([batch]) for batch in batches)
                        file = self._stage(table, chain([batches.schema.empty_table()], tables), None, source)
                        _swap(connection, file, source, keep=False)
                connection.execute("CALL lake.set_commit_message('winnow', ?)", [message])

        _retry(together)

    def forget(self) -> None:
        """Ends the past: only the newest snapshot stays, and no byte of a row that isn't in it.

        Older snapshots and their files go, and what an SQLite catalogue keeps in freed pages. It may be repeated
        at any time.
        """
        with self.connect() as connection:
            for call in (
                "ducklake_expire_snapshots('lake', older_than => now())",
                "ducklake_cleanup_old_files('lake', cleanup_all => true)",
                "ducklake_delete_orphaned_files('lake', cleanup_all => true)",
            ):
                _retry(lambda call=call: connection.execute(f"CALL {call}").fetchall())  # type: ignore[misc]
        if self.catalog.startswith("sqlite:"):
            # While it is attached, a page that was read last stays in the log before the file.
            _attached(self, os.getpid()).close()
            _attached.cache_clear()
            apart(vacuum, self.catalog.removeprefix("sqlite:"))

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


def apart(function: Callable[..., T], *arguments: object) -> T:
    """What a function gives, called in a process of its own.

    For whatever opens an SQLite catalogue's file past DuckDB: in one process, to close a file ends all locks on
    it, also those by which DuckDB's SQLite tells the others that it is there.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def vacuum(path: str | Path) -> None:
    """Writes an SQLite database anew, without what its freed pages and its log still hold."""
    with closing(sqlite3.connect(path, timeout=60)) as database:
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def streamed(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    parameters: Sequence[object] | dict[str, object] = (),
    rows: int = 4096,
) -> Iterator[pa.Table]:
    """The result of a SELECT, so many rows at a time; the connection does nothing else until the last one."""
    for batch in connection.execute(sql, parameters).to_arrow_reader(rows):
        yield pa.Table.from_batches([batch])


def _give(connection: duckdb.DuckDBPyConnection, given: Mapping[str, pa.Table]) -> None:
    for name, table in given.items():
        connection.register(name, table)


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.execute("BEGIN")
    try:
        yield
        connection.execute("COMMIT")
    except duckdb.Error:
        # A commit that failed has already ended its transaction.
        with suppress(duckdb.TransactionException):
            connection.execute("ROLLBACK")
        raise


@cache
def _attached(lake: Lake, _process: int) -> duckdb.DuckDBPyConnection:
    lake.root.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(
        config={"extension_directory": str(settings.extensions()), "autoinstall_known_extensions": False}
    )
    load_extensions(connection, lake.catalog)
    _retry(lambda: connection.execute(lake.attach_statement()))
    # DuckLake stores the path it was made with; every attachment overrides it, so it need not be kept.
    stored = f"{METADATA}.ducklake_metadata"
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
            # First use: unpack it below this project's own folder, not into the user's home.
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


def _create(connection: duckdb.DuckDBPyConnection, file: _File, *, partitioned: bool) -> None:
    existing = connection.execute(
        "SELECT column_name FROM duckdb_columns() "
        "WHERE database_name = 'lake' AND schema_name = ? AND table_name = ?",
        file.table.split("."),
    ).fetchall()
    connection.register("written", file.schema.empty_table())

    def add_columns() -> None:
        described = connection.execute("DESCRIBE SELECT * FROM written").fetchall()
        for name, type_ in (row[:2] for row in described if (row[0],) not in existing):
            connection.execute(f'ALTER TABLE {file.table} ADD COLUMN IF NOT EXISTS "{name}" {type_}')

    def create() -> None:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {file.table.split('.')[0]}")
        connection.execute(f"CREATE TABLE IF NOT EXISTS {file.table} AS FROM written")
        if partitioned:
            connection.execute(f"ALTER TABLE {file.table} SET PARTITIONED BY (source)")

    _retry(add_columns if existing else create)
    connection.unregister("written")


def _partitions(connection: duckdb.DuckDBPyConnection, table: str, part: Left) -> Sequence[str | None]:
    """The sources with rows that are concerned; of a table that isn't in partitions, None for the whole."""
    schema, name = table.split(".")
    divided = connection.execute(
        f"SELECT 1 FROM {METADATA}.ducklake_partition_info AS partitions "
        f"JOIN {METADATA}.ducklake_table AS tables USING (table_id) "
        f"JOIN {METADATA}.ducklake_schema AS schemas USING (schema_id) "
        "WHERE table_name = ? AND schema_name = ? AND partitions.end_snapshot IS NULL "
        "AND tables.end_snapshot IS NULL",
        [name, schema],
    ).fetchone()
    column = "source" if divided else "NULL"
    found = f"SELECT DISTINCT {column} FROM {table} WHERE {part.concerned} ORDER BY 1"
    return [source for (source,) in connection.execute(found).fetchall()]


def _swap(connection: duckdb.DuckDBPyConnection, file: _File, source: str | None, *, keep: bool) -> None:
    if source is not None:
        connection.execute(f"DELETE FROM {file.table} WHERE source = ?", [source])
    elif not keep:
        connection.execute(f"DELETE FROM {file.table}")
    if file.rows:
        schema, name = file.table.split(".")
        connection.execute(
            "CALL ducklake_add_data_files('lake', ?, ?, schema => ?, hive_partitioning => ?, "
            "allow_missing => true)",
            [name, str(file.path), schema, source is not None],
        )


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
