"""deployed: the release that a verdict allows, and the one that a person answers for."""

import hashlib
import json
from collections.abc import Iterator

import dagster as dg
import pyarrow as pa

from assets import settings
from assets.documents import DOCUMENT
from assets.governance import acceptance
from assets.governance.data_card import render_data_card
from assets.lake import Lake
from assets.releases.manifest import (
    Check,
    Facts,
    FunnelStep,
    Gate,
    Origin,
    Privacy,
    ProxyResult,
    Removal,
    Rules,
)
from assets.releases.store import GateFailed, NotApproved, ReleaseStore, Tainted
from assets.stage import RELEASES, SOURCES, code_version, latest_validations

# What a release is made from; the manifest names the version of each.
INPUTS = (
    "raw.documents",
    "filtered.signals",
    "filtered.redacted",
    "filtered.duplicates",
    "filtered.boilerplate",
    "filtered.contamination",
    "filtered.decisions",
    "filtered.documents",
    "filtered.rule_effects",
    "scored.scores",
    "scored.selection",
    "evaluated.data_report",
    "evaluated.verdict",
)
PARTITIONED = (
    "raw.documents",
    "filtered.signals",
    "filtered.redacted",
    "filtered.contamination",
    "scored.scores",
)


@dg.asset(
    key=["deployed", "candidate"],
    deps=[
        ["evaluated", "verdict"],
        ["evaluated", "proxy_summary"],
        ["scored", "selection"],
        ["scored", "mixture"],
        ["filtered", "documents"],
        ["filtered", "funnel"],
        ["filtered", "rule_effects"],
        ["filtered", "pii_risk"],
    ],
    group_name="deployed",
    owners=[RELEASES],
    kinds={"parquet", "json"},
    code_version=code_version("releases", "governance/data_card.py"),
)
def candidate(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake], releases: dg.ResourceParam[ReleaseStore]
) -> dg.MaterializeResult:
    """An immutable release, named by the hash of its manifest; the alias `candidate` points at the newest.

    The verdict's critical checks block it: what failed a gate never becomes a candidate.
    """
    release = releases.build(
        selected_documents(lake),
        release_facts(lake, context.run_id, parent=releases.alias("champion")),
        pages={"README.md": render_data_card},
    )
    before = releases.alias("candidate")
    if before != release.release_id:
        releases.move_alias(
            "candidate", before, release.release_id, by="winnow", reason=f"run {context.run_id}"
        )
    manifest = release.manifest
    return dg.MaterializeResult(
        data_version=dg.DataVersion(release.release_id),
        metadata={
            "release": release.release_id,
            "dagster/row_count": manifest.counts.documents,
            "shards": len(manifest.shards),
            "bytes": manifest.counts.shard_bytes,
            "failures": list(manifest.failures()),
            "audit_head": releases.events.head(),
            "data_card": dg.MetadataValue.md((release.path / "README.md").read_text(encoding="utf-8")),
        },
    )


class Approval(dg.Config):
    """Who answers for the release, and why."""

    approved_by: str = ""
    reason: str = "approved"


@dg.asset(
    key=["deployed", "champion"],
    deps=[["deployed", "candidate"]],
    group_name="deployed",
    owners=[RELEASES],
    kinds={"json"},
    code_version="1",
)
def champion(
    context: dg.AssetExecutionContext,
    config: Approval,
    lake: dg.ResourceParam[Lake],
    releases: dg.ResourceParam[ReleaseStore],
) -> dg.MaterializeResult:
    """The release that serves. It changes only by a named person's approval of a candidate that passed.

    What its rules did and the personal data found are then accepted: what comes later is compared with them.
    """
    release_id = releases.alias("candidate")
    serving = releases.alias("champion")
    if release_id is None:
        raise dg.Failure("There is no candidate to promote.")
    try:
        release = releases.promote(
            release_id, approved_by=config.approved_by, reason=config.reason, expected=serving
        )
    except (NotApproved, GateFailed, Tainted) as refusal:
        # A refusal is the answer, not an accident: a retry would get the same one.
        raise dg.Failure(
            str(refusal), metadata={"champion": serving or "none"}, allow_retries=False
        ) from refusal
    accepted = acceptance.accept(lake, release_id, release.manifest.snapshot, context.run_id)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(release_id),
        metadata={
            "release": release_id,
            "previous": serving or "none",
            "approved_by": config.approved_by,
            "reason": config.reason,
            "effects_accepted": accepted,
            "audit_head": releases.events.head(),
            "documents": release.manifest.counts.documents,
        },
    )


def selected_documents(lake: Lake) -> Iterator[pa.Table]:
    """The selected documents, redacted, a source at a time, in the order of their ids."""
    columns = ", ".join(f"documents.{name}" for name in DOCUMENT.names)
    for source in sorted(SOURCES):
        table = lake.query(
            f"SELECT {columns} FROM filtered.documents AS documents "
            "JOIN scored.selection AS selection USING (doc_id) "
            "WHERE selection.selected AND documents.source = ? ORDER BY documents.doc_id",
            [source],
        )
        yield table.cast(DOCUMENT)


def release_facts(lake: Lake, run_id: str, parent: str | None) -> Facts:
    """Everything a manifest says besides its documents, read from the lake as it is now."""
    rules = lake.query("SELECT * FROM policy.rules ORDER BY ALL").to_pylist()
    version = lake.query("SELECT any_value(policy_version) AS version FROM filtered.decisions")["version"][
        0
    ].as_py()
    validations = latest_validations(lake)
    decisions = lake.query(
        "SELECT source, reason, count(*) AS documents FROM filtered.decisions "
        "WHERE verdict <> 'kept' GROUP BY ALL ORDER BY ALL"
    ).to_pylist()
    refusals = lake.query(
        "SELECT source, reason, count(*) AS documents FROM scored.selection "
        "WHERE NOT selected GROUP BY ALL ORDER BY ALL"
    ).to_pylist()
    return Facts(
        run_id=run_id,
        inputs={table: _versions(lake, table) for table in INPUTS},
        snapshot=lake.snapshots()[-1].id,
        rules=Rules(version, hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()),
        models={row["name"]: row["sha256"] for row in lake.query("FROM scored.quality_model").to_pylist()},
        checks=tuple(
            Check(
                asset=asset,
                check=check["name"] if source is None else f"{check['name']} of {source}",
                severity=check["severity"],
                passed=check["passed"],
                data_version=record["data_version"],
            )
            for (asset, source), record in sorted(
                validations.items(), key=lambda item: (item[0][0], item[0][1] or "")
            )
            for check in record["results"]
        ),
        verdict=tuple(
            Gate(
                gate=f"{row['gate']} {row['figure']}" if "/" in row["figure"] else row["gate"],
                value=row["value"],
                low=row["low"],
                high=row["high"],
                n=row["n"] or 0,
                limit=row["limit"],
                passed=row["passed"],
                severity=row["severity"],
            )
            for row in lake.query("FROM evaluated.verdict").to_pylist()
        ),
        parent=parent,
        origins=tuple(Origin(name) for name in sorted(SOURCES)),
        funnel=tuple(
            FunnelStep(**row)
            for row in lake.query(
                "SELECT source, 'raw' AS stage, count(*) AS documents FROM raw.documents GROUP BY source "
                "UNION ALL SELECT source, 'filtered', count(*) FROM filtered.documents GROUP BY source "
                "UNION ALL SELECT source, 'scored', count_if(selected)::BIGINT FROM scored.selection "
                "GROUP BY source "
                "ORDER BY source, documents DESC, stage"
            ).to_pylist()
        ),
        removals=tuple(
            Removal(row["source"], stage, row["reason"], row["documents"])
            for stage, rows in (("filtered", decisions), ("scored", refusals))
            for row in rows
        ),
        privacy=_privacy(lake),
        proxy=_proxy(lake),
    )


def _versions(lake: Lake, table: str) -> dict[str, str]:
    if table in PARTITIONED:
        return {source: lake.data_version(table, source) for source in sorted(SOURCES)}
    return {"": lake.data_version(table)}


def _privacy(lake: Lake) -> Privacy:
    found = lake.query(
        "SELECT findings.entity, count(*) AS spans FROM filtered.pii_findings AS findings "
        "JOIN scored.selection AS selection USING (doc_id) WHERE selection.selected GROUP BY ALL ORDER BY ALL"
    ).to_pylist()
    documents = lake.query(
        "SELECT count(*) AS n FROM filtered.documents AS documents JOIN scored.selection AS selection "
        "USING (doc_id) WHERE selection.selected AND documents.n_findings > 0"
    )["n"][0].as_py()
    tier = settings.ner()
    names = "not looked for" if tier == "off" else f"looked for in English text by a small model ({tier})"
    treatment = (
        "Pattern recognisers of Presidio and detectors of detect-secrets find e-mail addresses, telephone, card, "
        "account and identity numbers and access keys. Each is treated as the actions say, by default replaced by "
        f"a placeholder that names its kind. Names of persons and places are {names}."
    )
    return Privacy(treatment, documents, {row["entity"]: row["spans"] for row in found})


def _proxy(lake: Lake) -> tuple[ProxyResult, ...]:
    budget = lake.query("SELECT any_value(budget_tokens) AS b FROM evaluated.proxy_runs")["b"][0].as_py()
    rows = lake.query("FROM evaluated.proxy_summary WHERE holdout <> 'source'").to_pylist()
    return tuple(
        ProxyResult(
            proxy="KN-5",
            arm=row["comparison"].split(" - ")[0],
            control=row["comparison"].split(" - ")[1],
            holdout=row["holdout"],
            budget_tokens=budget,
            value=row["difference"],
            low=row["low"],
            high=row["high"],
            n=row["n"],
        )
        for row in rows
    )
