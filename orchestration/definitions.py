"""The whole system on one page: what `dagster dev` loads."""

from __future__ import annotations

import dagster as dg

from assets import dbt, deployed, evaluated, filtered, raw, scored, settings
from assets.lake import Lake
from assets.releases.store import ReleaseStore
from orchestration.automation import (
    ON_NEW_DATA,
    TAIL,
    automation_sensor,
    curate,
    curate_source,
    recuration_schedules,
)
from orchestration.checks import suite_checks
from orchestration.deployment import promote, rollback
from orchestration.trial import trial

executor = dg.multiprocess_executor.configured(
    {
        # Ops fork from a server that has the slow imports behind it, instead of importing them each.
        "start_method": {"forkserver": {"preload_modules": ["orchestration.preload"]}},
        "max_concurrent": 2,
    }
)

defs = dg.Definitions(
    assets=[
        raw.source_files,
        raw.raw_documents,
        raw.raw_inspection,
        filtered.signals,
        filtered.pii_key,
        filtered.pii,
        filtered.contamination,
        filtered.duplicates,
        filtered.boilerplate,
        dbt.dbt_filtered,
        scored.quality_model,
        scored.scores,
        dbt.dbt_scored,
        scored.bias_profile,
        evaluated.data_report,
        evaluated.proxy_runs,
        evaluated.drill_recall,
        evaluated.verdict_,
        deployed.candidate,
        deployed.champion,
    ],
    asset_checks=suite_checks(),
    jobs=[curate_source, curate, promote, rollback, trial],
    schedules=recuration_schedules(),
    sensors=[automation_sensor()],
    executor=executor,
    resources={
        "lake": Lake(settings.lake_root()),
        "releases": ReleaseStore(settings.releases_root()),
        "dbt": dbt.DbtProcess(
            project_dir=str(dbt.PROJECT_DIR), profiles_dir=str(dbt.PROJECT_DIR), dbt_executable=dbt.DBT
        ),
    },
).map_resolved_asset_specs(
    func=lambda spec: spec.replace_attributes(automation_condition=ON_NEW_DATA), selection=TAIL
)
