"""What the lifecycle costs: wall and CPU seconds and memory of `winnow run`, by stage and by op.

    .venv/bin/python benchmarks/lifecycle.py [--json FILE]

It runs the sources that `make demo` runs, in a fresh `WINNOW_HOME` that it removes again; nothing is
simulated. It measures

- the run: every process below `winnow run` is read from `/proc` ten times a second. An op's CPU seconds
  are those of its process and of what it started, such as dbt; the total is the kernel's own count;
- orchestration: a job of ops that do nothing, among all the project's definitions and on its executor
  (`nothing.py`). What such an op costs is what Dagster costs each op beyond the op's body;
- loading the definitions, as each command does first.

CPU seconds are what to compare: wall time is also that of whatever else the machine does. Processes share
pages with the server they fork from, so the sum of their resident memory is more than they hold. Linux
only. The aims: a run below 5 minutes on 2 cores, an op's overhead below 1 CPU second, memory below 3 GB.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path

import dagster as dg

PROJECT = Path(__file__).resolve().parent.parent
WINNOW = str(Path(sys.executable).parent / "winnow")
STAGES = ("raw", "filtered", "scored", "evaluated", "deployed")
LOADS = 5

INTERVAL = 0.1  # seconds between two looks at /proc
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MB = 1_000_000


@dataclass
class Process:
    """What was last seen of a process: CPU seconds of it and its ended children, peak resident bytes."""

    cpu: float = 0.0
    peak: int = 0


@dataclass(frozen=True)
class Measured:
    """A command that ended: seconds, peak resident bytes of its largest process and of all, its processes."""

    pid: int
    wall: float
    cpu: float
    largest: int
    together: int
    processes: dict[int, Process]


@dataclass(frozen=True)
class Op:
    """An op of a run: wall seconds of its body, CPU seconds and peak resident bytes of its process."""

    stage: str
    name: str
    partition: str
    wall: float
    cpu: float
    peak: int


@dataclass(frozen=True)
class Report:
    """All that was measured, in seconds and bytes."""

    date: str
    machine: str
    wall: float
    cpu: float
    largest: int
    together: int
    ops: Sequence[Op]
    command_cpu: float
    server_cpu: float
    overhead_cpu: Sequence[float]
    loading_cpu: Sequence[float]


def measure(command: Sequence[str], environment: dict[str, str]) -> Measured:
    """Runs a command to its end and watches it and all it starts.

    Raises:
        RuntimeError: It failed; the message holds the end of its output.
    """
    _adopt_orphans()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    processes: dict[int, Process] = {}
    largest = together = 0
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(command, env=environment, cwd=PROJECT, stdout=output, stderr=output)
        while child.poll() is None:
            resident = list(_look(child.pid, processes))
            largest = max([largest, *resident])
            together = max(together, sum(resident))
            time.sleep(INTERVAL)
        wall = time.monotonic() - started
        if child.returncode:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed:\n{output.read()[-4000:]}")
    _reap_orphans()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(child.pid, wall, cpu, largest, together, processes)


def _adopt_orphans() -> None:
    # A fork server outlives its command by a moment; adopted, it and its ops are counted as well.
    set_child_subreaper = 36
    if ctypes.CDLL(None).prctl(set_child_subreaper, 1, 0, 0, 0):
        raise OSError("this kernel lets no process adopt orphans")


def _reap_orphans() -> None:
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def _look(root: int, processes: dict[int, Process]) -> Iterator[int]:
    """Brings what is known of a process and its descendants up to date; yields their resident bytes."""
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        place = Path("/proc") / str(pid)
        try:
            # The name before the parenthesis may hold spaces.
            values = (place / "stat").read_text().rpartition(")")[2].split()
            for task in (place / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except OSError:  # it ended meanwhile
            continue
        process = processes.setdefault(pid, Process())
        process.cpu = sum(map(int, values[11:15])) / TICKS
        resident = int(values[21]) * PAGE
        process.peak = max(process.peak, resident)
        yield resident


def ops_of(home: Path, processes: dict[int, Process]) -> Iterator[Op]:
    """The ops of every run in a Dagster home, oldest first, with what was seen of their processes."""
    os.environ["DAGSTER_HOME"] = str(home)
    with dg.DagsterInstance.get() as instance:
        for run in reversed(instance.get_runs()):
            stages: dict[str, str] = {}
            pids: dict[str, int] = {}
            started: dict[str, float] = {}
            for entry in instance.all_logs(run.run_id):
                event = entry.dagster_event
                if event is None or event.step_key is None:
                    continue
                step, kind = event.step_key, event.event_type
                if kind == dg.DagsterEventType.STEP_WORKER_STARTED:
                    pids[step] = int(str(event.engine_event_data.metadata["pid"].value))
                elif kind == dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
                    # The policy's seeds are made together with what they decide.
                    if event.asset_key.path[0] != "policy":
                        stages[step] = event.asset_key.path[0]
                elif kind == dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
                    stages.setdefault(step, event.asset_check_planned_data.asset_key.path[0])
                elif kind == dg.DagsterEventType.STEP_START:
                    started[step] = entry.timestamp
                elif kind == dg.DagsterEventType.STEP_SUCCESS:
                    process = processes[pids[step]]
                    yield Op(
                        stage=stages[step],
                        name=step.replace("__", "/"),
                        partition=run.tags.get("dagster/partition", ""),
                        wall=entry.timestamp - started[step],
                        cpu=process.cpu,
                        peak=process.peak,
                    )


def report(home: Path) -> Report:
    """Measures the whole lifecycle in a home that holds nothing yet, then what Dagster alone costs in it."""
    environment = os.environ | {"WINNOW_HOME": str(home), "PYTHONPATH": str(PROJECT)}
    environment.pop("DAGSTER_HOME", None)
    run = measure([WINNOW, "run"], environment)
    ops = tuple(ops_of(home / "dagster", run.processes))

    environment["DAGSTER_HOME"] = str(home / "nothing")
    idle = measure([sys.executable, "-c", "from benchmarks.nothing import run; run()"], environment)
    nothing = tuple(ops_of(home / "nothing", idle.processes))
    loading = [sys.executable, "-c", "import orchestration.definitions"]
    command_cpu = run.processes[run.pid].cpu
    cores = len(os.sched_getaffinity(0))
    return Report(
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=f"{cores} cores, {platform.machine()}, Python {platform.python_version()}",
        wall=run.wall,
        cpu=run.cpu,
        largest=run.largest,
        together=run.together,
        ops=ops,
        command_cpu=command_cpu,
        server_cpu=run.cpu - command_cpu - sum(op.cpu for op in ops),
        overhead_cpu=tuple(op.cpu for op in nothing),
        loading_cpu=tuple(measure(loading, environment).cpu for _ in range(LOADS)),
    )


def render(report: Report) -> str:
    """The report as Markdown that reads well in a terminal."""
    overhead, loading = statistics.median(report.overhead_cpu), statistics.median(report.loading_cpu)
    ended_in_time, light, small = report.wall < 300, overhead < 1, report.together < 3000 * MB
    aims = [
        ("a run, wall", f"{report.wall:.0f} s", "< 300 s", _mark(ended_in_time)),
        ("an op's overhead, CPU", f"{overhead:.2f} s", "< 1 s", _mark(light)),
        ("memory, all processes", f"{report.together / MB:,.0f} MB", "< 3,000 MB", _mark(small)),
    ]
    spent = [
        ("ops", f"{sum(op.cpu for op in report.ops):.1f}"),
        ("the command: planning, parsing the dbt project, following the ops", f"{report.command_cpu:.1f}"),
        ("the fork server: imports that ops share", f"{report.server_cpu:.1f}"),
        ("all", f"{report.cpu:.1f}"),
    ]
    by_stage = sorted(report.ops, key=lambda op: (STAGES.index(op.stage), op.name))
    stages = [_sums(stage, ops) for stage, ops in groupby(by_stage, key=lambda op: op.stage)]
    names = [
        (stage, *_sums(name, ops))
        for (stage, name), ops in groupby(by_stage, key=lambda op: (op.stage, op.name))
    ]
    columns = ("ops", "wall s", "CPU s", "peak MB")
    return "\n\n".join(
        (
            f"Measured {report.date}, {report.machine}. Largest process {report.largest / MB:,.0f} MB. "
            f"Loading the definitions takes {loading:.1f} CPU s (median of {len(report.loading_cpu)}); an op "
            f"that does nothing {min(report.overhead_cpu):.2f} to {max(report.overhead_cpu):.2f} CPU s "
            f"({len(report.overhead_cpu)} ops).",
            _table(("aim", "measured", "limit", "held"), aims),
            _table(("where CPU seconds go", "CPU s"), spent),
            _table(("stage", *columns), stages),
            _table(("stage", "op", *columns), names),
        )
    )


def _mark(held: bool) -> str:
    return "yes" if held else "NO"


def _sums(name: str, ops: Iterable[Op]) -> tuple[str, ...]:
    ops = list(ops)
    wall, cpu = sum(op.wall for op in ops), sum(op.cpu for op in ops)
    peak = max(op.peak for op in ops) / MB
    return name, str(len(ops)), f"{wall:.1f}", f"{cpu:.1f}", f"{peak:,.0f}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )


def main() -> None:
    """Measures and prints; writes every figure, unrounded, where `--json` says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="winnow-benchmark-") as home:
        measured = report(Path(home).resolve())
    print(render(measured))
    if arguments.json:
        arguments.json.write_text(json.dumps(asdict(measured), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
