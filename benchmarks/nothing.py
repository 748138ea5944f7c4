"""The project's definitions and a job of ops that do nothing: what it costs is Dagster's own work."""

import dagster as dg

from assets.lake import Lake
from orchestration import definitions
from orchestration.execution import QUIET, open_instance

OPS = 10


def _nothing(number: int) -> dg.AssetsDefinition:
    @dg.asset(key=["nothing", f"op_{number}"], group_name="nothing")
    def body(lake: dg.ResourceParam[Lake]) -> None: ...

    return body


# As the project's executor, with this module behind its fork server as well.
executor = dg.multiprocess_executor.configured(
    {
        "start_method": {"forkserver": {"preload_modules": [__name__, "orchestration.preload"]}},
        "max_concurrent": 2,
    }
)

defs = dg.Definitions.merge(
    definitions.defs,
    dg.Definitions(
        assets=[_nothing(number) for number in range(OPS)],
        jobs=[dg.define_asset_job("nothing", dg.AssetSelection.groups("nothing"), executor_def=executor)],
    ),
)


def job() -> dg.JobDefinition:
    """The job; child processes rebuild theirs through this function."""
    return defs.resolve_job_def("nothing")


def run() -> None:
    """Runs it as `winnow run` runs a job."""
    with (
        open_instance() as instance,
        dg.execute_job(
            dg.build_reconstructable_job(__name__, "job"), instance=instance, run_config=QUIET
        ) as result,
    ):
        assert result.success
