"""A suite held against a batch; nothing but this file knows Great Expectations."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from functools import cache
from numbers import Real
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from expectations.suites import Expectation, Suite, SuiteError, columns_of

if TYPE_CHECKING:
    from great_expectations.core.batch_definition import BatchDefinition
    from great_expectations.expectations.expectation import Expectation as GxExpectation

EXAMPLES = 10
# Rows are asked for by position: by an id column it takes Great Expectations seconds where many rows break.
FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES}


@dataclass(frozen=True)
class Result:
    """How an expectation went. It counts and names rows by id; it never quotes a value.

    Attributes:
        observed: The number that the expectation looked at; for one about rows, the share that broke it.
            None where it looked at something else than a number.
        unexpected_count: Rows that broke it; 0 for one about the whole batch.
        n: Rows it was held against.
        example_ids: Ids or names of rows that broke it, ten at most, in the order of the batch.
        message: What was wrong, in a sentence; empty on success.
    """

    name: str
    severity: str
    success: bool
    observed: float | None
    unexpected_count: int
    n: int
    example_ids: tuple[str, ...]
    message: str


def validate(suite: Suite, batch: pa.Table) -> tuple[Result, ...]:
    """The results of a suite on a batch, in the suite's order. A missing column breaks what needs it.

    Raises:
        SuiteError: Great Expectations doesn't know a type, or a type doesn't take its arguments.
    """
    batches = _pandas_batches()
    from great_expectations import ExpectationSuite

    expectations = [_gx_expectation(expectation, suite.asset) for expectation in suite.expectations]
    outcome = batches.get_batch(batch_parameters={"dataframe": batch.to_pandas()}).validate(
        ExpectationSuite(name=suite.asset, expectations=expectations), result_format=FORMAT
    )
    results: list[Any] = [result.to_json_dict() for result in outcome.results]
    by_name = {result["expectation_config"]["meta"]["name"]: result for result in results}
    return tuple(
        _result(expectation, by_name[expectation.name], batch, suite.named_by)
        for expectation in suite.expectations
    )


@cache
def _pandas_batches() -> BatchDefinition:
    """Where batches are made of data frames: one context a process, in memory alone. The import takes 7 s."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("arrow").add_dataframe_asset("batch")
    return asset.add_batch_definition_whole_dataframe("whole")


def _gx_expectation(expectation: Expectation, asset: str) -> GxExpectation:
    from great_expectations import expectations as known
    from great_expectations.compatibility.pydantic import ValidationError

    where = f"{asset}: {expectation.name}"
    if not expectation.type.startswith("Expect") or not hasattr(known, expectation.type):
        raise SuiteError(f"{where}: Great Expectations knows no {expectation.type}")
    try:
        # Great Expectations takes two equal expectations for one; the name keeps them apart.
        return getattr(known, expectation.type)(**expectation.kwargs, meta={"name": expectation.name})
    except ValidationError as error:
        raise SuiteError(f"{where}: {error}") from error


def _result(expectation: Expectation, outcome: dict[str, Any], batch: pa.Table, named_by: str) -> Result:
    found, success = outcome["result"], outcome["success"]
    rows = found.get("element_count", batch.num_rows)
    unexpected = found.get("unexpected_count", 0)
    by_row = "unexpected_count" in found
    observed = unexpected / rows if by_row and rows else found.get("observed_value")
    number = isinstance(observed, Real) and not isinstance(observed, bool)
    if success:
        message = ""
    elif missing := sorted(set(columns_of(expectation)) - set(batch.column_names)):
        message = f"the batch has no column {', '.join(missing)}"
    elif not found:
        message = f"{_exception(outcome['exception_info'])} in {expectation.type}"
    elif by_row:
        message = f"{unexpected} of {rows} rows break it"
    else:
        message = f"observed {observed:g}" if number else "observed something else"
    positions = found.get("partial_unexpected_index_list", ()) if named_by in batch.column_names else ()
    return Result(
        expectation.name,
        expectation.severity,
        success,
        float(observed) if number else None,
        unexpected,
        rows,
        tuple(str(batch[named_by][position]) for position in positions),
        message,
    )


def _exception(info: dict[str, Any]) -> str:
    """The names of the exceptions, root first, without their messages: those may quote a value."""
    traces = [info] if "exception_traceback" in info else info.values()
    names = [re.findall(r"^([\w.]+)(?::|$)", trace["exception_traceback"], re.MULTILINE) for trace in traces]
    return ", ".join(dict.fromkeys(name.rpartition(".")[2] for found in names for name in found))
