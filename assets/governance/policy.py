"""The policy: its rules, what they may ask for, and the SQL by which a document fails them.

The SQL stands once, as macros of the dbt project. The models call them, and so does this file, so that what
is tried or tested here is judged exactly as the lake judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from assets import settings
from assets.rules import Rule

if TYPE_CHECKING:
    from jinja2.environment import TemplateModule

DBT_PROJECT = settings.PROJECT / "dbt_project"
MACROS = DBT_PROJECT / "macros" / "policy.sql"

# What rules may ask for besides the measured signals: facts of a document that other assets establish.
FACTS: Mapping[str, str] = MappingProxyType(
    {
        "opted_out": "1 where the owner of the document withdrew consent.",
        "exact_duplicate": "1 where a document of the same content hash is kept in its place.",
        "near_duplicate": "1 where a near duplicate by MinHash is kept in its place.",
        "boilerplate_line_ratio": "Share of its lines that stand in many documents.",
        "boilerplate_char_ratio": "Share of its characters in lines that stand in many documents.",
        "boilerplate_para_char_ratio": "Share of its characters in paragraphs that stand in many documents.",
        "contamination_overlap": "The largest share of a benchmark item's word n-grams that the text holds.",
        "other_language_score": (
            "The confidence of the language model where it finds another language than the source declares; "
            "0 where it finds that language, or none is declared."
        ),
        "english_stop_words": (
            "The signal stop_word_count where the text is in English with a confidence of 0.3 or more, or "
            "has no language; of other texts nothing is known, so that no rule fails them."
        ),
        "spaced_word_length": (
            "The signal mean_word_length; of texts in Chinese, Japanese, Thai and other languages written "
            "without spaces nothing is known, so that no rule fails them."
        ),
        "pii_findings": "Spans of personal data that were found and replaced.",
        "pii_to_drop": "Spans among them whose action in the redaction policy is drop.",
        "not_releasable": "1 where the source is never released.",
        "license_unknown": "1 where the licence is NOASSERTION and no waiver holds.",
        "toxicity": "The score of the toxicity scorer.",
        "quality": "The probability by the quality classifier that this is reference text.",
    }
)


def as_table(rules: Iterable[Rule]) -> pa.Table:
    """Rules as the rows that SQL joins."""
    rows = [
        {
            "rule": each.name,
            "priority": each.priority,
            "profile": each.profile,
            "signal": each.signal,
            "comparison": each.comparison,
            "threshold": each.threshold,
            "action": each.action,
        }
        for each in rules
    ]
    return pa.Table.from_pylist(rows)


@cache
def _macros() -> TemplateModule:
    from jinja2 import Environment

    return Environment().from_string(MACROS.read_text(encoding="utf-8")).module


def breaks(value: str, comparison: str, threshold: str) -> str:
    """SQL that says whether a value breaks a rule; null where there is no value."""
    return str(_macros().breaks(value, comparison, threshold))  # type: ignore[attr-defined]


def judged(verdicts: str) -> str:
    """SQL that makes one row a document (dropped, reason, failed) from a relation of one row a rule."""
    return str(_macros().judged(verdicts))  # type: ignore[attr-defined]


def judge(measured: pa.Table, rules: Sequence[Rule], profile: str, language: str | None = None) -> pa.Table:
    """Documents held against a profile's rules of the filter stage, outside the lake.

    Args:
        measured: One row a document, one column a signal, and `language` with `language_score`. A rule that
            asks for anything else, such as copies, is left out.
        rules: A policy.
        profile: Of all documents.
        language: The one that their source declares.

    Returns:
        One row a document in the order given: `dropped`, `reason` (the first rule that removes it, or null)
        and `failed` (the names of every rule that it breaks, in the order of priority).
    """
    values = {name: f'"{name}"' for name in measured.column_names if name not in ("language", "doc_id")}
    macros: Any = _macros()
    if "language" in measured.column_names:
        values["other_language_score"] = macros.other_language_score(
            "language", "language_score", "$declared"
        )
        if "stop_word_count" in values:
            values["english_stop_words"] = macros.english_stop_words(
                "stop_word_count", "language", "language_score"
            )
        if "mean_word_length" in values:
            values["spaced_word_length"] = macros.spaced_word_length(
                "mean_word_length", "language", "language_score"
            )
    asked = [
        each
        for each in rules
        if each.stage == "filtered" and each.applies_to(profile) and each.signal in values
    ]
    rows = measured.num_rows
    if not asked or not rows:
        columns = {"dropped": pa.repeat(False, rows), "reason": pa.nulls(rows, pa.string())}
        return pa.table({**columns, "failed": pa.array([[]] * rows, pa.list_(pa.string()))})
    names = sorted({each.signal for each in asked})
    asked_for = ", ".join(f"({values[name]})::DOUBLE" for name in names)
    with duckdb.connect() as connection:
        row_number = pa.array(range(rows))
        if "doc_id" in measured.column_names:
            measured = measured.drop(["doc_id"])
        connection.register("measured", measured.append_column("doc_id", row_number))
        connection.register("rules", as_table(asked))
        return connection.execute(
            "WITH declared AS (SELECT $declared::VARCHAR), "
            f"evidence AS (SELECT doc_id, unnest({names}) AS signal, unnest([{asked_for}]) AS value "
            "FROM measured), "
            "verdicts AS (SELECT evidence.*, rules.* EXCLUDE (signal), "
            f"{breaks('evidence.value', 'rules.comparison', 'rules.threshold')} AS failed "
            "FROM evidence JOIN rules USING (signal)) "
            "SELECT dropped, reason, list_transform(coalesce(failed, []), lambda each: each.rule) AS failed "
            f"FROM ({judged('verdicts')}) ORDER BY doc_id",
            {"declared": language},
        ).to_arrow_table()
