"""A team's catalogue: the lake on a PostgreSQL server, written by several processes at once."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from assets.lake import Lake, Left

PROJECT = Path(__file__).parent.parent
PASSWORD = "kept-out-of-the-catalogue"

# Five writes of one source; the other writer does the same for its own.
WRITER = """
import sys
from pathlib import Path
import pyarrow as pa
from assets.lake import Lake
source = sys.argv[2]
for number in range(5):
    rows = pa.table({"source": [source] * 10, "number": [number] * 10})
    Lake(Path(sys.argv[1])).replace("raw.documents", rows, run_id=f"{source}{number}", source=source)
    Lake(Path(sys.argv[1])).append("governance.ledger", rows, run_id=f"{source}{number}")
"""


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    """A throwaway server on 127.0.0.1, as the variables by which libpq finds it and logs in."""
    if importlib.util.find_spec("duckdb_extension_postgres") is None:
        pytest.skip("the extra `postgres` (duckdb-extension-postgres) is not installed")
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if binaries is None:
        pytest.skip("no PostgreSQL server below /usr/lib/postgresql")
    with tempfile.TemporaryDirectory(prefix="winnow-postgres-") as created, socket.socket() as free:
        folder = Path(created)
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        (folder / "password").write_text(PASSWORD)
        as_owner: list[str] = []
        if os.getuid() == 0:
            # The server refuses to run as root.
            as_owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        free.close()
        yield from _serving(folder, port, binaries, as_owner)


def _serving(folder: Path, port: str, binaries: Path, as_owner: list[str]) -> Iterator[dict[str, str]]:
    data = folder / "data"
    create = ["-U", "winnow", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}", "--no-sync"]
    subprocess.run(
        [*as_owner, binaries / "initdb", "-D", data, *create], cwd=folder, check=True, capture_output=True
    )
    options = [f"--port={port}", "--listen-addresses=127.0.0.1", f"--unix-socket-directories={folder}"]
    libpq = {"PGHOST": "127.0.0.1", "PGPORT": port, "PGUSER": "winnow", "PGPASSWORD": PASSWORD}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*as_owner, binaries / "postgres", "-D", data, *options], cwd=folder, stdout=log, stderr=log
        )
    try:
        for _ in range(100):
            if subprocess.run([binaries / "pg_isready", "--quiet"], env=libpq, check=False).returncode == 0:
                break
            time.sleep(0.2)
        subprocess.run([binaries / "createdb", "winnow"], env=libpq, cwd=folder, check=True)
        yield libpq
    finally:
        # A fast shutdown: on SIGTERM it would wait for this process's own connections.
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)


@pytest.mark.slow
def test_two_writers_lose_nothing(
    server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in server.items() | {("WINNOW_CATALOG", "postgres:dbname=winnow")}:
        monkeypatch.setenv(name, value)
    root = tmp_path / "lake"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, root, source], cwd=PROJECT) for source in ("a", "b")
    ]
    assert [writer.wait(timeout=300) for writer in writers] == [0, 0]

    lake = Lake(root)
    documents = lake.query(
        "SELECT source, run_id, count(*) AS n FROM raw.documents GROUP BY ALL ORDER BY ALL"
    )
    assert documents.to_pylist() == [
        {"source": "a", "run_id": "a4", "n": 10},
        {"source": "b", "run_id": "b4", "n": 10},
    ]
    ledger = lake.query(
        "SELECT source, number, count(*) AS n FROM governance.ledger GROUP BY ALL ORDER BY ALL"
    )
    assert ledger.to_pylist() == [
        {"source": source, "number": number, "n": 10} for source in ("a", "b") for number in range(5)
    ]
    committed = [snapshot.run_id for snapshot in lake.snapshots() if snapshot.run_id]
    assert len(committed) == 20
    assert not list(root.glob("catalog.sqlite*"))
    assert PASSWORD not in lake.attach_statement()


@pytest.mark.slow
def test_the_lake_forgets(server: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.items() | {("WINNOW_CATALOG", "postgres:dbname=winnow")}:
        monkeypatch.setenv(name, value)
    lake = Lake(tmp_path / "another")
    for source in ("a", "b"):
        rows = pa.table(
            {"doc_id": [f"doc-{source}{n}" for n in range(9)], "source": [source] * 9, "text": ["x"] * 9}
        )
        lake.replace("forgotten.documents", rows, run_id="r1", source=source)
    gone = {"gone": pa.table({"doc_id": ["doc-a0", "doc-b8"]})}
    told = "doc_id IN (SELECT doc_id FROM gone)"
    left = {"forgotten.documents": Left(told, f"SELECT * FROM forgotten.documents WHERE NOT {told}")}
    lake.rewrite(left, gone, message="erasure")
    lake.forget()
    assert lake.query("SELECT doc_id FROM forgotten.documents ORDER BY ALL")["doc_id"].to_pylist() == [
        *(f"doc-a{n}" for n in range(1, 9)),
        *(f"doc-b{n}" for n in range(8)),
    ]
    assert len(lake.snapshots()) == 1


@pytest.mark.parametrize(
    "address",
    ["postgres:dbname=winnow password=hunter2", "postgres:postgresql://winnow:hunter2@localhost/winnow"],
)
def test_a_password_in_the_address_is_refused(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINNOW_CATALOG", address)
    with pytest.raises(ValueError, match="leave the password") as refusal:
        Lake(tmp_path).attach_statement()
    assert "hunter2" not in str(refusal.value)
