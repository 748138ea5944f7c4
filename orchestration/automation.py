"""Time starts the head, data drives the tail, a person deploys."""

import hashlib
from collections.abc import Iterable, Iterator
from functools import reduce
from operator import or_

import dagster as dg

from assets.filtered import KEY, present_key
from assets.raw import FILES, source_fingerprint
from assets.sources.rows import SourceError
from assets.stage import SOURCES

HEAD_KEYS = tuple(
    dg.AssetKey(path)
    for path in (
        ["raw", "documents"],
        ["raw", "quarantine"],
        ["raw", "sources"],
        ["raw", "inspection"],
        ["filtered", "signals"],
        ["filtered", "pii_findings"],
        ["filtered", "redacted"],
        ["filtered", "contamination"],
    )
)
HEAD = dg.AssetSelection.assets(*HEAD_KEYS)
CHAMPION = dg.AssetSelection.assets(["deployed", "champion"])
TAIL = dg.AssetSelection.all() - HEAD - CHAMPION - dg.AssetSelection.assets(FILES, KEY)

curate_source = dg.define_asset_job(
    "curate_source",
    HEAD,
    description="One source from its files to measured, redacted and checked documents.",
)
curate = dg.define_asset_job(
    "curate",
    TAIL,
    description=(
        "Everything after the sources: duplicates, decisions, scores, selection, evaluation, the candidate "
        "release. Closed while any source's data is not validated as it is."
    ),
)

When = dg.AutomationCondition


def _any_of(keys: Iterable[dg.AssetKey], condition: dg.AutomationCondition) -> dg.AutomationCondition:
    return reduce(or_, (When.asset_matches(key, condition) for key in keys))


# The tail's wish to run: something upstream holds other data, or code changed, or it was never made.
# A re-read that changes no content starts nothing, and what failed waits for a change or a person.
WISH = (
    When.any_deps_match(When.data_version_changed() | When.will_be_requested())
    | When.code_version_changed()
    | (When.missing() & (~When.execution_failed() | _any_of(HEAD_KEYS, When.data_version_changed())))
).since_last_handled()

# The whole head must be there and at rest, not only an asset's own parents: sources are read one after
# another, and a run for half of what changed would be refused at the gate or build on the other half's past.
HEAD_AT_REST = ~_any_of(HEAD_KEYS, When.missing() | When.in_progress())

# Within one run Dagster itself stops behind a blocking check; this holds for the runs after it.
BLOCKED = When.any_deps_match(
    When.any_checks_match(When.check_failed(), blocking_only=True) & ~When.will_be_requested()
)

ON_NEW_DATA = (
    WISH
    & HEAD_AT_REST
    & ~When.any_deps_missing()
    & ~When.any_deps_in_progress()
    & ~BLOCKED
    & ~When.in_progress()
).with_label("on new data")


def observe(instance: dg.DagsterInstance, source: str) -> str:
    """Records what the source's files look like now; Dagster compares it with what was read last.

    A source that can't even be listed is other than it was: its own run says why, and no other one suffers.
    """
    try:
        version = source_fingerprint(SOURCES[source])
    except SourceError as error:
        version = f"unreadable-{hashlib.blake2b(str(error).encode(), digest_size=6).hexdigest()}"
    instance.report_runless_asset_event(
        dg.AssetObservation(FILES, partition=source, tags={"dagster/data_version": version})
    )
    return version


def observe_key(instance: dg.DagsterInstance, **metadata: str) -> None:
    """Records which key personal values are hashed with; Dagster compares it with the one of each source.

    Args:
        metadata: What the event shall show besides, such as who rotated the key.
    """
    tags = {"dagster/data_version": present_key().value}
    instance.report_runless_asset_event(dg.AssetObservation(KEY, metadata=metadata, tags=tags))


def recuration_schedules() -> list[dg.ScheduleDefinition]:
    """One schedule for each cron expression in use; it reads again the sources that name it."""
    crons = sorted({source.cron for source in SOURCES.values()})
    return [_recuration(cron, number) for number, cron in enumerate(crons, 1)]


def _recuration(cron: str, number: int) -> dg.ScheduleDefinition:
    names = sorted(name for name, source in SOURCES.items() if source.cron == cron)

    @dg.schedule(
        name="recurate" if number == 1 else f"recurate_{number}",
        cron_schedule=cron,
        job=curate_source,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        execution_timezone="UTC",
        description=f"Reads again: {', '.join(names)}.",
    )
    def recurate(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        observe_key(context.instance)
        for source in names:
            observe(context.instance, source)
            yield dg.RunRequest(partition_key=source, tags={"winnow/trigger": "schedule"})

    return recurate


def automation_sensor() -> dg.AutomationConditionSensorDefinition:
    """Evaluates the tail's conditions, from the first start on: Dagster's default one starts stopped."""
    return dg.AutomationConditionSensorDefinition(
        "data_drives_the_tail",
        target=TAIL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
    )
