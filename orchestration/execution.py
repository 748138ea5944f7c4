"""Runs from the command line: what is due, and running exactly that, on the same history as the UI's."""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContext
from dagster._core.remote_origin import RemoteRepositoryOrigin
from dagster._core.workspace.load import location_origin_from_module_name

from assets.lake import Lake
from assets.stage import BY_SOURCE, latest_validations, table_of
from expectations.suites import load_suites

STAGES = ("raw", "filtered", "scored", "evaluated", "deployed")

# The leading dot keeps a tag out of the UI: this one is of use to the watcher alone.
INVOCATION = ".dagster/winnow-invocation"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

STEP_EVENTS = {
    dg.DagsterEventType.STEP_START,
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SKIPPED,
}


class _Loading(LoadingContext):
    """What the status resolver batches its look-ups with; Dagster has one for web requests and for tests."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._loaders: dict[type, object] = {}

    @property
    def instance(self) -> dg.DagsterInstance:
        return self._instance

    @property
    def loaders(self) -> dict[type, object]:
        return self._loaders


@dataclass(frozen=True)
class Step:
    """What happened to one op of a run: started, succeeded, failed or skipped; seconds once it has ended."""

    name: str
    state: str
    seconds: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Outcome:
    """A finished run: its id, whether it succeeded, and its steps in the order they ended."""

    job: str
    partition: str | None
    run_id: str
    success: bool
    steps: Sequence[Step] = ()


@dataclass(frozen=True)
class Due:
    """What a run would do: assets per source for the head, assets for the tail. Empty when all is current."""

    head: dict[str, list[dg.AssetKey]] = field(default_factory=dict)
    tail: list[dg.AssetKey] = field(default_factory=list)


def prepare_home() -> Path:
    """Dagster's home below the project's `var/`, with this project's instance settings in it."""
    dagster_home = Path(os.environ["DAGSTER_HOME"])
    dagster_home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).parent / "dagster.yaml", dagster_home / "dagster.yaml")
    return dagster_home


@contextmanager
def open_instance() -> Iterator[dg.DagsterInstance]:
    """The Dagster instance that the UI of `winnow dev` shows too."""
    prepare_home()
    with dg.DagsterInstance.get() as instance:
        yield instance


def job(name: str) -> dg.JobDefinition:
    """A job by name; child processes rebuild theirs through this function."""
    from orchestration.definitions import defs

    return defs.resolve_job_def(name)


def selection(name: str) -> set[dg.AssetKey]:
    """The assets of a job."""
    return set(job(name).asset_layer.executable_asset_keys)


def due(
    instance: dg.DagsterInstance,
    lake: Lake,
    *,
    sources: Iterable[str] | None = None,
    stage: str | None = None,
) -> Due:
    """What is missing, changed upstream, changed in code, or not validated as it is, and all that follows.

    Args:
        sources: Look at these sources' heads only; all by default.
        stage: Take everything from this stage on as due.
    """
    from orchestration.automation import observe, observe_key
    from orchestration.definitions import defs

    graph = defs.resolve_asset_graph()
    names = sorted(sources or BY_SOURCE.get_partition_keys())
    observe_key(instance)
    for source in names:
        observe(instance, source)
    stale = CachingStaleStatusResolver(instance, graph, _Loading(instance))
    validations = latest_validations(lake)
    # Not every asset with a check: the tests of dbt are checks too, and leave no validation record.
    suited = {dg.AssetKey(asset.split("/")) for asset in load_suites()}
    forced = set(STAGES[STAGES.index(stage) :]) if stage else set()

    def is_due(key: dg.AssetKey, partition: str | None) -> bool:
        if key.path[0] in forced or stale.get_status(key, partition) != StaleStatus.FRESH:
            return True
        if key not in suited:
            return False
        record = validations.get((key.to_user_string(), partition))
        if record is None or not record["passed"]:
            return True
        # A run may have died between its write and its checks.
        return record["data_version"] != lake.data_version(table_of(key), partition)

    def with_followers(keys: set[dg.AssetKey], within: set[dg.AssetKey]) -> list[dg.AssetKey]:
        reached: set[dg.AssetKey] = set()
        frontier = list(keys)
        while frontier:
            key = frontier.pop()
            if key not in reached:
                reached.add(key)
                # What one op writes together is made together.
                frontier += graph.get(key).execution_set_asset_keys | graph.get(key).child_keys & within
        return sorted(reached)

    head, tail = selection("curate_source"), selection("curate")
    per_source = {
        source: with_followers({key for key in head if is_due(key, source)}, head) for source in names
    }
    per_source = {source: keys for source, keys in per_source.items() if keys}
    below = {
        child for keys in per_source.values() for key in keys for child in graph.get(key).child_keys
    } & tail
    stale_tail = {key for key in tail if is_due(key, None)}
    return Due(per_source, with_followers(stale_tail | below, tail))


def execute(
    instance: dg.DagsterInstance,
    name: str,
    *,
    partition: str | None = None,
    assets: Sequence[dg.AssetKey] | None = None,
    config: dict[str, object] | None = None,
    reexecute: str | None = None,
    on_step: Callable[[Step], None],
) -> Outcome:
    """One run of a job in this process's children; reports its steps while it works.

    Args:
        partition: The source, for `curate_source`. `curate` always covers every source.
        assets: The assets to materialise; all of the job's by default.
        reexecute: A failed run to continue: what succeeded in it isn't done again.
    """
    tags = {INVOCATION: uuid.uuid4().hex}
    if partition is not None:
        tags["dagster/partition"] = partition
    options = dg.ReexecutionOptions.from_failure(reexecute, instance) if reexecute else None
    watcher = _Watcher(instance, tags[INVOCATION], on_step)
    run = dg.build_reconstructable_job("orchestration.execution", "job", (name,))
    with (
        watcher,
        _addressed(instance, name),
        dg.execute_job(
            run,
            instance=instance,
            run_config=QUIET | (config or {}),
            tags=tags,
            asset_selection=None if reexecute else assets,
            reexecution_options=options,
        ) as result,
    ):
        run_id, success = result.run_id, result.success
    return Outcome(name, partition, run_id, success, tuple(watcher.ended))


@contextmanager
def _addressed(instance: dg.DagsterInstance, name: str) -> Iterator[None]:
    """Runs created meanwhile carry their job's address in the UI: without one, its "Re-execute" fails.

    `execute_job` leaves it out, and a run can't be given it afterwards.
    """
    location = location_origin_from_module_name("orchestration.definitions", None, None)
    origin = RemoteRepositoryOrigin(location, "__repository__").get_job_origin(name)
    addressed = partial(instance.create_run_for_job, remote_job_origin=origin)
    instance.create_run_for_job = addressed  # type: ignore[method-assign]
    try:
        yield
    finally:
        del instance.create_run_for_job


class _Watcher:
    """Follows the run with a given tag in the event log, from a thread, and hands on its steps."""

    def __init__(
        self, instance: dg.DagsterInstance, invocation: str, on_step: Callable[[Step], None]
    ) -> None:
        self.ended: list[Step] = []
        self._instance = instance
        self._invocation = invocation
        self._on_step = on_step
        self._run_id: str | None = None
        self._cursor: str | None = None
        self._started: dict[str, float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> _Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._done.wait(0.3):
            self._read()
        self._read()

    def _read(self) -> None:
        if self._run_id is None:
            runs = self._instance.get_runs(dg.RunsFilter(tags={INVOCATION: self._invocation}), limit=1)
            if not runs:
                return
            self._run_id = runs[0].run_id
        connection = self._instance.get_records_for_run(self._run_id, self._cursor, of_type=STEP_EVENTS)
        self._cursor = connection.cursor
        for record in connection.records:
            self._handle(record.event_log_entry)

    def _handle(self, entry: dg.EventLogEntry) -> None:
        event = entry.get_dagster_event()
        name = event.step_key or ""
        if event.event_type == dg.DagsterEventType.STEP_START:
            self._started[name] = entry.timestamp
            self._on_step(Step(name, "started"))
            return
        seconds = entry.timestamp - self._started[name] if name in self._started else None
        states = {
            dg.DagsterEventType.STEP_SUCCESS: "succeeded",
            dg.DagsterEventType.STEP_FAILURE: "failed",
            dg.DagsterEventType.STEP_SKIPPED: "skipped",
        }
        error = None
        if event.event_type == dg.DagsterEventType.STEP_FAILURE:
            error = _message(event.step_failure_data)
        step = Step(name, states[event.event_type], seconds, error)
        self.ended.append(step)
        self._on_step(step)


def _message(failure: object) -> str:
    """A failed step's own words: the user's exception, without Dagster's frame around it."""
    data = getattr(failure, "user_failure_data", None)
    if data is not None and data.description:
        return data.description
    error = getattr(failure, "error", None)
    while error is not None and error.cause is not None:
        error = error.cause
    if error is not None and error.cls_name == "ChildProcessCrashException":
        return "its process was killed, by a person or for want of memory; nothing of it was kept"
    return error.message.strip() if error is not None else "failed"


def failed_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """The runs to repeat: for each job and source, the newest one, where it failed."""
    latest: dict[tuple[str, str | None], dg.DagsterRun] = {}
    for run in instance.get_runs(limit=500):
        latest.setdefault((run.job_name, run.tags.get("dagster/partition")), run)
    failed = [run for run in latest.values() if run.status == dg.DagsterRunStatus.FAILURE]
    return sorted(
        failed, key=lambda run: (run.job_name != "curate_source", run.tags.get("dagster/partition", ""))
    )
