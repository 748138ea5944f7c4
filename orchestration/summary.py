"""What the lake, the history and the releases say, as a person would like to read it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from assets import settings
from assets.intervals import Interval
from assets.lake import Lake
from assets.privacy.keys import KeyedRows
from assets.releases.store import ReleaseStore
from assets.stage import SOURCES, latest_validations

PASSED, FAILED, WARNED = "[green]passed[/]", "[bold red]FAILED[/]", "[yellow]warning[/]"


def _lake() -> Lake:
    return Lake(settings.lake_root())


def new_table(title: str, *columns: str, numbers: tuple[str, ...] = ()) -> Table:
    """A table of this console's looks; columns of numbers are set to the right."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in numbers else "left",
            overflow="fold",
            # A name in two pieces is hard to find.
            no_wrap=column in ("", "rule", "gate"),
        )
    return table


def lifecycle(console: Console) -> None:
    """The funnel, every check, the drill, the proxy, the verdict, the release: how `make demo` ends."""
    lake = _lake()
    sections = (
        ("filtered.funnel", _funnel),
        ("governance.validations", _checks),
        ("evaluated.drill_recall", _drill),
        ("evaluated.proxy_summary", _proxy),
        ("evaluated.verdict", _verdict),
    )
    for needed, section in sections:
        if lake.exists(needed):
            section(console, lake)
    _release(console)


def verdict(console: Console) -> None:
    """Every gate with its value and limit."""
    _verdict(console, _lake())


def _funnel(console: Console, lake: Lake) -> None:
    names = sorted(SOURCES)
    table = new_table("Funnel: documents by source", "", *names, "all", numbers=(*names, "all"))
    read = _counts(lake, "SELECT source, count(*) AS n FROM raw.documents GROUP BY source")
    lost = _counts(lake, "SELECT source, count(*) AS n FROM raw.quarantine GROUP BY source")
    table.add_row("read", *_cells(read, names))
    if any(lost.values()):
        table.add_row("  in quarantine", *_cells(lost, names), style="yellow")
    steps = lake.query(
        "SELECT step, source, removed FROM filtered.funnel WHERE step IN (SELECT step FROM filtered.funnel "
        "GROUP BY step HAVING sum(removed) > 0) ORDER BY position, step"
    ).to_pylist()
    for step in dict.fromkeys(row["step"] for row in steps):
        removed = {row["source"]: row["removed"] for row in steps if row["step"] == step}
        table.add_row(f"− {step}", *_cells(removed, names), style="dim")
    kept = _counts(lake, "SELECT source, count(*) AS n FROM filtered.documents GROUP BY source")
    table.add_row("kept by the filters", *_cells(kept, names))
    if lake.exists("scored.selection"):
        refused = lake.query(
            "SELECT reason, source, count(*) AS n FROM scored.selection WHERE NOT selected "
            "GROUP BY ALL ORDER BY ALL"
        ).to_pylist()
        for reason in dict.fromkeys(row["reason"] for row in refused):
            removed = {row["source"]: row["n"] for row in refused if row["reason"] == reason}
            table.add_row(f"− {reason}", *_cells(removed, names), style="dim")
        chosen = _counts(
            lake, "SELECT source, count(*) AS n FROM scored.selection WHERE selected GROUP BY source"
        )
        table.add_row("selected", *_cells(chosen, names), style="bold")
    console.print(table)


def _counts(lake: Lake, sql: str) -> dict[str, int]:
    return {row["source"]: row["n"] for row in lake.query(sql).to_pylist()}


def _cells(counts: dict[str, int], names: list[str]) -> list[str]:
    return [f"{counts.get(name, 0):,}" for name in names] + [f"{sum(counts.values()):,}"]


def _checks(console: Console, lake: Lake) -> None:
    by_asset: dict[str, list[tuple[str | None, dict]]] = {}
    for (asset, source), record in sorted(
        latest_validations(lake).items(), key=lambda item: (item[0][0], item[0][1] or "")
    ):
        by_asset.setdefault(asset, []).extend((source, check) for check in record["results"])
    table = new_table("Checks", "asset", "check", "result", "severity")
    for asset, checks in by_asset.items():
        names = dict.fromkeys(check["name"] for _, check in checks)
        for number, name in enumerate(names):
            found = [(source, check) for source, check in checks if check["name"] == name]
            failed = [source or "" for source, check in found if not check["passed"]]
            severity = found[0][1]["severity"]
            mark = PASSED if not failed else FAILED if severity == "critical" else WARNED
            of = f" of {', '.join(failed)}" if any(failed) else ""
            table.add_row(asset if number == 0 else "", name, mark + of, severity)
    console.print(table)


def _interval(row: dict) -> str:
    return Interval(row["value"], row["low"], row["high"], row["n"]).percent()


def _drill(console: Console, lake: Lake) -> None:
    rows = lake.query("FROM evaluated.drill_recall").to_pylist()
    if not rows:
        return
    table = new_table(
        "Drill: planted hazards against the truth", "hazard", "slice", "", "caught (95 % interval)"
    )
    for row in rows:
        table.add_row(row["hazard"], row["slice"] or "", row["measure"], f"{_interval(row)} {row['unit']}")
    console.print(table)
    missed = lake.query(
        "SELECT hazard, count(*) AS n, list(doc_id ORDER BY doc_id)[1:3] AS examples, "
        "list(DISTINCT detail ORDER BY detail)[1:3] AS details "
        "FROM evaluated.drill_missed GROUP BY hazard ORDER BY hazard"
    ).to_pylist()
    if missed:
        listed = new_table("Missed, and false alarms", "hazard", "n", "what", "for example", numbers=("n",))
        for row in missed:
            examples = ", ".join(doc_id[:12] for doc_id in row["examples"])
            listed.add_row(row["hazard"], str(row["n"]), escape("; ".join(row["details"])), examples)
        console.print(listed)


def _proxy(console: Console, lake: Lake) -> None:
    rows = lake.query(
        "SELECT comparison, holdout, difference AS value, low, high, n, claim FROM evaluated.proxy_summary "
        "WHERE holdout <> 'source'"
    ).to_pylist()
    table = new_table(
        "Retraining proxy: held-out NLL, arm − baseline (nats per token; below 0 the arm predicts better)",
        "comparison",
        "holdout",
        "difference (95 % interval, n seeds)",
        "claim",
    )
    for row in rows:
        figure = Interval(row["value"], row["low"], row["high"], row["n"]).number()
        table.add_row(row["comparison"], row["holdout"], figure, row["claim"])
    console.print(table)


def _verdict(console: Console, lake: Lake) -> None:
    rows = lake.query("FROM evaluated.verdict").to_pylist()
    table = new_table("Verdict", "gate", "figure", "value (95 % interval)", "must be", "result")
    for row in rows:
        value = "missing"
        if row["value"] is not None:
            value = f"{row['value']:.4g}"
            if row["n"]:
                value += f" [{row['low']:.4g}, {row['high']:.4g}] n={row['n']}"
        mark = PASSED if row["passed"] else FAILED if row["severity"] == "critical" else WARNED
        table.add_row(row["gate"], row["figure"], value, f"{row['comparison']} {row['limit']:g}", mark)
    console.print(table)
    failed = [row["gate"] for row in rows if not row["passed"] and row["severity"] == "critical"]
    outcome = f"[red]failed[/] on {', '.join(failed)}" if failed else "[green]passed[/]"
    console.print(f"[bold]The verdict: {outcome}[/]\n")


def _release(console: Console) -> None:
    store = ReleaseStore(settings.releases_root())
    for alias in ("champion", "candidate", "previous"):
        release_id = store.alias(alias)
        if release_id is None:
            console.print(f"[bold]{alias:>9}[/]  none")
            continue
        release = store.get(release_id)
        approved = f", approved by {escape(release.approval.approver)}" if release.approval else ""
        folder = _shown(release.path)
        console.print(
            f"[bold]{alias:>9}[/]  {release_id[:16]}  {release.manifest.counts.documents:,} documents"
            f"{approved}\n           {folder}",
            soft_wrap=True,
        )


def _shown(path: Path) -> str:
    """A path as seen from where one stands, or from the project, where it lies inside."""
    for root in (Path.cwd(), settings.PROJECT):
        if path.is_relative_to(root):
            return str(path.relative_to(root))
    return str(path)


def keys(console: Console, rows: Sequence[KeyedRows]) -> None:
    """The rows of the lake by the key that they are hashed under."""
    if not rows:
        console.print("No row of the lake is hashed under another key.")
        return
    table = new_table("Rows hashed under another key", "key", "table", "source", "rows", numbers=("rows",))
    for each in rows:
        table.add_row(each.key_id, each.table, each.source, f"{each.rows:,}")
    console.print(table)


def releases(console: Console) -> None:
    """Every release with what points at it."""
    store = ReleaseStore(settings.releases_root())
    aliases = {alias: store.alias(alias) for alias in ("candidate", "champion", "previous")}
    table = new_table(
        "Releases",
        "release",
        "aliases",
        "documents",
        "verdict",
        "erased since",
        "approved by",
        "intact",
        numbers=("documents", "erased since"),
    )
    for release_id in store.list():
        release = store.get(release_id)
        failures = release.manifest.failures()
        table.add_row(
            release_id[:16],
            ", ".join(alias for alias, target in aliases.items() if target == release_id),
            f"{release.manifest.counts.documents:,}",
            f"[red]{len(failures)} failed[/]" if failures else PASSED,
            f"[red]{release.erased:,}[/]" if release.erased else "",
            escape(release.approval.approver) if release.approval else "",
            "[red]NO[/]" if store.verify(release_id) else "yes",
        )
    console.print(table)


def sources(console: Console) -> None:
    """The entries of the sources file beside what the lake holds."""
    lake = _lake()
    present = lake.exists("raw.documents")
    read = _counts(lake, "SELECT source, count(*) AS n FROM raw.documents GROUP BY source") if present else {}
    table = new_table(
        f"Sources in {_shown(settings.sources_file())}",
        *("source", "reader", "kind", "profile", "licence", "releasable", "owner", "documents"),
        numbers=("documents",),
    )
    for name, source in sorted(SOURCES.items()):
        table.add_row(
            *(name, source.reader, source.kind, source.profile, source.license),
            "yes" if source.releasable else "no",
            source.owner,
            f"{read[name]:,}" if name in read else "never read",
        )
    console.print(table)


def history(console: Console, instance: dg.DagsterInstance, asset: str | None, limit: int) -> None:
    """Materialisations, newest first: when, of which partition, which version, by which run and snapshot."""
    keys = [dg.AssetKey(asset.split("/"))] if asset else sorted(instance.all_asset_keys())
    records = []
    for key in keys:
        found = instance.fetch_materializations(key, limit=limit).records
        records += [(record.timestamp, key, record) for record in found]
    records.sort(key=lambda item: -item[0])
    if not records:
        console.print(f"[yellow]No history of {asset}.[/]" if asset else "[yellow]Nothing has run yet.[/]")
        return
    table = new_table(
        "History",
        "time (UTC)",
        "asset",
        "source",
        "data version",
        "code",
        "rows",
        "snapshot",
        "run",
        numbers=("rows", "snapshot"),
    )
    for timestamp, key, record in records[:limit]:
        event = record.asset_materialization
        tags = event.tags or {}
        rows = event.metadata.get("dagster/row_count")
        snapshot = event.metadata.get("lake_snapshot")
        table.add_row(
            datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S"),
            key.to_user_string(),
            event.partition or "",
            (tags.get("dagster/data_version") or "")[:24],
            (tags.get("dagster/code_version") or "")[:12],
            f"{rows.value:,}" if rows else "",
            str(snapshot.value) if snapshot else "",
            record.run_id[:8],
        )
    console.print(table)


def why(console: Console, prefix: str) -> bool:
    """One document's whole record; False where no document, or more than one, begins with the prefix."""
    lake = _lake()
    if not lake.exists("raw.documents"):
        console.print("[red]The lake is empty.[/] Run `winnow run` first.")
        return False
    found = lake.query(
        "SELECT doc_id, source, key, kind, license, url, content_hash, synthetic, generator, parents, run_id "
        "FROM raw.documents WHERE starts_with(doc_id, ?) LIMIT 2",
        [prefix.lower()],
    ).to_pylist()
    if len(found) != 1:
        how_many = "More than one document" if found else "No document"
        console.print(f"[red]{how_many} begins with {escape(prefix)}.[/]")
        return False
    (document,) = found
    doc_id = document["doc_id"]
    facts = new_table(f"Document {doc_id}", "", "")
    for name, value in document.items():
        if value not in (None, []):
            facts.add_row(name, escape(str(value)))
    console.print(facts)
    _decision(console, lake, doc_id)
    _relations(console, lake, doc_id)
    _chosen(console, lake, doc_id)
    return True


def _decision(console: Console, lake: Lake, doc_id: str) -> None:
    if not lake.exists("filtered.decisions"):
        console.print("[yellow]Not decided yet.[/]")
        return
    verdicts = lake.query("FROM filtered.verdicts WHERE doc_id = ? ORDER BY priority", [doc_id]).to_pylist()
    table = new_table(
        "Rules: a document fails where its value stands so to the threshold",
        "rule",
        "signal",
        "value",
        "fails if",
        "outcome",
        numbers=("value",),
    )
    for row in verdicts:
        outcome = (
            "not asked"
            if row["value"] is None
            else "passed"
            if not row["failed"]
            else "[red]drop[/]"
            if row["action"] == "drop"
            else "[yellow]flag[/]"
        )
        table.add_row(
            row["rule"],
            row["signal"],
            "" if row["value"] is None else f"{row['value']:.4g}",
            f"{row['comparison']} {row['threshold']:g}",
            outcome,
        )
    console.print(table)
    decided = lake.query("FROM filtered.decisions WHERE doc_id = ?", [doc_id]).to_pylist()
    for decision in decided:
        because = f" because of [bold]{decision['reason']}[/]" if decision["reason"] else ""
        snapshots = [
            s
            for s in lake.snapshots()
            if s.run_id == decision["run_id"] and "filtered.decisions" in (s.message or "")
        ]
        at = (
            f", lake snapshot {snapshots[-1].id} of {snapshots[-1].time:%Y-%m-%d %H:%M:%S} UTC"
            if snapshots
            else ""
        )
        console.print(
            f"[bold]{decision['verdict']}[/]{because}, under policy {decision['policy_version']} "
            f"(profile {decision['profile']}); run {decision['run_id']}{at}\n",
            soft_wrap=True,
        )


def _relations(console: Console, lake: Lake, doc_id: str) -> None:
    for row in lake.query("FROM filtered.duplicates WHERE doc_id = ?", [doc_id]).to_pylist():
        role = "the keeper of" if row["is_keeper"] else f"a duplicate of {row['keeper_id']} in"
        console.print(
            f"{row['relation']}: {role} cluster {row['cluster_id']}, similarity {row['similarity']:.2f}"
        )
    for row in lake.query("FROM filtered.contamination WHERE doc_id = ?", [doc_id]).to_pylist():
        console.print(
            f"contains {row['overlap']:.0%} of item {row['item_id']} of benchmark {row['benchmark']}"
        )
    found = lake.query(
        "SELECT entity, count(*) AS n FROM filtered.pii_findings WHERE doc_id = ? GROUP BY ALL ORDER BY ALL",
        [doc_id],
    ).to_pylist()
    if found:
        console.print(
            "personal data, redacted: " + ", ".join(f"{row['n']} × {row['entity']}" for row in found)
        )


def _chosen(console: Console, lake: Lake, doc_id: str) -> None:
    if not lake.exists("scored.selection"):
        return
    for row in lake.query("FROM scored.selection WHERE doc_id = ?", [doc_id]).to_pylist():
        scores = (
            f"quality {row['quality']:.3f}, toxicity {row['toxicity']:.3f}"
            if row["quality"] is not None
            else ""
        )
        if row["selected"]:
            console.print(f"[bold green]selected[/]; {scores}")
        else:
            failed = json.dumps(row["failed"], default=str)
            console.print(
                f"[bold]not selected[/] because of [bold]{row['reason']}[/]; {scores}; {escape(failed)}"
            )
