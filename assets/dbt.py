"""The dbt models as assets: policy, decisions and marts are SQL that anyone can read and change."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import (
    DagsterDbtTranslator,
    DbtCliResource,
    dbt_assets,
)

from assets import settings
from assets.lake import Lake
from assets.stage import CURATION, require_validated

PROJECT_DIR = settings.PROJECT / "dbt_project"
MANIFEST = PROJECT_DIR / "target" / "manifest.json"
# dbt beside this interpreter: the one on PATH may belong to another environment.
DBT = str(Path(sys.executable).parent / "dbt")


def environment(lake: Lake, run_id: str = "manual") -> dict[str, str]:
    """The variables by which dbt attaches the same lake and names the same run."""
    return {
        "WINNOW_LAKE_CATALOG": lake.catalog,
        "WINNOW_LAKE_DATA": f"{lake.root / 'data'}/",
        "WINNOW_LAKE_EXTENSIONS": str(settings.extensions()),
        "WINNOW_DBT_DATABASE": str(settings.home() / "cache" / "dbt.duckdb"),
        "DBT_ENV_CUSTOM_ENV_WINNOW_RUN_ID": run_id,
    }


def prepare_manifest() -> Path:
    """dbt's manifest, parsed anew when a file of the project is newer: Dagster reads the graph from it."""
    files = [
        file
        for folder in ("models", "seeds", "macros", "tests")
        for file in (PROJECT_DIR / folder).rglob("*")
        if file.is_file()
    ]
    files += [PROJECT_DIR / "dbt_project.yml", PROJECT_DIR / "profiles.yml"]
    newest = max(file.stat().st_mtime for file in files)
    if not MANIFEST.exists() or MANIFEST.stat().st_mtime < newest:
        command = [
            DBT,
            "--quiet",
            "parse",
            "--project-dir",
            str(PROJECT_DIR),
            "--profiles-dir",
            str(PROJECT_DIR),
        ]
        # With a run's own variables: dbt parses everything anew where its profile has changed.
        variables = os.environ | environment(Lake(settings.lake_root()))
        done = subprocess.run(command, capture_output=True, text=True, env=variables)
        if done.returncode:
            raise RuntimeError(f"dbt parse failed:\n{done.stdout}{done.stderr}")
    return MANIFEST


class Translator(DagsterDbtTranslator):
    """How dbt's nodes show as assets: grouped by stage, versioned by content, owned."""

    def get_asset_spec(
        self, manifest: Mapping[str, Any], unique_id: str, project: object | None
    ) -> dg.AssetSpec:
        spec = super().get_asset_spec(manifest, unique_id, project)
        node = self.get_resource_props(manifest, unique_id)
        # The default version is a model's raw SQL, which a seed hasn't got: a changed rule must count.
        checksum = node.get("checksum", {}).get("checksum", "")[:12]
        return spec.replace_attributes(
            group_name=spec.key.path[0],
            owners=[CURATION],
            kinds={"dbt", "duckdb"},
            code_version=checksum or None,
            description=node.get("description") or None,
        )


def _build(context: dg.AssetExecutionContext, dbt: DbtCliResource, lake: Lake) -> Iterator[object]:
    os.environ |= environment(lake, context.run_id)
    invocation = dbt.cli(["build"], context=context)
    yield from invocation.stream().fetch_row_counts().fetch_column_metadata()


@dbt_assets(
    manifest=prepare_manifest(),
    select="tag:policy tag:filtered",
    name="dbt_filtered",
    dagster_dbt_translator=Translator(),
)
def dbt_filtered(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, lake: dg.ResourceParam[Lake]
) -> Iterator[object]:
    require_validated(lake, ["filtered/signals", "filtered/redacted", "filtered/contamination"])
    yield from _build(context, dbt, lake)


@dbt_assets(
    manifest=MANIFEST,
    select="tag:scored",
    name="dbt_scored",
    dagster_dbt_translator=Translator(),
)
def dbt_scored(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, lake: dg.ResourceParam[Lake]
) -> Iterator[object]:
    require_validated(lake, ["scored/scores"])
    yield from _build(context, dbt, lake)
