"""Each suite is an op, each expectation an asset check; each pass leaves a validation record."""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa

from assets.lake import Lake
from assets.stage import BY_SOURCE, VALIDATION, table_of
from expectations.suites import Suite, load_suites
from expectations.validate import Result, validate

# Written by one source's run at a time; their suites see that source alone.
ONE_SOURCE = ("raw/documents", "filtered/signals", "filtered/redacted", "filtered/contamination")


def suite_checks() -> list[dg.AssetChecksDefinition]:
    """The asset checks of every suite in `expectations/`."""
    return [_checks(asset, suites) for asset, suites in sorted(load_suites().items())]


def _checks(asset: str, suites: tuple[Suite, ...]) -> dg.AssetChecksDefinition:
    key = dg.AssetKey(asset.split("/"))
    one_source = asset in ONE_SOURCE
    specs = [
        dg.AssetCheckSpec(
            expectation.name,
            asset=key,
            description=expectation.rationale,
            blocking=expectation.severity == "critical",
            # Without partitions a check would show only what the last source gave.
            partitions_def=BY_SOURCE if one_source else None,
            metadata={"expectation": expectation.type, "severity": expectation.severity},
        )
        for suite in suites
        for expectation in suite.expectations
    ]

    @dg.multi_asset_check(name=f"{'_'.join(key.path)}_checks", specs=specs)
    def checks(
        context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]
    ) -> Iterator[dg.AssetCheckResult]:
        source = context.run.tags["dagster/partition"] if one_source else None
        for result in run_suites(lake, asset, suites, source, context.run.run_id):
            yield _asset_check_result(key, result)

    return checks


def run_suites(
    lake: Lake, asset: str, suites: tuple[Suite, ...], source: str | None, run_id: str
) -> list[Result]:
    """The results of an asset's suites on its data as it is now, recorded with the version they saw.

    The record is what `require_validated` asks for. The version is taken before the rows are read: a
    write in between leaves a record of a version that is gone, which opens no gate.
    """
    table = table_of(asset)
    version = lake.data_version(table, source)
    parameters = {"source": source} if source else {}
    results = [
        result
        for suite in suites
        for result in validate(suite, lake.query(suite.sql(one_source=source is not None), parameters))
    ]
    recorded = [
        {"name": result.name, "severity": result.severity, "passed": result.success} for result in results
    ]
    passed = all(result.success for result in results if result.severity == "critical")
    record = {
        "asset": asset,
        "source": source,
        "data_version": version,
        "passed": passed,
        "results": recorded,
    }
    lake.append("governance.validations", pa.Table.from_pylist([record], VALIDATION), run_id=run_id)
    return results


def _asset_check_result(key: dg.AssetKey, result: Result) -> dg.AssetCheckResult:
    critical = result.severity == "critical"
    metadata: dict[str, object] = {"n": result.n, "unexpected_count": result.unexpected_count}
    if result.observed is not None:
        metadata["observed"] = result.observed
    if result.example_ids:
        metadata["examples"] = list(result.example_ids)
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=result.name,
        passed=result.success,
        severity=dg.AssetCheckSeverity.ERROR if critical else dg.AssetCheckSeverity.WARN,
        description=result.message or None,
        metadata=metadata,
    )
