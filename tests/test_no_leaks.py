"""Personal values stay in the sources and the raw layer's files; paths of the machine stay outside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from projects import LETTERS, PERSONAL, Project

from assets import settings
from assets.lake import Lake

pytestmark = pytest.mark.slow


def files(project: Project) -> Iterator[Path]:
    """Every file of the home, but for the raw documents' own."""
    raw = project.home / "lake" / "data" / "raw" / "documents"
    for path in sorted(project.home.rglob("*")):
        if path.is_file() and not path.is_symlink() and raw not in path.parents:
            yield path


def strings(project: Project) -> Iterator[tuple[str, str]]:
    """Every lake table with each row of it as text."""
    tables = project.lake.query(
        "SELECT schema_name || '.' || table_name AS name FROM duckdb_tables() WHERE database_name = 'lake' "
        "UNION ALL SELECT schema_name || '.' || view_name FROM duckdb_views() WHERE database_name = 'lake' "
        "AND NOT internal ORDER BY name"
    )
    for name in tables["name"].to_pylist():
        rows = project.lake.query(f"SELECT row::VARCHAR AS text FROM {name} AS row")
        for text in rows["text"].to_pylist():
            yield name, text


def metadata(project: Project) -> Iterator[tuple[str, str]]:
    """The metadata of every materialisation, observation and check evaluation, as JSON."""
    kinds = {
        dg.DagsterEventType.ASSET_MATERIALIZATION,
        dg.DagsterEventType.ASSET_OBSERVATION,
        dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    }
    with project.instance() as instance:
        for run in instance.get_runs():
            for record in instance.get_records_for_run(run.run_id, of_type=kinds).records:
                data = record.event_log_entry.dagster_event.event_specific_data
                yield run.job_name, dg.serialize_value(data)


def test_the_values_are_where_they_were_put(green: Project) -> None:
    """The others prove nothing unless this one finds what they look for."""
    texts = green.lake.query("SELECT text FROM raw.documents WHERE source = ?", [LETTERS])["text"]
    for value in PERSONAL:
        assert pc.sum(pc.match_substring(texts, value)).as_py() == 2, value


def test_no_personal_value_in_any_file_of_the_home(green: Project) -> None:
    values = [value.encode() for value in PERSONAL]
    found = {
        str(path.relative_to(green.home)): value.decode()
        for path in files(green)
        for value in values
        if value in path.read_bytes()
    }
    assert found == {}


def test_no_personal_value_in_any_table_or_release(green: Project) -> None:
    found = {name for name, text in strings(green) if any(value in text for value in PERSONAL)}
    assert found <= {"raw.documents"}
    for path in files(green):
        if path.suffix == ".parquet":
            text = str(pq.read_table(path).to_pydict())
            assert not any(value in text for value in PERSONAL), path.relative_to(green.home)


def test_the_catalogue_keeps_no_text_of_what_it_lists(tmp_path: Path) -> None:
    """DuckLake would keep the first and the last text of each file; of an only one, that is the text."""
    lake = Lake(tmp_path)
    document = {
        "doc_id": "the id of a letter",
        "source": "one",
        "text": PERSONAL[0],
        "notes": [PERSONAL[1]],
        "words": 1,
    }
    lake.replace("raw.documents", pa.Table.from_pylist([document]), run_id="r", source="one")
    catalogue = b"".join(path.read_bytes() for path in tmp_path.glob("catalog.sqlite*"))
    assert b"source=one" in catalogue
    assert b"the id of a letter" not in catalogue
    assert not any(value.encode() in catalogue for value in PERSONAL)
    assert lake.query("FROM raw.documents WHERE text > 'a' AND words = 1").num_rows == 1


def test_redaction_left_nothing_of_a_value_behind(green: Project) -> None:
    """A value cut in two would pass the search for the whole of it."""
    texts = " ".join(green.lake.query("SELECT text FROM filtered.redacted")["text"].to_pylist())
    for part in ("brandvold", "fjordmail", "casimir", "quillpost", "555-01"):
        assert part not in texts


def test_no_path_of_the_machine_in_tables_releases_or_metadata(green: Project) -> None:
    places = (str(green.root), str(settings.PROJECT))
    in_tables = {(name, place) for name, text in strings(green) for place in places if place in text}
    assert in_tables == set()
    for path in (green.home / "releases").rglob("*"):
        if path.is_file():
            assert not any(place.encode() in path.read_bytes() for place in places), path.name
    in_metadata = {
        (job, json.loads(text).get("__class__"), place)
        for job, text in metadata(green)
        for place in places
        if place in text
    }
    assert in_metadata == set()
