"""The lake: one transaction a write, whatever happens to the writer."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.lake import Lake


def rows(source: str, *texts: str) -> pa.Table:
    return pa.table(
        {
            "doc_id": [f"{source}-{number}" for number in range(len(texts))],
            "source": [source] * len(texts),
            "text": list(texts),
        }
    )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_replacing_one_source_leaves_the_others(lake: Lake) -> None:
    lake.replace("raw.documents", rows("a", "one", "two"), run_id="r1", source="a")
    lake.replace("raw.documents", rows("b", "three"), run_id="r2", source="b")
    write = lake.replace("raw.documents", rows("a", "four"), run_id="r3", source="a")
    found = lake.query("SELECT source, text, run_id FROM raw.documents ORDER BY source, text").to_pylist()
    assert found == [
        {"source": "a", "text": "four", "run_id": "r3"},
        {"source": "b", "text": "three", "run_id": "r2"},
    ]
    assert write.rows == 1
    last = lake.snapshots()[-1]
    assert (last.id, last.run_id, last.message) == (write.snapshot, "r3", "replace raw.documents of a")


def test_earlier_snapshots_can_still_be_read(lake: Lake) -> None:
    first = lake.replace("raw.documents", rows("a", "one"), run_id="r1", source="a")
    lake.replace("raw.documents", rows("a", "two"), run_id="r2", source="a")
    then = lake.query(f"SELECT text FROM raw.documents AT (VERSION => {first.snapshot})")
    assert then["text"].to_pylist() == ["one"]


def test_the_data_version_is_the_content(lake: Lake) -> None:
    first = lake.replace("raw.documents", rows("a", "one", "two"), run_id="r1", source="a")
    again = lake.replace("raw.documents", rows("a", "one", "two"), run_id="r2", source="a")
    turned = lake.replace("raw.documents", rows("a", "one", "two").take([1, 0]), run_id="r3", source="a")
    other = lake.replace("raw.documents", rows("a", "one", "2"), run_id="r4", source="a")
    assert first.data_version == again.data_version == turned.data_version != other.data_version
    assert lake.data_version("raw.documents", "a") == other.data_version


def test_several_tables_change_together_or_not_at_all(lake: Lake) -> None:
    lake.replace_all(
        {"raw.documents": rows("a", "one"), "raw.quarantine": rows("a", "bad")}, run_id="r1", source="a"
    )
    snapshots = len(lake.snapshots())

    def broken():
        yield rows("a", "worse")
        raise RuntimeError("the reader died")

    with pytest.raises(RuntimeError, match="the reader died"):
        lake.replace_all(
            {"raw.documents": rows("a", "two"), "raw.quarantine": broken()}, run_id="r2", source="a"
        )
    assert len(lake.snapshots()) == snapshots
    assert lake.query("SELECT text FROM raw.documents")["text"].to_pylist() == ["one"]


def test_a_new_column_is_added_and_a_missing_one_is_null(lake: Lake) -> None:
    lake.replace("t.wide", rows("a", "one").append_column("n", pa.array([1])), run_id="r1", source="a")
    lake.replace("t.wide", rows("b", "two"), run_id="r2", source="b")
    lake.replace("t.wide", rows("c", "three").append_column("z", pa.array(["z"])), run_id="r3", source="c")
    found = lake.query("SELECT source, n, z FROM t.wide ORDER BY source").to_pylist()
    assert found == [
        {"source": "a", "n": 1, "z": None},
        {"source": "b", "n": None, "z": None},
        {"source": "c", "n": None, "z": "z"},
    ]


def test_no_rows_empty_a_partition(lake: Lake) -> None:
    lake.replace("raw.documents", rows("a", "one"), run_id="r1", source="a")
    write = lake.replace("raw.documents", rows("a").cast(rows("a", "x").schema), run_id="r2", source="a")
    assert (write.rows, lake.query("FROM raw.documents").num_rows) == (0, 0)


def test_history_is_appended_to(lake: Lake) -> None:
    lake.append("governance.validations", pa.table({"asset": ["x"]}), run_id="r1")
    lake.append("governance.validations", pa.table({"asset": ["y"]}), run_id="r2")
    found = lake.query("SELECT asset, run_id FROM governance.validations ORDER BY rowid").to_pylist()
    assert found == [{"asset": "x", "run_id": "r1"}, {"asset": "y", "run_id": "r2"}]


def test_the_lake_may_be_moved(lake: Lake, tmp_path: Path) -> None:
    lake.replace("raw.documents", rows("a", "one"), run_id="r1", source="a")
    lake.root.rename(tmp_path / "elsewhere")
    moved = Lake(tmp_path / "elsewhere")
    assert moved.query("SELECT text FROM raw.documents")["text"].to_pylist() == ["one"]


def test_the_catalogue_holds_no_absolute_path(lake: Lake) -> None:
    lake.replace("raw.documents", rows("a", "one"), run_id="r1", source="a")
    assert str(lake.root).encode() not in (lake.root / "catalog.sqlite").read_bytes()


def _write_slowly(root: Path, started: Path) -> None:
    def never_ending():
        yield rows("a", "new")
        started.touch()
        time.sleep(60)
        yield rows("a", "newer")

    Lake(root).replace("raw.documents", never_ending(), run_id="killed", source="a")


def test_a_writer_killed_in_the_middle_leaves_the_lake_as_it_was(lake: Lake, tmp_path: Path) -> None:
    before = lake.replace("raw.documents", rows("a", "old"), run_id="r1", source="a")
    started = tmp_path / "started"
    spawn = multiprocessing.get_context("spawn")
    writer = spawn.Process(target=_write_slowly, args=(lake.root, started))
    writer.start()
    deadline = time.monotonic() + 60
    while not started.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert started.exists()
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()

    assert lake.query("SELECT text, run_id FROM raw.documents").to_pylist() == [
        {"text": "old", "run_id": "r1"}
    ]
    assert lake.data_version("raw.documents", "a") == before.data_version
    files = set((lake.root / "data").rglob("*.parquet"))
    assert len(files) == 2
    assert lake.clean() == 1
    assert len(set((lake.root / "data").rglob("*.parquet"))) == 1
    after = lake.replace("raw.documents", rows("a", "new"), run_id="r2", source="a")
    assert after.rows == 1


def _write_often(root: Path, source: str, times: int) -> None:
    for number in range(times):
        Lake(root).replace("raw.documents", rows(source, f"{number}"), run_id=source, source=source)


def test_writers_at_once_lose_nothing(lake: Lake) -> None:
    lake.replace("raw.documents", rows("z", "z"), run_id="r0", source="z")
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write_often, args=(lake.root, name, 5)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    found = lake.query(
        "SELECT source, text FROM raw.documents WHERE source <> 'z' ORDER BY source"
    ).to_pylist()
    assert found == [{"source": name, "text": "4"} for name in "abcd"]
    assert sum(snapshot.run_id in set("abcd") for snapshot in lake.snapshots()) == 20


def test_a_filter_finds_what_each_file_holds_whoever_wrote_it(tmp_path: Path) -> None:
    """Of files that know their first and last value and one that doesn't, DuckLake would believe the former."""
    lake = Lake(tmp_path)
    low, high = (
        pa.table({"doc_id": ids, "number": numbers}) for ids, numbers in ((["d"], [1]), (["m"], [9]))
    )
    lake.replace_all({"raw.documents": iter([low.slice(0, 0), low])}, run_id="r1")
    lake.append("raw.documents", high, run_id="r2")
    for path in (tmp_path / "data").rglob("*.parquet"):
        assert pq.read_metadata(path).row_group(0).column(0).statistics is None
    found = subprocess.run(
        [sys.executable, "-c", FILTERED, tmp_path], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "1"


# In a process that knows of the files only what the catalogue says.
FILTERED = """
import sys
from pathlib import Path
from assets.lake import Lake
print(Lake(Path(sys.argv[1])).query("FROM raw.documents WHERE doc_id = 'd' AND number < 2").num_rows)
"""
