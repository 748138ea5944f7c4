"""The suites: each expectation holds on good data, and breaks on the data it is there to catch."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from expectations.suites import Expectation, Suite, SuiteError, load_suites
from expectations.validate import Result, validate

SUITES = load_suites()
PARTITIONED = (
    "raw/documents",
    "filtered/signals",
    "filtered/redacted",
    "filtered/contamination",
    "scored/scores",
)

# A small lake on which every expectation holds: two sources, four documents, one duplicate, one removed.
GOOD = """
CREATE SCHEMA raw;
CREATE SCHEMA filtered;
CREATE SCHEMA scored;
CREATE SCHEMA evaluated;
CREATE SCHEMA policy;

CREATE TABLE raw.sources AS SELECT unnest(['web', 'sft']) AS source, true AS releasable;
CREATE TABLE raw.documents AS
SELECT md5(i::VARCHAR) AS doc_id, CASE WHEN i < 3 THEN 'web' ELSE 'sft' END AS source, 'document' AS kind,
    'Some text ' || i AS text, 'Apache-2.0' AS license, 'granted' AS consent,
    md5('text ' || CASE WHEN i = 1 THEN 0 ELSE i END) AS content_hash
FROM range(4) AS t(i);
CREATE TABLE raw.ingestions AS
FROM (VALUES ('web', 'a.jsonl', 4, 3, 0, 1, 1), ('sft', 'b.jsonl', 1, 1, 0, 0, 0))
    AS t(source, file, rows_in, documents, quarantined, skipped, erased);

CREATE TABLE filtered.signals AS
SELECT doc_id, source, content_hash, length(text) AS characters, 3 AS words, 0.5 AS digit_ratio,
    1.5 AS hash_ratio, 2.0 AS top_2_gram_char_ratio, 1.0 AS dup_line_ratio, 'en' AS language,
    0.9::FLOAT AS language_score, 'v1' AS signal_version
FROM raw.documents;
CREATE TABLE filtered.pii_findings AS
SELECT doc_id, source, 'IP_ADDRESS' AS entity, 0 AS "start", 4 AS "end", 0.6::DOUBLE AS score,
    'IpRecognizer' AS recognizer, md5('v') AS value_hmac, '01234567' AS key_id
FROM raw.documents WHERE doc_id = md5('0');
CREATE TABLE filtered.pii_residual AS FROM filtered.pii_findings LIMIT 0;
CREATE TABLE filtered.redacted AS
SELECT doc_id, source, content_hash, text, 0 AS n_findings FROM raw.documents;
CREATE TABLE filtered.pii_risk AS
SELECT 'web' AS source, 'IP_ADDRESS' AS entity, 3 AS documents, 1 AS affected, 0.33::DOUBLE AS share, 0.06 AS low,
    0.79 AS high, 1 AS findings, 1 AS distinct_values, 0 AS repeated_values, 0.04::DOUBLE AS missed_share,
    0.0::DOUBLE AS missed_low, 0.1::DOUBLE AS missed_high, 3 AS accepted_documents, 0.33::DOUBLE AS accepted_share,
    0.06::DOUBLE AS accepted_low, 0.79::DOUBLE AS accepted_high, 0.0::DOUBLE AS change
UNION ALL SELECT 'sft', 'KR_PASSPORT', 1, 0, 0.0, 0.0, 0.79, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL;
CREATE TABLE filtered.pii_recall AS
SELECT 'drill' AS basis, 'IP_ADDRESS' AS entity, 21 AS labelled, 20 AS found;
CREATE TABLE filtered.duplicates AS
SELECT doc_id, source, md5('c') AS cluster_id, 'exact' AS relation, md5('0') AS keeper_id,
    1::DOUBLE AS similarity, doc_id = md5('0') AS is_keeper
FROM raw.documents WHERE doc_id IN (md5('0'), md5('1'));
CREATE TABLE filtered.boilerplate AS
SELECT doc_id, source, 0.5::DOUBLE AS boilerplate_line_ratio, 0.4::DOUBLE AS boilerplate_char_ratio,
    0.0::DOUBLE AS boilerplate_para_char_ratio
FROM raw.documents;
CREATE TABLE filtered.contamination AS
SELECT doc_id, source, 'gsm8k' AS benchmark, '1' AS item_id, 0.2::DOUBLE AS overlap, 3 AS words_matched
FROM raw.documents WHERE doc_id = md5('0');
CREATE TABLE filtered.decisions AS
SELECT doc_id, source, 'p1' AS policy_version,
    CASE WHEN doc_id = md5('1') THEN 'removed' ELSE 'kept' END AS verdict,
    CASE WHEN doc_id = md5('1') THEN 'exact_duplicate' END AS reason
FROM raw.documents;
CREATE TABLE filtered.documents AS FROM raw.documents WHERE doc_id <> md5('1');
CREATE TABLE filtered.funnel AS
FROM (VALUES ('web', 'exact_duplicate', 1, 3, 1, 0, 2), ('web', 'too_short', 2, 2, 0, 0, 2),
    ('sft', 'too_short', 1, 1, 0, 0, 1)) AS t(source, step, position, documents_in, removed, errored, kept);
CREATE TABLE filtered.rule_effects AS
SELECT 'exact_duplicate' AS rule, source, 'en' AS language, '>' AS comparison, 0.0 AS threshold,
    'drop' AS action, documents, failed, failed AS removed_alone, failed AS removed_first, 0 AS removed_also,
    failed / documents AS share, low, high, true AS expected, 1 AS least_documents, 1.0 AS share_below,
    0.1 AS jump_below, [md5('1')] AS examples
FROM (VALUES ('web', 3, 1, 0.06, 0.79), ('sft', 1, 0, 0.0, 0.79)) AS t(source, documents, failed, low, high);
CREATE SCHEMA governance;
CREATE TABLE governance.accepted_effects AS SELECT *, 'r1' AS release_id FROM filtered.rule_effects;

CREATE TABLE policy.waivers AS SELECT '' AS kind, '' AS subject, current_date AS expires LIMIT 0;
CREATE TABLE scored.scores AS
SELECT doc_id, source, 0.7::FLOAT AS quality, 0.1::FLOAT AS toxicity, '{}' AS scorer_versions
FROM filtered.documents;
CREATE TABLE scored.quality_metrics AS
FROM (VALUES ('all', 'precision', 0.95::DOUBLE, 0.9, 0.98, 200), ('all', 'auroc', 0.95, 0.9, 0.98, 400))
    AS t(source, metric, value, low, high, n);
CREATE TABLE scored.selection AS
SELECT doc_id, source, doc_id <> md5('3') AS selected, CASE WHEN doc_id = md5('3') THEN 'toxic' END AS reason
FROM filtered.documents;
CREATE TABLE scored.mixture AS
FROM (VALUES ('web', 1, 0.4::DOUBLE, 0.5::DOUBLE), ('sft', 1, 0.6, 0.5))
    AS t(source, documents, share, natural_share);

CREATE TABLE evaluated.verdict AS
FROM (VALUES ('contamination', 'critical', 0.0::DOUBLE, 10, true, 'why'),
    ('retention', 'warning', 0.5, NULL, true, 'why')) AS t(gate, severity, value, n, passed, rationale);
"""

ONE = "doc_id = md5('0')"

# What breaks each expectation, and only data that a mistake could make.
BREAKS = {
    "raw/documents": {
        "has_documents": "DELETE FROM raw.documents",
        "doc_id_unique": f"INSERT INTO raw.documents FROM raw.documents WHERE {ONE}",
        "doc_id_is_a_hash": f"UPDATE raw.documents SET doc_id = 'row 1' WHERE {ONE}",
        "text_not_empty": f"UPDATE raw.documents SET text = '  ' WHERE {ONE}",
        "kind_known": f"UPDATE raw.documents SET kind = 'page' WHERE {ONE}",
        "license_stated": f"UPDATE raw.documents SET license = NULL WHERE {ONE}",
        "consent_known": f"UPDATE raw.documents SET consent = 'maybe' WHERE {ONE}",
        "no_opted_out": f"UPDATE raw.documents SET consent = 'opted_out' WHERE {ONE}",
        "ingestion_recorded": "DELETE FROM raw.ingestions",
        "rows_accounted_for": "UPDATE raw.ingestions SET rows_in = rows_in + 1 WHERE source = 'web'",
        "documents_all_in_table": f"DELETE FROM raw.documents WHERE {ONE}",
        "quarantine_at_most_1_percent": "UPDATE raw.ingestions SET rows_in = 50, quarantined = 1",
        "quarantine_at_most_20_percent": "UPDATE raw.ingestions SET rows_in = 4, quarantined = 1",
    },
    "filtered/signals": {
        "signals_doc_id_unique": f"INSERT INTO filtered.signals FROM filtered.signals WHERE {ONE}",
        "has_characters": f"UPDATE filtered.signals SET characters = 0 WHERE {ONE}",
        "words_measured": f"UPDATE filtered.signals SET words = NULL WHERE {ONE}",
        "language_measured": f"UPDATE filtered.signals SET language = NULL WHERE {ONE}",
        "signal_version_known": f"UPDATE filtered.signals SET signal_version = NULL WHERE {ONE}",
        "language_score_is_a_probability": "UPDATE filtered.signals SET language_score = 1.2",
        "no_negative_ratio": f"UPDATE filtered.signals SET hash_ratio = -0.1 WHERE {ONE}",
        "shares_at_most_1": f"UPDATE filtered.signals SET dup_line_ratio = 1.1 WHERE {ONE}",
        "no_ratio_missing": f"UPDATE filtered.signals SET digit_ratio = NULL WHERE {ONE}",
        "every_document_measured": f"DELETE FROM filtered.signals WHERE {ONE}",
        "signals_of_present_text": f"UPDATE filtered.signals SET content_hash = 'x' WHERE {ONE}",
    },
    "filtered/redacted": {
        "redacted_doc_id_unique": f"INSERT INTO filtered.redacted FROM filtered.redacted WHERE {ONE}",
        "findings_counted": f"UPDATE filtered.redacted SET n_findings = -1 WHERE {ONE}",
        "redacted_text_not_empty": f"UPDATE filtered.redacted SET text = '' WHERE {ONE}",
        "pii_score_is_a_probability": "UPDATE filtered.pii_findings SET score = 85",
        "pii_span_starts_in_text": 'UPDATE filtered.pii_findings SET "start" = -1',
        "pii_span_not_empty": 'UPDATE filtered.pii_findings SET "end" = 0',
        "pii_span_of_a_document": "UPDATE filtered.pii_findings SET doc_id = md5('9')",
        "pii_span_ends_in_text": 'UPDATE filtered.pii_findings SET "end" = 99',
        "pii_value_hashed": "UPDATE filtered.pii_findings SET value_hmac = 'jane@example.org'",
        "every_document_redacted": f"DELETE FROM filtered.redacted WHERE {ONE}",
        "redaction_leaves_nothing": "INSERT INTO filtered.pii_residual FROM filtered.pii_findings",
        "redaction_of_present_text": f"UPDATE filtered.redacted SET content_hash = 'x' WHERE {ONE}",
    },
    "filtered/duplicates": {
        "duplicates_doc_id_unique": "INSERT INTO filtered.duplicates FROM filtered.duplicates",
        "relation_known": "UPDATE filtered.duplicates SET relation = 'alike'",
        "similarity_is_a_share": "UPDATE filtered.duplicates SET similarity = 100",
        "cluster_has_two_members": f"DELETE FROM filtered.duplicates WHERE NOT ({ONE})",
        "cluster_has_a_keeper": "UPDATE filtered.duplicates SET is_keeper = false",
        "keeper_keeps_itself": "UPDATE filtered.duplicates SET is_keeper = true",
        "keeper_is_kept": f"UPDATE filtered.duplicates SET keeper_id = 'x' WHERE NOT ({ONE})",
        "keeper_in_the_cluster": f"UPDATE filtered.duplicates SET cluster_id = 'x' WHERE NOT ({ONE})",
    },
    "filtered/boilerplate": {
        "boilerplate_measured_everywhere": f"DELETE FROM filtered.boilerplate WHERE {ONE}",
        "boilerplate_of_a_document": f"UPDATE filtered.boilerplate SET doc_id = md5('9') WHERE {ONE}",
        "boilerplate_line_share": "UPDATE filtered.boilerplate SET boilerplate_line_ratio = 1.1",
        "boilerplate_char_share": "UPDATE filtered.boilerplate SET boilerplate_char_ratio = -0.1",
        "boilerplate_para_char_share": "UPDATE filtered.boilerplate SET boilerplate_para_char_ratio = 2",
    },
    "filtered/contamination": {
        "benchmark_named": "UPDATE filtered.contamination SET benchmark = NULL",
        "overlap_is_a_share": "UPDATE filtered.contamination SET overlap = 0",
        "words_counted": "UPDATE filtered.contamination SET words_matched = 0",
        "contamination_of_a_document": "UPDATE filtered.contamination SET doc_id = md5('9')",
    },
    "filtered/decisions": {
        "decisions_doc_id_unique": f"INSERT INTO filtered.decisions FROM filtered.decisions WHERE {ONE}",
        "verdict_known": f"UPDATE filtered.decisions SET verdict = 'dropped' WHERE {ONE}",
        "no_document_errored": f"UPDATE filtered.decisions SET verdict = 'errored' WHERE {ONE}",
        "policy_version_known": f"UPDATE filtered.decisions SET policy_version = NULL WHERE {ONE}",
        "every_document_decided": f"DELETE FROM filtered.decisions WHERE {ONE}",
        "every_removal_has_a_reason": "UPDATE filtered.decisions SET reason = NULL",
        "one_policy": f"UPDATE filtered.decisions SET policy_version = 'p2' WHERE {ONE}",
    },
    "filtered/documents": {
        "some_documents_kept": "DELETE FROM filtered.documents",
        "documents_doc_id_unique": f"INSERT INTO filtered.documents FROM filtered.documents WHERE {ONE}",
        "only_kept_documents": f"UPDATE filtered.decisions SET verdict = 'removed' WHERE {ONE}",
        "no_opted_out_document_kept": f"UPDATE filtered.documents SET consent = 'opted_out' WHERE {ONE}",
        "kept_text_not_empty": f"UPDATE filtered.documents SET text = '' WHERE {ONE}",
        "every_kept_document_is_here": f"DELETE FROM filtered.documents WHERE {ONE}",
    },
    "filtered/funnel": {
        "in_is_kept_removed_and_errored": "UPDATE filtered.funnel SET removed = 5 WHERE position = 2",
        "steps_connect": "UPDATE filtered.funnel SET documents_in = 9, kept = 9 WHERE position = 2",
        "removed_is_a_count": "UPDATE filtered.funnel SET removed = -1, documents_in = kept - 1",
        "errored_is_a_count": "UPDATE filtered.funnel SET errored = -1, documents_in = kept - 1",
        "kept_is_a_count": "UPDATE filtered.funnel SET kept = -1, documents_in = removed - 1",
        "funnel_begins_at_read": f"DELETE FROM raw.documents WHERE {ONE}",
        "funnel_ends_at_kept": f"DELETE FROM filtered.documents WHERE {ONE}",
    },
    "filtered/rule_effects": {
        "failed_are_some_of_those_judged": "UPDATE filtered.rule_effects SET failed = 4",
        "effect_share_is_a_share": "UPDATE filtered.rule_effects SET share = 33",
        "removals_are_alone_or_shared": "UPDATE filtered.rule_effects SET removed_also = 1",
        "no_rule_removes_all": "UPDATE filtered.rule_effects SET share = 1",
        "first_reasons_add_up": "UPDATE filtered.decisions SET verdict = 'kept'",
        "every_rule_removes_something": "UPDATE filtered.rule_effects SET failed = 0",
        "no_share_jumped": "UPDATE governance.accepted_effects SET share = 0.9, low = 0.85, high = 0.95",
        "no_share_moved_by_policy": (
            "UPDATE governance.accepted_effects SET share = 0.9, low = 0.85, high = 0.95, threshold = 1"
        ),
    },
    "filtered/pii_risk": {
        "affected_are_some_of_the_documents": "UPDATE filtered.pii_risk SET affected = 4",
        "affected_share_is_a_share": "UPDATE filtered.pii_risk SET share = 33",
        "repeated_values_are_some_of_all": "UPDATE filtered.pii_risk SET repeated_values = 2",
        "every_finding_is_counted": f"INSERT INTO filtered.pii_findings FROM filtered.pii_findings WHERE {ONE}",
        "missed_share_is_a_share": "UPDATE filtered.pii_risk SET missed_share = 1.5",
        "missed_at_least_its_lower_bound": "UPDATE filtered.pii_risk SET missed_low = 0.05",
        "missed_at_most_its_upper_bound": "UPDATE filtered.pii_risk SET missed_high = 0.03",
        "values_under_one_key": (
            "INSERT INTO filtered.pii_findings SELECT * REPLACE ('89abcdef' AS key_id) FROM filtered.pii_findings"
        ),
        "no_personal_data_jumped": (
            "UPDATE filtered.pii_risk SET documents = 30, accepted_documents = 30, accepted_share = 0.9, "
            "accepted_low = 0.8, change = -0.57"
        ),
    },
    "filtered/pii_recall": {
        "samples_there": "DELETE FROM filtered.pii_recall",
        "something_labelled": "UPDATE filtered.pii_recall SET labelled = 0, found = 0",
        "found_are_some_of_the_labelled": "UPDATE filtered.pii_recall SET found = 22",
    },
    "scored/quality_metrics": {
        "classifier_evaluated": "DELETE FROM scored.quality_metrics",
        "figures_in_range": "UPDATE scored.quality_metrics SET value = 95",
        "interval_in_order": "UPDATE scored.quality_metrics SET low = 0.99",
        "precision_known": "DELETE FROM scored.quality_metrics WHERE metric = 'precision'",
        "precision_at_least_80_percent": "UPDATE scored.quality_metrics SET low = 0.7",
        "auroc_at_least_80_percent": "UPDATE scored.quality_metrics SET low = 0.7",
        "held_out_enough": "UPDATE scored.quality_metrics SET n = 20",
    },
    "scored/scores": {
        "scores_doc_id_unique": f"INSERT INTO scored.scores FROM scored.scores WHERE {ONE}",
        "quality_is_a_probability": "UPDATE scored.scores SET quality = 70",
        "toxicity_scored": f"UPDATE scored.scores SET toxicity = NULL WHERE {ONE}",
        "toxicity_is_a_probability": "UPDATE scored.scores SET toxicity = -1",
        "scorer_versions_known": "UPDATE scored.scores SET scorer_versions = NULL",
        "every_kept_document_scored": f"DELETE FROM scored.scores WHERE {ONE}",
        "only_kept_documents_scored": f"DELETE FROM filtered.documents WHERE {ONE}",
    },
    "scored/selection": {
        "something_selected": "UPDATE scored.selection SET selected = false",
        "selected_was_kept": f"DELETE FROM filtered.decisions WHERE {ONE}",
        "no_opted_out_selected": f"UPDATE raw.documents SET consent = 'opted_out' WHERE {ONE}",
        "selected_is_still_in_raw": f"DELETE FROM raw.documents WHERE {ONE}",
        "no_unknown_licence_selected": "UPDATE raw.documents SET license = 'NOASSERTION'",
        "only_releasable_sources_selected": "UPDATE raw.sources SET releasable = false",
        "no_contaminated_selected": "UPDATE filtered.contamination SET overlap = 0.5",
        "no_text_selected_twice": "UPDATE raw.documents SET content_hash = 'same'",
        "every_kept_document_considered": f"DELETE FROM scored.selection WHERE {ONE}",
        "every_rejection_has_a_reason": "UPDATE scored.selection SET reason = NULL",
    },
    "scored/mixture": {
        "mixture_has_sources": "DELETE FROM scored.mixture",
        "shares_sum_to_1": "UPDATE scored.mixture SET share = 0.6",
        "natural_shares_sum_to_1": "UPDATE scored.mixture SET natural_share = 0.6",
        "share_is_a_share": "UPDATE scored.mixture SET share = -share",
        "mixture_source_has_documents": "UPDATE scored.mixture SET documents = 0",
        "no_source_dominates": "UPDATE scored.mixture SET share = 0.95",
        "mixture_holds_the_selection": f"UPDATE scored.selection SET selected = false WHERE {ONE}",
    },
    "evaluated/verdict": {
        "gates_judged": "DELETE FROM evaluated.verdict",
        "gate_severity_known": "UPDATE evaluated.verdict SET severity = 'minor'",
        "gate_decided": "UPDATE evaluated.verdict SET passed = NULL",
        "gate_has_a_rationale": "UPDATE evaluated.verdict SET rationale = NULL",
        "figure_has_observations": "UPDATE evaluated.verdict SET n = 0",
        "has_critical_gates": "UPDATE evaluated.verdict SET severity = 'warning'",
        "critical_gates_pass": "UPDATE evaluated.verdict SET passed = false",
        "warning_gates_pass": "UPDATE evaluated.verdict SET passed = false",
    },
}

BATCH = pa.table(
    {
        "doc_id": ["a", "b", "c", "d"],
        "text": ["jane@example.org", "secret", None, "plain"],
        "score": [0.5, 2.0, 3.0, None],
    }
)


@pytest.fixture
def lake() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(GOOD)
        yield connection


def run(lake: duckdb.DuckDBPyConnection, suite: Suite, source: str | None = None) -> tuple[Result, ...]:
    sql = suite.sql(one_source=source is not None)
    query = lake.execute(sql, {"source": source} if source else None)
    return validate(suite, query.to_arrow_table())


def expectation(name: str, type: str, severity: str = "critical", **kwargs: object) -> Expectation:
    return Expectation(name, type, kwargs, severity, "because")


def suite_of(*expectations: Expectation) -> Suite:
    return Suite("raw/things", "raw.things", None, tuple(BATCH.column_names), expectations)


# the suites


@pytest.mark.parametrize("asset", SUITES)
def test_good_data_holds(asset: str, lake: duckdb.DuckDBPyConnection) -> None:
    for suite in SUITES[asset]:
        for source in [None, "web"] if asset in PARTITIONED else [None]:
            assert [result for result in run(lake, suite, source) if not result.success] == []


@pytest.mark.parametrize(("asset", "name"), [(asset, name) for asset in BREAKS for name in BREAKS[asset]])
def test_broken_data_breaks_its_expectation(asset: str, name: str, lake: duckdb.DuckDBPyConnection) -> None:
    [suite] = [s for s in SUITES[asset] if name in [e.name for e in s.expectations]]
    lake.execute(BREAKS[asset][name])
    results = {result.name: result for result in run(lake, suite)}
    assert not results[name].success
    assert results[name].message
    assert results[name].severity == next(e.severity for e in suite.expectations if e.name == name)


def test_every_expectation_is_broken_once() -> None:
    names = {asset: {e.name for suite in SUITES[asset] for e in suite.expectations} for asset in SUITES}
    assert {asset: set(BREAKS[asset]) for asset in BREAKS} == names


def effects(lake: duckdb.DuckDBPyConnection) -> dict[str, Result]:
    return {result.name: result for suite in SUITES["filtered/rule_effects"] for result in run(lake, suite)}


def test_a_guard_names_the_cell_and_documents(lake: duckdb.DuckDBPyConnection) -> None:
    lake.execute("UPDATE filtered.rule_effects SET share = 1 WHERE source = 'web'")
    assert effects(lake)["no_rule_removes_all"].example_ids == (f"exact_duplicate in web, en: {md5('1')}",)


@pytest.mark.parametrize(
    "allowed",
    [
        "UPDATE raw.sources SET releasable = false",  # a drill is planted to be removed
        "UPDATE filtered.rule_effects SET expected = false",  # other languages than the source declares
        "UPDATE filtered.rule_effects SET least_documents = 30",
        "UPDATE filtered.rule_effects SET share_below = NULL",
        "UPDATE filtered.rule_effects SET action = 'flag'",
    ],
)
def test_where_a_rule_may_remove_all(lake: duckdb.DuckDBPyConnection, allowed: str) -> None:
    lake.execute("UPDATE filtered.rule_effects SET share = 1")
    lake.execute(allowed)
    assert effects(lake)["no_rule_removes_all"].success


@pytest.mark.parametrize(
    "quiet",
    [
        "UPDATE governance.accepted_effects SET low = 0.75",  # the intervals overlap
        "UPDATE filtered.rule_effects SET jump_below = 0.95",
        "UPDATE filtered.rule_effects SET least_documents = 30",
        "UPDATE governance.accepted_effects SET documents = 0",
        "DELETE FROM governance.accepted_effects",  # nothing was accepted yet
    ],
)
def test_where_a_share_has_not_jumped(lake: duckdb.DuckDBPyConnection, quiet: str) -> None:
    lake.execute("UPDATE governance.accepted_effects SET share = 0.9, low = 0.85, high = 0.95")
    assert not effects(lake)["no_share_jumped"].success
    lake.execute(quiet)
    assert effects(lake)["no_share_jumped"].success


@pytest.mark.parametrize(
    "quiet",
    [
        "UPDATE filtered.pii_risk SET documents = 29",
        "UPDATE filtered.pii_risk SET change = 0.09",
        "UPDATE filtered.pii_risk SET accepted_low = 0.7",  # the intervals overlap
        "UPDATE filtered.pii_risk SET change = NULL, accepted_documents = NULL",  # nothing was accepted yet
    ],
)
def test_where_personal_data_has_not_jumped(lake: duckdb.DuckDBPyConnection, quiet: str) -> None:
    name = "no_personal_data_jumped"
    [suite] = [s for s in SUITES["filtered/pii_risk"] if name in [e.name for e in s.expectations]]
    lake.execute(BREAKS["filtered/pii_risk"][name])
    [jumped] = run(lake, suite)
    assert jumped.example_ids[-1] == "IP_ADDRESS in web: 90.0 % became 33.0 %" and not jumped.success
    lake.execute(quiet)
    assert [result.success for result in run(lake, suite)] == [True]


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def test_a_waiver_allows_an_unknown_licence(lake: duckdb.DuckDBPyConnection) -> None:
    lake.execute("UPDATE raw.documents SET license = 'NOASSERTION'")
    lake.execute("INSERT INTO policy.waivers SELECT 'license', source, current_date + 1 FROM raw.sources")
    assert all(result.success for suite in SUITES["scored/selection"] for result in run(lake, suite))


def test_source_narrows_the_batch(lake: duckdb.DuckDBPyConnection) -> None:
    lake.execute("UPDATE raw.documents SET text = '' WHERE source = 'sft'")
    suite = SUITES["raw/documents"][0]
    assert {r.name: (r.success, r.n) for r in run(lake, suite, "web")}["text_not_empty"] == (True, 3)
    assert {r.name: (r.success, r.n) for r in run(lake, suite, "sft")}["text_not_empty"] == (False, 1)


# reading suites


def test_reading_suites_imports_no_great_expectations() -> None:
    code = (
        "import sys; import expectations.suites, expectations.validate; expectations.suites.load_suites(); "
        "assert 'great_expectations' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


GOOD_ENTRY = {
    "asset": "raw/things",
    "table": "raw.things",
    "columns": ["x"],
    "expectations": [
        {
            "name": "x_unique",
            "type": "ExpectColumnValuesToBeUnique",
            "kwargs": {"column": "x"},
            "severity": "critical",
            "rationale": "r",
        }
    ],
}


def altered(**changes: object) -> dict:
    first = GOOD_ENTRY["expectations"][0] | changes
    return GOOD_ENTRY | {"expectations": [{k: v for k, v in first.items() if v is not None}]}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([altered(severity="fatal")], r"raw_things.json: x_unique: severity 'fatal' is none of"),
        ([altered(severity=None)], r"raw_things.json: x_unique: severity missing"),
        ([altered(mostly=1)], r"raw_things.json: x_unique: mostly unknown"),
        ([altered(kwargs={"column": "y"})], r"raw_things.json: x_unique: y not among the columns"),
        ([altered(name=None)], r"an expectation without a name: name missing"),
        ([GOOD_ENTRY, GOOD_ENTRY], r"raw_things.json: x_unique: the name is taken"),
        ([GOOD_ENTRY | {"query": ["SELECT 1"]}], r"either a table or a query"),
        ([GOOD_ENTRY | {"asset": "raw/other"}], r"raw_things.json: a suite of raw/other"),
        (GOOD_ENTRY, r"raw_things.json: expected a list of suites"),
    ],
)
def test_a_bad_suite_is_named(entries: object, message: str, tmp_path: Path) -> None:
    (tmp_path / "raw_things.json").write_text(json.dumps(entries))
    with pytest.raises(SuiteError, match=message):
        load_suites(tmp_path)


def test_broken_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "raw_things.json").write_text("[{]")
    with pytest.raises(SuiteError, match=r"raw_things.json: not JSON"):
        load_suites(tmp_path)


# validating


def test_results_count_and_name_rows_but_quote_no_value() -> None:
    suite = suite_of(
        expectation("text_present", "ExpectColumnValuesToNotBeNull", column="text"),
        expectation(
            "text_plain", "ExpectColumnValuesToBeInSet", "warning", column="text", value_set=["plain"]
        ),
        expectation("only_plain", "ExpectColumnDistinctValuesToBeInSet", column="text", value_set=["plain"]),
        expectation("longest", "ExpectColumnValueLengthsToBeBetween", column="text", max_value=3),
        expectation("highest", "ExpectColumnMaxToBeBetween", column="score", max_value=1),
        expectation("score_as_text", "ExpectColumnValuesToBeBetween", column="text", max_value=1),
    )
    results = validate(suite, BATCH)
    present, plain, _only, _longest, highest, as_text = results
    assert (present.success, present.observed, present.unexpected_count, present.n) == (False, 0.25, 1, 4)
    assert present.example_ids == ("c",)
    assert (plain.severity, plain.example_ids, plain.message) == (
        "warning",
        ("a", "b"),
        "2 of 4 rows break it",
    )
    assert (highest.observed, highest.message) == (3.0, "observed 3")
    assert not as_text.success
    assert "TypeError" in as_text.message
    assert not any(secret in repr(results) for secret in ("jane", "secret"))
    assert json.dumps([vars(result) for result in results])


def test_a_missing_column_breaks_only_what_needs_it() -> None:
    suite = suite_of(
        expectation("there", "ExpectColumnValuesToBeUnique", column="doc_id"),
        expectation("gone", "ExpectColumnValuesToBeUnique", column="nowhere"),
    )
    there, gone = validate(suite, BATCH)
    assert there.success
    assert (gone.success, gone.message) == (False, "the batch has no column nowhere")


def test_equal_expectations_keep_their_names() -> None:
    suite = suite_of(
        expectation("one", "ExpectColumnValuesToBeUnique", column="doc_id"),
        expectation("two", "ExpectColumnValuesToBeUnique", "warning", column="doc_id"),
    )
    assert [(result.name, result.severity) for result in validate(suite, BATCH)] == [
        ("one", "critical"),
        ("two", "warning"),
    ]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (expectation("odd", "ExpectWonders"), "raw/things: odd: Great Expectations knows no ExpectWonders"),
        (expectation("odd", "ExpectColumnValuesToBeUnique"), "raw/things: odd: .*column"),
    ],
)
def test_unknown_types_and_arguments_are_errors(broken: Expectation, message: str) -> None:
    with pytest.raises(SuiteError, match=f"(?s){message}"):
        validate(suite_of(broken), BATCH)


def test_an_empty_batch() -> None:
    suite = suite_of(
        expectation("unique", "ExpectColumnValuesToBeUnique", column="doc_id"),
        expectation("rows", "ExpectTableRowCountToBeBetween", min_value=1),
    )
    unique, rows = validate(suite, BATCH.slice(0, 0))
    assert (unique.success, unique.n, unique.observed) == (True, 0, None)
    assert (rows.success, rows.observed) == (False, 0.0)


def test_nothing_is_written_and_nothing_is_sent(tmp_path: Path) -> None:
    code = (
        "import socket\n"
        "def refuse(*a, **k): raise AssertionError('a connection was opened')\n"
        "socket.socket.connect = refuse; socket.create_connection = refuse\n"
        "from tests.test_expectations import BATCH, expectation, suite_of, validate\n"
        "rows = expectation('rows', 'ExpectTableRowCountToBeBetween', min_value=1)\n"
        "[result] = validate(suite_of(rows), BATCH)\n"
        "assert result.success\n"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
