"""Examined once: what was looked at by the same version is taken over, the rest is looked at again."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from assets.documents import content_hash
from assets.examined import examination
from assets.lake import Lake
from assets.spool import Spool

FOUND = pa.schema([("doc_id", pa.string()), ("source", pa.string()), ("letters", pa.int64())])
TABLE = "filtered.examined"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def read(lake: Lake, texts: dict[str, str], source: str = "a", language: str | None = None) -> None:
    documents = {
        "doc_id": list(texts),
        "source": [source] * len(texts),
        "content_hash": [content_hash(text) for text in texts.values()],
        "text": list(texts.values()),
        "language": pa.array([language] * len(texts), pa.string()),
    }
    lake.replace("raw.documents", pa.table(documents), run_id="read", source=source)


def look(lake: Lake, version: str, source: str = "a") -> tuple[list[str], dict[str, int]]:
    """Counts the letters of what wasn't counted before; which documents those were, and what is known then."""
    with examination(lake, TABLE, source, version) as seen:
        fresh = [row for table in seen.to_examine() for row in table.to_pylist()]
        assert len(fresh) == seen.fresh
        new = [
            {"doc_id": row["doc_id"], "source": source, "letters": len(row["text"])}
            for row in fresh
            if row["text"]
        ]
        found = pa.concat_tables(
            [*seen.taken_over("filtered.found", FOUND), pa.Table.from_pylist(new, FOUND)]
        )
        lake.replace_all({"filtered.found": found, TABLE: seen.record(version)}, run_id="look", source=source)
    known = lake.query("SELECT doc_id, letters FROM filtered.found WHERE source = ?", [source]).to_pylist()
    return sorted(row["doc_id"] for row in fresh), {row["doc_id"]: row["letters"] for row in known}


def test_only_what_is_new_or_changed_is_looked_at(lake: Lake) -> None:
    read(lake, {"one": "a", "two": "bb", "nothing": ""})
    assert look(lake, "1") == (["nothing", "one", "two"], {"one": 1, "two": 2})
    assert look(lake, "1") == ([], {"one": 1, "two": 2})
    read(lake, {"one": "a", "two": "bbb", "three": "ccc", "nothing": ""})
    assert look(lake, "1") == (["three", "two"], {"one": 1, "two": 3, "three": 3})
    read(lake, {"three": "ccc"})
    assert look(lake, "1") == ([], {"three": 3})


def test_another_version_or_language_looks_at_everything(lake: Lake) -> None:
    read(lake, {"one": "a"})
    look(lake, "1")
    assert look(lake, "2")[0] == ["one"]
    assert look(lake, "2")[0] == []
    read(lake, {"one": "a"}, language="ko")
    assert look(lake, "2")[0] == ["one"]


def test_sources_do_not_meet(lake: Lake) -> None:
    read(lake, {"one": "a"})
    read(lake, {"other": "bb"}, source="b")
    assert look(lake, "1") == (["one"], {"one": 1})
    assert look(lake, "1", "b") == (["other"], {"other": 2})
    assert look(lake, "1") == ([], {"one": 1})


def test_what_waits_on_disk_comes_back_as_it_was(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "waiting", FOUND)
    assert list(Spool(tmp_path / "nothing", FOUND)) == []
    tables = [pa.table([["d"] * n, ["a"] * n, list(range(n))], schema=FOUND) for n in (2, 0, 3)]
    for table in tables:
        spool.write(table)
    assert pa.concat_tables(spool).equals(pa.concat_tables(tables))
    assert spool.read().num_rows == 5
