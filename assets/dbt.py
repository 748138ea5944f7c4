"""The dbt models as assets: policy, decisions and marts are SQL that anyone can read and change."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import (
    DagsterDbtTranslator,
    DagsterDbtTranslatorSettings,
    DbtCliInvocation,
    DbtCliResource,
    dbt_assets,
)
from packaging.version import Version

from assets import plots, settings
from assets.governance import acceptance, effects
from assets.governance.column_lineage import column_lineage
from assets.intervals import Interval
from assets.lake import Lake
from assets.stage import CURATION, column_schema, markdown_table, require_validated

PROJECT_DIR = settings.PROJECT / "dbt_project"
MANIFEST = Path(os.environ["DBT_TARGET_PATH"]) / "manifest.json"
# dbt beside this interpreter: the one on PATH may belong to another environment.
DBT = str(Path(sys.executable).parent / "dbt")

# Of the personal data on its asset's page: the riskiest lines, so many of them.
LINES = 40
NOT_MEASURED = "not measured"


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


# One asset may write more than one table that models read.
TRANSLATOR = Translator(settings=DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))


class DbtProcess(DbtCliResource):
    """dbt in a process of its own, and nothing of it in this one.

    Dagster would first ask `dbt --version`, which takes seconds and looks for newer releases over the
    network, and set up an adapter of its own to read tables with; the lake can be asked.
    """

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))

    def _initialize_dbt_core_adapter(self, args: Sequence[str]) -> None:  # noqa: ARG002
        return None


def _build(context: dg.AssetExecutionContext, dbt: DbtCliResource, lake: Lake) -> Iterator[object]:
    os.environ |= environment(lake, context.run_id)
    invocation = dbt.cli(["build"], context=context)
    for event in invocation.stream():
        if isinstance(event, dg.Output):
            event = event.with_metadata({**event.metadata, **_facts(context, invocation, event, lake)})
        yield event


def _facts(
    context: dg.AssetExecutionContext, invocation: DbtCliInvocation, built: dg.Output, lake: Lake
) -> dict[str, object]:
    """What the page of a built model or seed shows: rows, columns, and what those columns are made of."""
    node = invocation.manifest["nodes"][built.metadata["unique_id"].text]
    table = f"{node['schema']}.{node['alias']}"
    facts: dict[str, object] = {
        "dagster/table_name": f"lake.{table}",
        "dagster/column_schema": column_schema(lake, table),
    }
    # A view's rows are counted by computing them.
    if node["config"]["materialized"] != "view":
        facts["dagster/row_count"] = lake.query(f"SELECT count(*) AS n FROM {table}")["n"][0].as_py()
    if node["resource_type"] == "model":
        compiled = invocation.target_path / "compiled" / node["package_name"] / node["original_file_path"]
        try:
            lineage = _lineage(compiled.read_text(encoding="utf-8"), lake)
            facts["dagster/column_lineage"] = lineage
            # Dagster's open-source UI keeps the lineage of columns to itself; this people can read.
            facts["column_origins"] = _origins(lineage)
        except Exception as error:
            # DuckDB ran it, so the table is right, whatever sqlglot makes of it; only its lineage is unknown.
            context.log.warning(f"no column lineage of {table}: {error}")
    if table in SHOWN:
        facts |= SHOWN[table](lake)
    return facts


def _funnel(lake: Lake) -> dict[str, object]:
    """What each step leaves of all sources together, and what share of each source it removes."""
    steps = lake.query(
        "SELECT step, source, documents_in, removed + errored AS lost, sum(removed + errored) OVER "
        "(PARTITION BY step) AS lost_by_step, min(position) OVER (PARTITION BY step) AS place "
        "FROM filtered.funnel ORDER BY place, step, source"
    ).to_pylist()
    read = lake.query("SELECT count(*) AS n FROM raw.documents")["n"][0].as_py()
    left = [("read", read)]
    for step, lost in dict.fromkeys((row["step"], row["lost_by_step"]) for row in steps):
        if lost:
            left.append((step, left[-1][1] - int(lost)))
    shown = [step for step, _ in left[1:]]
    sources = sorted({row["source"] for row in steps})
    shares = {
        (row["step"], row["source"]): row["lost"] / row["documents_in"]
        for row in steps
        if row["documents_in"]
    }
    grid = [[shares.get((step, source), float("nan")) for source in sources] for step in shown]
    title = "Share that each step removes of what reaches it"
    return {
        "funnel": dg.MetadataValue.md(plots.funnel(left)),
        "by_source": dg.MetadataValue.md(plots.heatmap(shown, sources, grid, title, percent=True)),
    }


def _rule_effects(lake: Lake) -> dict[str, object]:
    """The rules with what each of them removes alone, first, and together with others."""
    return {"effects": markdown_table(effects.rows(effects.by_rule(lake)))}


def _pii_risk(lake: Lake) -> dict[str, object]:
    """Personal data of the sources that may be released, by source and entity: the share of documents that have
    it, drawn, and the riskiest lines, with what may have been missed and what changed."""
    rows = lake.query(
        "SELECT risk.* FROM filtered.pii_risk AS risk JOIN raw.sources AS sources USING (source) "
        f"WHERE sources.releasable ORDER BY missed_high DESC NULLS FIRST, high DESC, entity, source LIMIT {LINES}"
    ).to_pylist()
    drawn = sorted(rows, key=lambda row: (-row["share"], row["source"], row["entity"]))
    table = [
        {
            "source": row["source"],
            "entity": row["entity"],
            "documents affected (95 % interval)": _share(row, "share", "low", "high"),
            "missed in": _share(row, "missed_share", "missed_low", "missed_high"),
            "recall": f"{_recall(row)} ({row['basis']})" if row["basis"] else NOT_MEASURED,
            "findings": row["findings"],
            "per million characters": f"{row['per_million_characters']:.1f}",
            "values": row["distinct_values"],
            "in several documents": row["repeated_values"],
            "most documents of one": row["most_documents"],
            "affected with a copy": row["affected_in_clusters"],
            "affected when accepted": _accepted(row),
            "change in points": "" if row["change"] is None else f"{100 * row['change']:+.1f}",
        }
        for row in rows
    ]
    return {
        "riskiest": markdown_table(table),
        "affected": dg.MetadataValue.md(
            plots.bars(
                [f"{row['source']}: {row['entity']}" for row in drawn],
                [row["share"] for row in drawn],
                [row["low"] for row in drawn],
                [row["high"] for row in drawn],
                "Documents with personal data of a kind",
                percent=True,
            )
        ),
    }


def _share(row: Mapping[str, Any], value: str, low: str, high: str) -> str:
    """A share of a line's documents with its bounds."""
    if row[value] is None:
        return NOT_MEASURED
    return Interval(row[value], row[low], row[high], row["documents"]).percent()


def _recall(row: Mapping[str, Any]) -> str:
    return Interval(row["recall"], row["recall_low"], row["recall_high"], row["recall_n"]).percent()


def _accepted(row: Mapping[str, Any]) -> str:
    if row["accepted_documents"] is None:
        return "no release"
    names = ("accepted_share", "accepted_low", "accepted_high", "accepted_documents")
    return Interval(*(row[name] for name in names)).percent()


# What the page of a model shows besides rows and columns.
SHOWN: Mapping[str, Callable[[Lake], dict[str, object]]] = {
    "filtered.funnel": _funnel,
    "filtered.rule_effects": _rule_effects,
    "filtered.pii_risk": _pii_risk,
}


def _lineage(sql: str, lake: Lake) -> dg.TableColumnLineage:
    columns = lake.query(
        "SELECT schema_name || '.' || table_name AS name, column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = 'lake' ORDER BY ALL"
    )
    tables: dict[str, dict[str, str]] = {}
    for row in columns.to_pylist():
        tables.setdefault(row["name"], {})[row["column_name"]] = row["data_type"]
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(dg.AssetKey(parent.split(".")), name) for parent, name in origins]
            for column, origins in column_lineage(sql, tables).items()
        }
    )


def _origins(lineage: dg.TableColumnLineage) -> dg.MarkdownMetadataValue:
    return markdown_table(
        {
            "column": column,
            "made of": ", ".join(f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in made_of),
        }
        for column, made_of in sorted(lineage.deps_by_column.items())
    )


@dbt_assets(
    manifest=prepare_manifest(),
    select="tag:policy tag:filtered",
    name="dbt_filtered",
    dagster_dbt_translator=TRANSLATOR,
)
def dbt_filtered(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, lake: dg.ResourceParam[Lake]
) -> Iterator[object]:
    require_validated(lake, ["filtered/signals", "filtered/redacted", "filtered/contamination"])
    acceptance.prepare_risk(lake, context.run_id)
    yield from _build(context, dbt, lake)
    acceptance.prepare_effects(lake, context.run_id)


@dbt_assets(
    manifest=MANIFEST,
    select="tag:scored",
    name="dbt_scored",
    dagster_dbt_translator=TRANSLATOR,
)
def dbt_scored(
    context: dg.AssetExecutionContext, dbt: DbtCliResource, lake: dg.ResourceParam[Lake]
) -> Iterator[object]:
    require_validated(lake, ["scored/scores"], [None])
    yield from _build(context, dbt, lake)
