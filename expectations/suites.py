"""The suites: what each asset promises, read from the JSON files of this folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SEVERITIES = ("critical", "warning")
BY_SOURCE = "{source}"


class SuiteError(ValueError):
    """A suite that can't be read or run; it names the file and the expectation."""


@dataclass(frozen=True)
class Expectation:
    """One promise: a Great Expectations type with its arguments, and why it is asked.

    When it breaks, `critical` stops what is downstream and `warning` is shown.
    """

    name: str
    type: str
    kwargs: Mapping[str, Any]
    severity: str
    rationale: str


@dataclass(frozen=True)
class Suite:
    """What one asset promises about one batch of rows: columns of its table, or the rows of a query.

    `named_by` is the column that names a row which breaks a promise: an id or a group, never a text.
    A query says `{source}` where one source's rows can be asked for alone; in the file it is a list of lines.
    """

    asset: str
    table: str | None
    query: str | None
    columns: tuple[str, ...]
    expectations: tuple[Expectation, ...]
    named_by: str = "doc_id"

    def sql(self, *, one_source: bool = False) -> str:
        """The batch as DuckDB SQL: of the source in the parameter `$source`, or of all."""
        query = self.query or f"SELECT {', '.join(self.columns)} FROM {self.table} WHERE {BY_SOURCE}"
        return query.replace(BY_SOURCE, "source = $source" if one_source else "true")


def load_suites(folder: Path | None = None) -> dict[str, tuple[Suite, ...]]:
    """Every suite by its asset; a file is a list of suites of one asset and has the asset's name.

    Raises:
        SuiteError: Naming file and expectation: a key missing or unknown, a severity that isn't one, a name
            taken within the asset, a column expected of but not asked for, a file of another name.
    """
    suites = {}
    for path in sorted((folder or Path(__file__).parent).glob("*.json")):
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SuiteError(f"{path.name}: not JSON: {error}") from error
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise SuiteError(f"{path.name}: expected a list of suites")
        read = tuple(_suite(entry, path.name) for entry in entries)
        for suite in read:
            if suite.asset.replace("/", "_") != path.stem:
                raise SuiteError(f"{path.name}: a suite of {suite.asset}, whose file has another name")
        names = [expectation.name for suite in read for expectation in suite.expectations]
        if taken := sorted({name for name in names if names.count(name) > 1}):
            raise SuiteError(f"{path.name}: {', '.join(taken)}: the name is taken")
        if read:
            suites[read[0].asset] = read
    return suites


def columns_of(expectation: Expectation) -> tuple[str, ...]:
    """The columns that an expectation's arguments name; none where it is about the table."""
    single = [
        expectation.kwargs[key] for key in ("column", "column_A", "column_B") if key in expectation.kwargs
    ]
    return (*single, *expectation.kwargs.get("column_list", ()))


def _suite(entry: Mapping[str, Any], file: str) -> Suite:
    _expect_keys(entry, {"asset", "columns", "expectations"}, {"table", "query", "named_by"}, file)
    if ("table" in entry) == ("query" in entry):
        raise SuiteError(f"{file}: a suite has either a table or a query")
    columns = tuple(entry["columns"])
    expectations = tuple(_expectation(each, file) for each in entry["expectations"])
    for expectation in expectations:
        if unknown := set(columns_of(expectation)) - set(columns):
            raise SuiteError(
                f"{file}: {expectation.name}: {', '.join(sorted(unknown))} not among the columns"
            )
    query = "\n".join(entry["query"]) if "query" in entry else None
    named_by = entry.get("named_by", "doc_id")
    return Suite(entry["asset"], entry.get("table"), query, columns, expectations, named_by)


def _expectation(entry: Mapping[str, Any], file: str) -> Expectation:
    where = f"{file}: {entry.get('name', 'an expectation without a name')}"
    _expect_keys(entry, {"name", "type", "kwargs", "severity", "rationale"}, set(), where)
    if entry["severity"] not in SEVERITIES:
        raise SuiteError(f"{where}: severity {entry['severity']!r} is none of {', '.join(SEVERITIES)}")
    return Expectation(**entry)


def _expect_keys(entry: Mapping[str, Any], needed: set[str], optional: set[str], where: str) -> None:
    if missing := sorted(needed - set(entry)):
        raise SuiteError(f"{where}: {', '.join(missing)} missing")
    if unknown := sorted(set(entry) - needed - optional):
        raise SuiteError(f"{where}: {', '.join(unknown)} unknown")
