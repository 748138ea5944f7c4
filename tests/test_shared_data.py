"""The whole lifecycle on real files of every kind: corpora, crawls, instructions, Korean, preferences."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from assets.lake import Lake
from assets.sources.registry import load_sources

TESTS = Path(__file__).parent
SHARED = TESTS.parent.parent / "shared" / "data"
SOURCES_FILE = TESTS / "shared_sources.yaml"
WINNOW = Path(sys.executable).parent / "winnow"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Lake]:
    """What `winnow run` printed on the real files, and the lake it left."""
    if not SHARED.exists():
        pytest.skip("../shared/data is not there")
    home = tmp_path_factory.mktemp("shared")
    environment = os.environ | {
        "WINNOW_HOME": str(home),
        "DAGSTER_HOME": str(home / "dagster"),
        "DBT_TARGET_PATH": str(home / "cache" / "dbt"),
        "WINNOW_SOURCES": str(SOURCES_FILE),
    }
    done = subprocess.run([WINNOW, "run"], env=environment, capture_output=True, text=True, timeout=1500)
    return done.stdout + done.stderr, Lake(home / "lake")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_source_reaches_the_verdict(run: tuple[str, Lake]) -> None:
    printed, lake = run
    names = {source.name for source in load_sources(SOURCES_FILE)}
    read = lake.query("SELECT source, count(*) AS n FROM raw.documents GROUP BY source").to_pylist()
    assert {row["source"] for row in read} == names, printed
    assert sum(row["n"] for row in read) > 49_000
    decided = lake.query(
        "SELECT source, count(*) AS n FROM filtered.decisions WHERE verdict <> 'errored' GROUP BY source"
    ).to_pylist()
    assert sorted(map(str, decided)) == sorted(map(str, read)), printed
    # Real data needn't pass every gate; each must have been judged by a figure.
    gates = lake.query("FROM evaluated.verdict").to_pylist()
    assert gates, printed
    assert all(gate["value"] is not None for gate in gates), printed


@pytest.mark.slow
def test_rows_in_are_documents_and_quarantine(run: tuple[str, Lake]) -> None:
    _, lake = run
    rows = lake.query(
        "SELECT source, sum(rows_in)::BIGINT AS rows_in, sum(documents + quarantined)::BIGINT AS kept, "
        "sum(quarantined)::BIGINT AS quarantined FROM raw.ingestions GROUP BY source"
    ).to_pylist()
    assert all(row["rows_in"] == row["kept"] for row in rows)
    quarantine = lake.query("SELECT source, count(*) AS n FROM raw.quarantine GROUP BY source").to_pylist()
    lost = {row["source"]: row["quarantined"] for row in rows if row["quarantined"]}
    assert {row["source"]: row["n"] for row in quarantine} == lost


@pytest.mark.slow
def test_good_text_of_each_kind_is_kept(run: tuple[str, Lake]) -> None:
    _, lake = run
    # Removed as a copy of another source's text is no judgement of a text.
    kept = lake.query(
        "SELECT source, avg((verdict = 'kept')::INT) AS share FROM filtered.decisions "
        "WHERE coalesce(reason, '') NOT IN ('exact_duplicate', 'near_duplicate') GROUP BY source"
    ).to_pylist()
    share = {row["source"]: row["share"] for row in kept}
    assert share["self-instruct-seed"] > 0.9
    assert share["ko-alpaca"] > 0.9
    assert share["wikitext2"] > 0.8
    assert share["movie-reviews"] > 0.8


@pytest.mark.slow
def test_nothing_unreleasable_is_selected(run: tuple[str, Lake]) -> None:
    _, lake = run
    closed = [source.name for source in load_sources(SOURCES_FILE) if not source.releasable]
    found = lake.query(
        "SELECT count(*) AS n FROM scored.selection WHERE selected AND list_contains(?, source)", [closed]
    )
    assert found["n"][0].as_py() == 0
