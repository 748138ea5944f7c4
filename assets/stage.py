"""What the stage files share: partitions, code versions, a result's shape, the gate between stages."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from assets import settings
from assets.lake import Lake, Write
from assets.sources.registry import Source, load_sources

# Checks by partition, backfills in one run and mapped specs are young in Dagster; each import would say so.
warnings.filterwarnings("ignore", category=dg.PreviewWarning)
warnings.filterwarnings("ignore", category=dg.BetaWarning)

SOURCES: Mapping[str, Source] = {source.name: source for source in load_sources(settings.sources_file())}

BY_SOURCE = dg.StaticPartitionsDefinition(sorted(SOURCES))

CURATION = "team:data-curation"
PRIVACY = "team:privacy"
EVALUATION = "team:model-evaluation"
RELEASES = "team:release"

VALIDATION = pa.schema(
    [
        pa.field("asset", pa.string(), nullable=False),
        pa.field("source", pa.string()),
        pa.field("data_version", pa.string(), nullable=False),
        pa.field("passed", pa.bool_(), nullable=False),
        pa.field(
            "results",
            pa.list_(pa.struct([("name", pa.string()), ("severity", pa.string()), ("passed", pa.bool_())])),
        ),
    ]
)


def table_of(asset: dg.AssetKey | str) -> str:
    """The lake table that an asset is: `raw/documents` is `raw.documents`."""
    return (asset if isinstance(asset, str) else asset.to_user_string()).replace("/", ".")


@cache
def code_version(*folders: str) -> str:
    """A fingerprint of the code and data files in folders of `assets/`, or of single files, also elsewhere.

    It over-approximates: an edited comment counts as a change, a changed dependency doesn't.
    """
    digest = hashlib.blake2b(digest_size=6)
    root = Path(__file__).parent
    for folder in folders:
        place = root / folder
        files = [place] if place.is_file() else sorted(f for f in place.rglob("*") if f.is_file())
        for file in (f for f in files if "__pycache__" not in f.parts):
            name = file.relative_to(root) if file.is_relative_to(root) else file.name
            digest.update(str(name).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def result(lake: Lake, write: Write, **metadata: object) -> dg.MaterializeResult:
    """What every asset reports: rows, bytes, columns, the lake's snapshot, a version made of content."""
    return dg.MaterializeResult(
        asset_key=dg.AssetKey(write.table.split(".")),
        data_version=dg.DataVersion(write.data_version),
        metadata={
            "dagster/row_count": write.rows,
            "dagster/column_schema": column_schema(lake, write.table),
            "dagster/table_name": f"lake.{write.table}",
            "lake_snapshot": write.snapshot,
            "bytes": write.bytes,
            **metadata,
        },
    )


def column_schema(lake: Lake, table: str) -> dg.TableSchema:
    """A lake table's columns, for the catalogue page of its asset."""
    described = lake.query(f"SELECT column_name, column_type FROM (DESCRIBE {table})").to_pylist()
    return dg.TableSchema([dg.TableColumn(row["column_name"], row["column_type"]) for row in described])


def markdown_table(rows: Iterable[Mapping[str, object]]) -> dg.MarkdownMetadataValue:
    """Rows as a Markdown table; cell text is escaped, since documents may hold anything."""
    rows = list(rows)
    if not rows:
        return dg.MetadataValue.md("*no rows*")
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(row[column]) for column in columns) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))


def _cell(value: object) -> str:
    if isinstance(value, float):
        value = f"{value:.4g}"
    text = " ".join(str("" if value is None else value).split())
    for character in "\\|`*_<>[]":
        text = text.replace(character, "\\" + character)
    return text


class NotValidated(dg.Failure):
    """An upstream table would be read at a version that no passed validation covers."""


def require_validated(
    lake: Lake, assets: Iterable[str], sources: Sequence[str | None] = BY_SOURCE.get_partition_keys()
) -> None:
    """The gate from partitioned to unpartitioned: each source's data must be validated as it is now.

    Dagster's blocking checks hold within a run and a partition; the first unpartitioned asset reads what
    other runs wrote, so it asks the lake for a passed validation of exactly the version it will read.
    The source None stands for an unpartitioned asset as a whole.

    Raises:
        NotValidated: A source was never read, never validated, failed, or changed since.
    """
    records = latest_validations(lake)
    problems = []
    for asset in assets:
        present = lake.exists(table_of(asset))
        for source in sources:
            record = records.get((asset, source))
            name = f"{asset} of {source}" if source else asset
            if record is None:
                problems.append(f"{name}: never validated")
            elif not record["passed"]:
                broken = [
                    r["name"] for r in record["results"] if r["severity"] == "critical" and not r["passed"]
                ]
                problems.append(f"{name}: failed {', '.join(broken)}")
            elif not present or lake.data_version(table_of(asset), source) != record["data_version"]:
                problems.append(f"{name}: changed since it was validated")
    if problems:
        raise NotValidated(
            "The gate is closed: " + "; ".join(problems), metadata={"problems": "\n".join(problems)}
        )


def latest_validations(lake: Lake) -> dict[tuple[str, str | None], dict[str, Any]]:
    """The newest validation record of each asset and source."""
    if not lake.exists("governance.validations"):
        return {}
    rows = lake.query(
        "SELECT * FROM governance.validations "
        "QUALIFY row_number() OVER (PARTITION BY asset, source ORDER BY rowid DESC) = 1"
    )
    return {(row["asset"], row["source"]): row for row in rows.to_pylist()}
