"""The risk of personal data, as dbt builds it: what samples say of recall, what is missed, what changed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from assets import dbt
from assets.evals.drill import drill_recall
from assets.evals.report import missed
from assets.governance import acceptance
from assets.intervals import wilson
from assets.lake import Lake

pytestmark = pytest.mark.slow


def span(entity: str, start: int, end: int) -> dict[str, object]:
    return {"entity": entity, "start": start, "end": end}


# What is planted, and of it: found, found by half, found by less than half, and in a text without a finding.
PLANTED = {
    "p0": [span("EMAIL_ADDRESS", 0, 10), span("EMAIL_ADDRESS", 20, 30)],
    "p1": [span("EMAIL_ADDRESS", 0, 10), span("IP_ADDRESS", 20, 30)],
    "p2": [span("EMAIL_ADDRESS", 0, 10), span("KR_RRN", 20, 34)],
}
FOUND = [
    ("p0", "drill", "EMAIL_ADDRESS", 0, 10, "a"),
    ("p0", "drill", "IP_ADDRESS", 25, 40, "b"),
    ("p1", "drill", "EMAIL_ADDRESS", 6, 20, "c"),
    ("p1", "drill", "IP_ADDRESS", 20, 30, "d"),
    ("w0", "web", "EMAIL_ADDRESS", 0, 5, "e"),
    ("w1", "web", "EMAIL_ADDRESS", 0, 5, "e"),
    ("w1", "web", "PHONE_NUMBER", 9, 15, "f"),
    ("w2", "web", "KR_RRN", 0, 5, "g"),
]


def documents() -> pa.Table:
    ids = [*PLANTED, "p3", *(f"w{n}" for n in range(40))]
    # Metadata of other sources is none of the drill's business, however it looks.
    other = json.dumps({"hazard": "pii", "truth": {"spans": [span("EMAIL_ADDRESS", 0, 5)]}})
    metadata = [
        json.dumps({"hazard": "pii", "truth": {"spans": PLANTED[each]}})
        if each in PLANTED
        else json.dumps({"hazard": "clean", "truth": {}})
        if each == "p3"
        else other
        if each == "w0"
        else None
        for each in ids
    ]
    source = ["web" if each.startswith("w") else "drill" for each in ids]
    return pa.table({"doc_id": ids, "source": source, "key": ids, "metadata": metadata})


def findings(rows: list[tuple]) -> pa.Table:
    names = ["doc_id", "source", "entity", "start", "end", "value_hmac"]
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def page(lake: Lake) -> dict[str, str]:
    """The lines of the table on the asset's page, by entity."""
    table = str(dbt.SHOWN["filtered.pii_risk"](lake)["riskiest"].value).splitlines()[2:]
    assert all(line.startswith("| web |") for line in table)
    return {line.split(" | ")[1].replace("\\", ""): line for line in table}


def build(lake: Lake, folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """The mart, by source and entity, once dbt has made it."""
    variables = dbt.environment(lake) | {"DBT_TARGET_PATH": str(folder), "DBT_LOG_PATH": str(folder)}
    folders = ["--project-dir", str(dbt.PROJECT_DIR), "--profiles-dir", str(dbt.PROJECT_DIR)]
    command = [dbt.DBT, "--quiet", "build", "--select", "labelled_recall", "pii_recall", "pii_risk", *folders]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    return {(row["source"], row["entity"]): row for row in lake.query("FROM filtered.pii_risk").to_pylist()}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with a drill of four documents and a source of forty."""
    lake = Lake(tmp_path_factory.mktemp("risk") / "lake")
    table = documents()
    signals = table.select(["doc_id", "source"]).append_column(
        "characters", pa.array([1000] * table.num_rows, pa.int64())
    )
    readers = {"source": ["drill", "web"], "reader": ["drill", "jsonl"], "releasable": [False, True]}
    for name, data in {
        "raw.documents": table,
        "raw.sources": pa.table(readers),
        "filtered.signals": signals,
        "filtered.pii_findings": findings(FOUND),
        "filtered.duplicates": pa.table({"doc_id": ["w1", "w9"]}),
    }.items():
        lake.replace(name, data, run_id="r")
    acceptance.prepare_risk(lake, "r")
    return lake


@pytest.fixture(scope="module")
def before(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, Any]]:
    """The mart before the first release."""
    return build(lake, tmp_path_factory.mktemp("before"))


def test_the_recall_is_what_the_drill_counts(before: dict, lake: Lake) -> None:
    del before
    truth = lake.query(
        "SELECT doc_id, key, json_extract_string(metadata, '$.hazard') AS hazard, "
        "json_extract_string(metadata, '$.truth') AS truth FROM raw.documents WHERE source = 'drill'"
    )
    ledger = {"doc_id": "VARCHAR", "verdict": "VARCHAR", "reason": "VARCHAR", "failed": "VARCHAR"}
    none = ", ".join(f"NULL::{kind} AS {name}" for name, kind in ledger.items())
    recall, _ = drill_recall(
        truth,
        findings=findings(FOUND),
        duplicates=pa.table({"doc_id": pa.array([], pa.string()), "cluster_id": pa.array([], pa.string())}),
        decisions=lake.query(f"SELECT {none} LIMIT 0"),
        contamination=lake.query("SELECT '' AS doc_id, '' AS benchmark, '' AS item_id LIMIT 0"),
        scores=lake.query("SELECT '' AS doc_id, 0.0 AS toxicity LIMIT 0"),
        toxicity_limit=0.5,
    )
    counted = {
        row["slice"]: (row["counted"], row["n"], row["low"], row["high"])
        for row in recall.to_pylist()
        if row["hazard"] == "pii" and row["slice"] != "all"
    }
    rows = lake.query("FROM filtered.pii_recall WHERE basis = 'drill'").to_pylist()
    made = {row["entity"]: (row["found"], row["labelled"], row["low"], row["high"]) for row in rows}
    assert {name: each[:2] for name, each in made.items()} == {
        "EMAIL_ADDRESS": (2, 4),
        "IP_ADDRESS": (1, 1),
        "KR_RRN": (0, 1),
    }
    assert made == {name: pytest.approx(each) for name, each in counted.items()}


def test_the_labelled_records_are_there_with_what_is_not_looked_for(before: dict, lake: Lake) -> None:
    from docs.privacy import load_measured

    del before
    rows = lake.query("FROM filtered.pii_recall WHERE basis = 'labelled records'").to_pylist()
    quality = load_measured()["quality"]
    assert {row["entity"]: (row["labelled"], row["found"]) for row in rows} == {
        entity: (counts["labelled"], counts["found"])
        for entity, counts in quality.items()
        if counts["labelled"]
    }


def test_the_seed_of_the_labelled_records_is_current() -> None:
    from docs.privacy import SEED, load_measured, seed

    assert SEED.read_text(encoding="utf-8") == seed(load_measured()), "run docs/privacy.py"


def test_what_is_missed_is_estimated_by_the_sample_in_which_less_was_found(before: dict) -> None:
    email, phone = before["web", "EMAIL_ADDRESS"], before["web", "PHONE_NUMBER"]
    assert (email["basis"], email["recall"], email["recall_n"]) == ("drill", 0.5, 4)
    assert email["missed"] == missed(2, 0.5, 40) == 2.0
    rate = wilson(2, 4)
    bounds = [missed(2, each, 40) / 40 for each in (rate.value, rate.high, rate.low)]
    assert [email["missed_share"], email["missed_low"], email["missed_high"]] == pytest.approx(bounds)
    assert phone["basis"] == "labelled records"
    assert phone["missed"] == pytest.approx(missed(1, phone["recall"], 40))
    assert before["drill", "EMAIL_ADDRESS"]["missed_high"] <= 1.0, "no more documents than there are"


def test_a_sample_in_which_nothing_was_found_measures_nothing(before: dict) -> None:
    number = before["web", "KR_RRN"]
    assert number["affected"] == 1
    measured = ("basis", "recall", "recall_n", "missed", "missed_share", "missed_low", "missed_high")
    assert [number[name] for name in measured] == [None] * len(measured)


def test_before_the_first_release_nothing_has_changed(before: dict) -> None:
    names = ("accepted_documents", "accepted_share", "accepted_low", "accepted_high", "change")
    assert {row[name] for row in before.values() for name in names} == {None}
    assert set(before) == {(source, entity) for _, source, entity, *_ in FOUND}
    assert before["web", "EMAIL_ADDRESS"]["affected_in_clusters"] == 1


def test_the_page_shows_the_riskiest_lines_first_and_none_of_the_drill(before: dict, lake: Lake) -> None:
    del before
    lines = page(lake)
    assert list(lines) == ["KR_RRN", "EMAIL_ADDRESS", "PHONE_NUMBER"], (
        "what is not measured, then what is missed"
    )
    assert "| not measured | not measured |" in lines["KR_RRN"]
    assert "| 5.0 % \\[0.9, 28.3\\] n=40 | 50.0 % \\[15.0, 85.0\\] n=4 (drill) |" in lines["EMAIL_ADDRESS"]
    assert all("| no release |" in line for line in lines.values())
    plot = dbt.SHOWN["filtered.pii_risk"](lake)["affected"]
    assert str(plot.value).startswith("![Documents with personal data of a kind](data:image/png;base64,")


def test_the_change_is_against_what_was_accepted(
    before: dict, lake: Lake, tmp_path_factory: pytest.TempPathFactory
) -> None:
    del before
    then = lake.snapshots()[-1].id
    later = [row for row in FOUND if row[2] != "PHONE_NUMBER"] + [
        ("w3", "web", "EMAIL_ADDRESS", 0, 5, "h"),
        ("w3", "web", "IP_ADDRESS", 7, 9, "i"),
    ]
    lake.replace("filtered.pii_findings", findings(later), run_id="r2")
    assert acceptance.accept(lake, "release", then, "r2")
    now = build(lake, tmp_path_factory.mktemp("after"))
    for entity, was, is_ in (("EMAIL_ADDRESS", 2, 3), ("PHONE_NUMBER", 1, 0), ("IP_ADDRESS", 0, 1)):
        row, rate = now["web", entity], wilson(was, 40)
        assert row["accepted_documents"] == 40 and row["affected"] == is_
        accepted = [row["accepted_share"], row["accepted_low"], row["accepted_high"]]
        assert accepted == pytest.approx([rate.value, rate.low, rate.high])
        assert row["change"] == pytest.approx((is_ - was) / 40)
    gone = now["web", "PHONE_NUMBER"]
    assert (gone["findings"], gone["distinct_values"], gone["missed"]) == (0, 0, 0.0)
    lines = page(lake)
    assert "| 5.0 % \\[1.4, 16.5\\] n=40 | +2.5 |" in lines["EMAIL_ADDRESS"]
    assert "| -2.5 |" in lines["PHONE_NUMBER"]
