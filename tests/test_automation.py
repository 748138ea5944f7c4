"""Time starts the head, data drives the tail, a person deploys: the schedules and conditions themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from assets.raw import FILES, source_fingerprint
from assets.stage import SOURCES
from orchestration.automation import CHAMPION, HEAD_KEYS, TAIL, automation_sensor, recuration_schedules
from orchestration.definitions import defs

GRAPH = defs.resolve_asset_graph()
TAIL_KEYS = TAIL.resolve(GRAPH)
DUPLICATES, DOCUMENTS = dg.AssetKey(["filtered", "duplicates"]), dg.AssetKey(["raw", "documents"])
SEEDS = {
    *(dg.AssetKey(["policy", name]) for name in ("rules", "waivers", "effect_limits")),
    dg.AssetKey(["filtered", "labelled_recall"]),
}
FIRST, *OTHERS = sorted(SOURCES)


class Daemon:
    """What the automation daemon does with the definitions, a tick at a time, on a real instance."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self._cursor = None

    def tick(self) -> set[dg.AssetKey]:
        """The assets that this tick requests."""
        result = dg.evaluate_automation_conditions(defs, self.instance, cursor=self._cursor)
        self._cursor = result.cursor
        return {key for key in GRAPH.executable_asset_keys if result.get_num_requested(key)}

    def write(self, key: dg.AssetKey, version: str, source: str | None = None) -> None:
        """A materialisation with a data version."""
        tags = {"dagster/data_version": version}
        self.instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=source, tags=tags))

    def write_head(self, *sources: str, version: str = "1") -> None:
        for source in sources:
            for key in HEAD_KEYS:
                self.write(key, version, source)

    def write_tail(self) -> None:
        for key in GRAPH.toposorted_asset_keys:
            if key in TAIL_KEYS:
                self.write(key, "1")

    def start(self, job: str, source: str | None = None) -> dg.DagsterRun:
        """A run of a job, as it stands in the history while it works."""
        tags = {"dagster/partition": source} if source else {}
        return self.instance.create_run_for_job(
            defs.resolve_job_def(job), tags=tags, status=dg.DagsterRunStatus.STARTED
        )


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield Daemon(instance)


@pytest.fixture
def current(daemon: Daemon) -> Daemon:
    """A daemon that has seen everything made."""
    daemon.write_head(*SOURCES)
    daemon.write_tail()
    assert daemon.tick() == set()
    return daemon


def test_each_source_is_read_again_by_one_running_schedule(tmp_path: Path) -> None:
    schedules = recuration_schedules()
    assert schedules[0].name == "recurate"
    assert {schedule.default_status for schedule in schedules} == {dg.DefaultScheduleStatus.RUNNING}
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        context = dg.build_schedule_context(
            instance,
            scheduled_execution_time=datetime(2026, 1, 1, 2, tzinfo=UTC),
            repository_def=defs.get_repository_def(),
        )
        ticks = [schedule.evaluate_tick(context) for schedule in schedules]
        observed = {
            record.partition_key: record.asset_observation.tags["dagster/data_version"]
            for record in instance.fetch_observations(FILES, limit=100).records
        }
    requested = [request.partition_key for tick in ticks for request in tick.run_requests]
    assert sorted(requested) == sorted(SOURCES)
    assert observed == {name: source_fingerprint(source) for name, source in SOURCES.items()}


def test_each_schedule_reads_the_sources_that_name_its_time() -> None:
    crons = {schedule.cron_schedule for schedule in recuration_schedules()}
    assert crons == {source.cron for source in SOURCES.values()}


def test_the_sensor_runs_from_the_first_start_and_covers_the_tail_alone() -> None:
    sensor = automation_sensor()
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    assert sensor.asset_selection.resolve(GRAPH) == TAIL_KEYS
    assert not TAIL_KEYS & (set(HEAD_KEYS) | CHAMPION.resolve(GRAPH))


def test_only_the_tail_has_a_condition() -> None:
    automated = {key for key in GRAPH.get_all_asset_keys() if GRAPH.get(key).automation_condition}
    assert automated == TAIL_KEYS
    # Whatever is requested together can be made by one run: nothing in it sees half of a change.
    assert {GRAPH.get(key).partitions_def for key in TAIL_KEYS} == {None}


@pytest.mark.slow
def test_the_first_tail_waits_for_the_whole_head_and_is_one_run(daemon: Daemon) -> None:
    assert daemon.tick() == set()
    daemon.write_head(FIRST)
    assert daemon.tick() == set(), "other sources were never read"
    daemon.write_head(*OTHERS)
    run = daemon.start("curate_source", OTHERS[-1])
    assert daemon.tick() == set(), "a source is being read"
    daemon.instance.report_run_failed(run)
    assert daemon.tick() == TAIL_KEYS


@pytest.mark.slow
def test_nothing_is_requested_where_no_content_changed(current: Daemon) -> None:
    assert current.tick() == set()
    current.write_head(FIRST)
    assert current.tick() == set(), "the same data versions again"


@pytest.mark.slow
def test_new_data_of_one_source_requests_all_that_follows_once(current: Daemon) -> None:
    current.write(DOCUMENTS, "2", FIRST)
    assert current.tick() == TAIL_KEYS - SEEDS
    run = current.start("curate")
    assert current.tick() == set(), "the run is at work"
    current.instance.report_run_failed(run)
    assert current.tick() == set(), "a failed run is not repeated"
    assert current.tick() == set()
    current.write(DOCUMENTS, "3", FIRST)
    assert current.tick() == TAIL_KEYS - SEEDS, "but other data is another chance"


@pytest.mark.slow
def test_a_first_run_that_failed_is_not_repeated_until_the_data_is_other(daemon: Daemon) -> None:
    daemon.tick()
    daemon.write_head(*SOURCES)
    assert daemon.tick() == TAIL_KEYS
    daemon.instance.report_run_failed(daemon.start("curate"))
    assert daemon.tick() == set()
    assert daemon.tick() == set()
    daemon.write(DOCUMENTS, "2", FIRST)
    assert daemon.tick() == TAIL_KEYS


@pytest.mark.slow
def test_behind_a_failed_blocking_check_nothing_is_requested(current: Daemon) -> None:
    blocking = sorted(key.name for key in GRAPH.asset_check_keys if key.asset_key == DUPLICATES)
    name = next(name for name in blocking if GRAPH.get(dg.AssetCheckKey(DUPLICATES, name)).blocking)
    current.write(DUPLICATES, "2")
    current.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(DUPLICATES, name, passed=False, blocking=True)
    )
    assert current.tick() == set()
    current.write(DOCUMENTS, "2", FIRST)
    assert current.tick() == TAIL_KEYS - SEEDS, "a run that makes the duplicates again may get past them"
