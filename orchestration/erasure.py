"""Erasure: a person's documents out of everything that holds them, and a receipt of it.

The plan is written down before anything goes. Each step may be repeated, so an erasure that was cut off is
carried out again, from the first step on, by the plan that it began with.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console

from assets import settings
from assets.lake import Lake, apart
from assets.privacy.tombstones import TABLE as TOMBSTONES
from assets.privacy.tombstones import TOMBSTONE
from assets.privacy.traces import find_traces, scrub
from orchestration.erasure_plan import ERASURES, TAINTED, Place, Plan, left
from orchestration.summary import new_table

Say = Callable[[str], None]

ERASURE = pa.schema(
    [
        pa.field("erasure_id", pa.string(), nullable=False),
        pa.field("finished_at", pa.string(), nullable=False),
        pa.field("approved_by", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("receipt", pa.string(), nullable=False),
    ]
)
"""One row an erasure; `receipt` is the JSON that also lies in the folder of receipts."""

TAINT = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("kind", "id", "erasure_id")])
"""A release or model that holds, or learnt from, what was erased; `kind` is `release` or `model`."""

# Where Dagster and dbt write, mostly below the home.
WRITTEN = ("DAGSTER_HOME", "DBT_TARGET_PATH", "DBT_LOG_PATH")


class NotErased(RuntimeError):
    """Something of the person is still there when all is done; names the files."""


def unfinished() -> Path:
    """Where the plan of an erasure lies until it is done."""
    return settings.erasures_root() / "unfinished.json"


def begin(plan: Plan) -> None:
    """Writes the plan down, for its owner alone to read: from here on the erasure is carried out to its end."""
    path = unfinished()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(plan.to_json())
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def begun() -> Plan | None:
    """The plan of an erasure that was begun and is not done."""
    path = unfinished()
    return Plan.from_json(path.read_text(encoding="utf-8")) if path.exists() else None


def carry_out(plan: Plan, place: Place, say: Say = lambda _: None) -> dict[str, Any]:
    """Does all steps of a plan that was begun, and returns the receipt.

    Raises:
        NotErased: A file still holds something of the person; repeating goes on from there.
    """
    for name, step in STEPS:
        say(name)
        step(plan, place)
    return json.loads(_receipt_path(plan).read_text(encoding="utf-8"))


def _bury(plan: Plan, place: Place) -> None:
    if not _recorded(place.lake, TOMBSTONES, plan) and plan.tombstones:
        table = pa.Table.from_pylist(list(plan.tombstones), schema=TOMBSTONE)
        place.lake.append(TOMBSTONES, table, run_id=f"erasure {plan.erasure_id}")


def _delete(plan: Plan, place: Place) -> None:
    place.lake.rewrite(left(place.lake, plan.doc_ids), plan.given, message=f"erasure {plan.erasure_id}")


def _take_from_releases(plan: Plan, place: Place) -> None:
    place.releases.sweep()
    for release in place.releases.list():
        place.releases.erase(release, plan.doc_ids, by=plan.approved_by, erasure=plan.erasure_id)


def _forget(_plan: Plan, place: Place) -> None:
    place.lake.forget()


def _scrub(plan: Plan, place: Place) -> None:
    kept = (place.lake.root, place.releases.root)
    others = (path for path in _files() if not any(path.is_relative_to(each) for each in kept))
    for path in apart(find_traces, list(others), plan.needles):
        if path.is_relative_to(settings.home() / "cache"):
            path.unlink()
        else:
            scrub(path, plan.needles)


def _search(plan: Plan, _place: Place) -> None:
    if found := apart(find_traces, list(_files()), plan.needles):
        names = ", ".join(sorted({_named(path) for path in found}))
        raise NotErased(
            f"{len(found)} files still hold something of the person: {names}. Is a run at work? Wait for its end "
            "and repeat `winnow erase`."
        )


def _record(plan: Plan, place: Place) -> None:
    receipt = {
        "erasure": plan.erasure_id,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "approved_by": plan.approved_by,
        "reason": plan.reason,
        "selectors": dict(Counter(selector["kind"] for selector in plan.selectors)),
        "documents": plan.sources,
        "named_by": dict(Counter(document["why"] for document in plan.documents)),
        "rows": plan.rows,
        "quarantined_rows": len(plan.refused),
        "releases": plan.releases,
        "models": plan.models,
        "tombstones": len(plan.tombstones),
        "strings": {"gone_everywhere": len(plan.strings), "also_in_documents_of_others": plan.shared},
        "files_searched": sum(1 for _ in _files()),
    }
    text = json.dumps(receipt, indent=2, ensure_ascii=False)
    tainted = [("release", each) for each in plan.releases] + [
        ("model", each) for each in plan.models.values()
    ]
    rows = [{"kind": kind, "id": id, "erasure_id": plan.erasure_id} for kind, id in tainted]
    run_id = f"erasure {plan.erasure_id}"
    if rows and not _recorded(place.lake, TAINTED, plan):
        place.lake.append(TAINTED, pa.Table.from_pylist(rows, schema=TAINT), run_id=run_id)
    if not _recorded(place.lake, ERASURES, plan):
        told = {
            "erasure_id": plan.erasure_id,
            "documents": len(plan.documents),
            "receipt": text,
            **{name: receipt[name] for name in ("finished_at", "approved_by", "reason")},
        }
        place.lake.append(ERASURES, pa.Table.from_pylist([told], schema=ERASURE), run_id=run_id)
    draft = _receipt_path(plan).with_suffix(".draft")
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(_receipt_path(plan))
    unfinished().unlink()


# In this order: what keeps it from coming back, what all else is made from, then the bytes left behind.
STEPS: tuple[tuple[str, Callable[[Plan, Place], None]], ...] = (
    ("tombstones", _bury),
    ("rows of the lake", _delete),
    ("releases", _take_from_releases),
    ("files and snapshots of the lake", _forget),
    ("history and logs", _scrub),
    ("search", _search),
    ("receipt", _record),
)


def show(console: Console, plan: Plan) -> None:
    """Prints what a plan takes away; no value and no id."""
    lines = new_table("The request", "line", "selector", "documents", numbers=("line", "documents"))
    for selector in plan.selectors:
        lines.add_row(str(selector["line"]), selector["kind"], f"{selector['documents']:,}")
    console.print(lines)
    why = Counter(document["why"] for document in plan.documents)
    console.print(
        f"{len(plan.documents):,} documents: {why['selector']:,} named, {why['copy']:,} copies of them, "
        f"{why['child']:,} made from them; {len(plan.refused):,} rows in quarantine."
    )
    places = new_table("What goes", "where", "rows", numbers=("rows",))
    for source, documents in plan.sources.items():
        places.add_row(f"documents of {source}", f"{documents:,}")
    for table, rows in plan.rows.items():
        places.add_row(table, f"{rows:,}")
    for release, rows in plan.releases.items():
        places.add_row(f"release {release[:16]}", f"{rows:,}")
    for name, sha256 in plan.models.items():
        places.add_row(f"model {name} {sha256[:16]}, which learnt from them", "1")
    console.print(places)
    if plan.shared:
        console.print(
            f"{plan.shared} strings of the person also stand in documents of others, and stay there."
        )


def _recorded(lake: Lake, table: str, plan: Plan) -> bool:
    if not lake.exists(table):
        return False
    return lake.query(f"SELECT 1 FROM {table} WHERE erasure_id = ?", [plan.erasure_id]).num_rows > 0


def _receipt_path(plan: Plan) -> Path:
    return settings.erasures_root() / f"{plan.erasure_id}.json"


def _files() -> Iterator[Path]:
    """Every file that runs wrote, but for keys and the plan itself."""
    home = settings.home()
    elsewhere = {Path(os.environ[name]).resolve() for name in WRITTEN}
    for root in [home, *sorted(each for each in elsewhere if not each.is_relative_to(home))]:
        for path in sorted(root.rglob("*")):
            if path.is_file() and path != unfinished() and not path.is_relative_to(home / "keys"):
                yield path


def _named(path: Path) -> str:
    """A file's name from the home on; of those elsewhere, the last part."""
    home = settings.home()
    return str(path.relative_to(home)) if path.is_relative_to(home) else path.name
