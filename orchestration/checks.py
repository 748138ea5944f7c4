"""Each suite as an op, each expectation as an asset check; every run of a suite leaves a validation record."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator

import dagster as dg
import pyarrow as pa

from assets.lake import Lake
from assets.stage import BY_SOURCE, VALIDATION, table_of
from expectations.suites import Suite, load_suites
from expectations.validate import Result, validate

# These assets have one partition a source; their suites see one source at a time.
PARTITIONED = (
    "raw/documents",
    "filtered/signals",
    "filtered/redacted",
    "filtered/contamination",
    "scored/scores",
)


def suite_checks() -> list[dg.AssetChecksDefinition]:
    """The asset checks of every suite in `expectations/`."""
    return [_checks(asset, suites) for asset, suites in sorted(load_suites().items())]


def _checks(asset: str, suites: tuple[Suite, ...]) -> dg.AssetChecksDefinition:
    key = dg.AssetKey(asset.split("/"))
    partitioned = asset in PARTITIONED
    with warnings.catch_warnings():
        # `partitions_def` on a check is in preview; without it a check shows only its last partition.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        specs = [
            dg.AssetCheckSpec(
                expectation.name,
                asset=key,
                description=expectation.rationale,
                blocking=expectation.severity == "critical",
                partitions_def=BY_SOURCE if partitioned else None,
                metadata={"type": expectation.type, "severity": expectation.severity},
            )
            for suite in suites
            for expectation in suite.expectations
        ]

    @dg.multi_asset_check(name=f"{'_'.join(key.path)}_checks", specs=specs)
    def checks(
        context: dg.AssetCheckExecutionContext, lake: dg.ResourceParam[Lake]
    ) -> Iterator[dg.AssetCheckResult]:
        for source in _sources(context) if partitioned else [None]:
            results = run_suites(lake, asset, suites, source, context.run_id)
            ...

    return checks
