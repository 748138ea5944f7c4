"""What a release is accepted with: marts as its snapshot had them, which later ones are compared with."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import pyarrow as pa

from assets.governance.effects import EFFECTS
from assets.lake import Lake

RISK_COLUMNS = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("entity", pa.string(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("affected", pa.int64(), nullable=False),
    ]
)
"""What is kept of the personal data found, by source and entity."""


@dataclass(frozen=True)
class Kept:
    """A mart, the table that keeps it as it was behind the release that serves, and what is kept of it."""

    mart: str
    accepted: str
    columns: str


ACCEPTED_EFFECTS = Kept(EFFECTS, "governance.accepted_effects", "* EXCLUDE (run_id)")
ACCEPTED_RISK = Kept("filtered.pii_risk", "governance.accepted_risk", ", ".join(RISK_COLUMNS.names))


def prepare_risk(lake: Lake, run_id: str) -> None:
    """The accepted risk, there and empty until a release is accepted: its mart reads it, even the first time."""
    if not lake.exists(ACCEPTED_RISK.accepted):
        empty = _of_release(RISK_COLUMNS.empty_table(), "")
        lake.replace(ACCEPTED_RISK.accepted, empty, run_id=run_id)


def prepare_effects(lake: Lake, run_id: str) -> None:
    """The accepted effects, there and empty until a release is accepted; their columns are those of the mart."""
    if not lake.exists(ACCEPTED_EFFECTS.accepted):
        empty = _of_release(_read(lake, ACCEPTED_EFFECTS, "LIMIT 0"), "")
        lake.replace(ACCEPTED_EFFECTS.accepted, empty, run_id=run_id)


def accept(lake: Lake, release_id: str, snapshot: int, run_id: str) -> bool:
    """Keeps the effects of the policy that a release was selected by, and the personal data found, as of then.

    Args:
        snapshot: The lake's snapshot that the release's manifest names.

    Returns:
        False where that snapshot is gone, or older than the marts: then nothing is accepted.
    """
    tables = {
        kept.accepted: _of_release(_as_of(lake, kept, snapshot), release_id)
        for kept in (ACCEPTED_EFFECTS, ACCEPTED_RISK)
        if lake.exists(kept.mart)
    }
    if tables:
        lake.replace_all(tables, run_id=run_id)
    return any(table.num_rows for table in tables.values())


def _as_of(lake: Lake, kept: Kept, snapshot: int) -> pa.Table:
    try:
        return _read(lake, kept, f"AT (VERSION => {int(snapshot)})")
    except duckdb.Error:
        return _read(lake, kept, "LIMIT 0")


def _read(lake: Lake, kept: Kept, which: str) -> pa.Table:
    return lake.query(f"SELECT {kept.columns} FROM {kept.mart} {which}")


def _of_release(table: pa.Table, release_id: str) -> pa.Table:
    return table.append_column("release_id", pa.repeat(release_id, table.num_rows))
