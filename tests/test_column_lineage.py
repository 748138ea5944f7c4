"""Column lineage: the policy's SQL traced to the columns it reads, every model of the project included."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from assets.documents import DOCUMENT
from assets.governance.column_lineage import column_lineage

TABLES = {
    "raw.documents": {"doc_id": "VARCHAR", "text": "VARCHAR", "license": "VARCHAR"},
    "raw.sources": {"source": "VARCHAR", "license": "VARCHAR"},
}


def test_a_column_comes_from_what_its_value_is_computed_from():
    sql = "SELECT doc_id, upper(text) || license AS both FROM lake.raw.documents WHERE text <> ''"
    assert column_lineage(sql, TABLES) == {
        "doc_id": (("raw.documents", "doc_id"),),
        "both": (("raw.documents", "license"), ("raw.documents", "text")),
    }


def test_constants_and_counts_come_from_nothing():
    assert column_lineage("SELECT 1 AS one, count(*) AS n FROM lake.raw.documents", TABLES) == {
        "one": (),
        "n": (),
    }


def test_a_star_is_every_column_but_the_excluded():
    found = column_lineage("SELECT documents.* EXCLUDE (text) FROM lake.raw.documents AS documents", TABLES)
    assert found == {
        "doc_id": (("raw.documents", "doc_id"),),
        "license": (("raw.documents", "license"),),
    }


def test_a_union_has_the_origins_of_all_its_parts():
    sql = """
        WITH licenses AS (
            SELECT license FROM lake.raw.documents UNION ALL SELECT license FROM lake.raw.sources
        )
        SELECT license FROM licenses
    """
    assert column_lineage(sql, TABLES)["license"] == (
        ("raw.documents", "license"),
        ("raw.sources", "license"),
    )


def test_a_scalar_subquery_and_a_list_are_seen_through():
    sql = """
        SELECT doc_id, unnest([length(text), 0]) AS value, (SELECT max(source) FROM lake.raw.sources) AS last
        FROM lake.raw.documents
    """
    found = column_lineage(sql, TABLES)
    assert found["value"] == (("raw.documents", "text"),)
    assert found["last"] == (("raw.sources", "source"),)


# One column a model whose origins are told here, by hand.
MODELS = {
    "verdicts": (
        "failed",
        {("filtered.evidence", "value"), ("policy.rules", "comparison"), ("policy.rules", "threshold")},
    ),
    "decisions": ("content_hash", {("raw.documents", "content_hash")}),
    "documents": ("text", {("filtered.redacted", "text")}),
    "pii_recall": ("labelled", {("filtered.labelled_recall", "labelled")}),
    "pii_risk": ("entity", {("filtered.pii_findings", "entity"), ("governance.accepted_risk", "entity")}),
    "rule_effects": ("language", {("filtered.signals", "language")}),
    "scored_verdicts": (
        "failed",
        {("scored.evidence", "value"), ("policy.rules", "comparison"), ("policy.rules", "threshold")},
    ),
    "selection": ("toxicity", {("scored.scores", "toxicity")}),
    "funnel": ("step", {("policy.rules", "rule")}),
    "mixture": ("characters", {("filtered.documents", "text")}),
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every model of the project as dbt would run it, by name."""
    from assets import dbt
    from assets.lake import Lake

    home = tmp_path_factory.mktemp("compiled")
    lake = Lake(home / "lake")
    lake.snapshots()  # the first connection makes the catalogue
    variables = dbt.environment(lake) | {"DBT_TARGET_PATH": str(home), "DBT_LOG_PATH": str(home)}
    folders = ["--project-dir", str(dbt.PROJECT_DIR), "--profiles-dir", str(dbt.PROJECT_DIR)]
    subprocess.run(
        [dbt.DBT, "--quiet", "compile", *folders],
        check=True,
        env=os.environ | variables,
    )
    models = Path(home / "compiled" / "winnow" / "models")
    return {file.stem: file.read_text(encoding="utf-8") for file in models.glob("*/*.sql")}


@pytest.fixture(scope="module")
def tables() -> dict[str, dict[str, str]]:
    """The columns of the tables whose columns the models leave unsaid."""
    from assets import dbt
    from assets.filters.signals import SIGNALS
    from assets.governance import acceptance
    from assets.privacy.findings import FINDING
    from assets.privacy.redaction import REDACTED

    rules = (dbt.PROJECT_DIR / "seeds" / "rules.csv").read_text(encoding="utf-8").splitlines()[0]
    return {
        "raw.documents": {field.name: "VARCHAR" for field in DOCUMENT} | {"run_id": "VARCHAR"},
        "filtered.signals": dict.fromkeys(["doc_id", "source", "language", "language_score"], "VARCHAR")
        | {signal.name: "DOUBLE" for signal in SIGNALS},
        "filtered.pii_findings": dict.fromkeys(FINDING.names, "VARCHAR"),
        "filtered.redacted": dict.fromkeys(REDACTED.names, "VARCHAR"),
        "scored.scores": dict.fromkeys(["doc_id", "source", "quality", "toxicity"], "VARCHAR"),
        "policy.rules": dict.fromkeys(rules.split(","), "VARCHAR"),
        "filtered.labelled_recall": dict.fromkeys(["entity", "labelled", "found"], "VARCHAR"),
        "governance.accepted_risk": dict.fromkeys(acceptance.RISK_COLUMNS.names, "VARCHAR"),
    }


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_traced(
    compiled: dict[str, str], tables: dict[str, dict[str, str]], model: str
) -> None:
    column, origins = MODELS[model]
    found = column_lineage(compiled[model], tables)
    assert set(found[column]) == origins
    assert sum(map(bool, found.values())) >= 2


@pytest.mark.slow
def test_evidence_reaches_what_was_measured(
    compiled: dict[str, str], tables: dict[str, dict[str, str]]
) -> None:
    from assets.filters.signals import SIGNALS

    value = set(column_lineage(compiled["evidence"], tables)["value"])
    assert {("filtered.signals", signal.name) for signal in SIGNALS} <= value
    assert {("filtered.duplicates", "relation"), ("filtered.contamination", "overlap")} <= value


@pytest.mark.slow
def test_every_model_is_looked_at(compiled: dict[str, str]) -> None:
    assert set(compiled) == {*MODELS, "evidence", "scored_evidence"}
