"""The two jobs by which a person deploys: promote a candidate, roll a champion back."""

import dagster as dg

from assets.governance import acceptance
from assets.lake import Lake
from assets.releases.store import ReleaseStore

promote = dg.define_asset_job(
    "promote",
    dg.AssetSelection.assets(["deployed", "champion"]),
    description="Makes the candidate the champion: needs a named approver and a passed verdict.",
)


class Rollback(dg.Config):
    """Who rolls back, and why. In an emergency one click must do, so neither is asked for."""

    by: str = "the rollback job"
    reason: str = "rolled back"


@dg.op(description="Puts the previous champion back, in one step.")
def restore_previous(
    context: dg.OpExecutionContext,
    config: Rollback,
    lake: dg.ResourceParam[Lake],
    releases: dg.ResourceParam[ReleaseStore],
) -> None:
    champion = releases.alias("champion")
    if champion is None:
        raise dg.Failure("There is no champion to roll back from.")
    release = releases.rollback(by=config.by, reason=config.reason, expected=champion)
    acceptance.accept(lake, release.release_id, release.manifest.snapshot, context.run_id)
    context.log_event(
        dg.AssetMaterialization(
            ["deployed", "champion"],
            metadata={"release": release.release_id, "rolled_back_from": champion, "by": config.by},
            tags={"dagster/data_version": release.release_id},
        )
    )


@dg.job(description="Puts the previous champion back: one click, no rebuild.")
def rollback() -> None:
    restore_previous()
