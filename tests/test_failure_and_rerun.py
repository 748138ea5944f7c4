"""What failed is continued from where it failed, a killed writer leaves no trace, a release is taken back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter

import dagster as dg
import pytest
from projects import HANDBOOK, LETTERS, WINNOW, Project, make_project

pytestmark = pytest.mark.slow

HEAD = (
    "raw/documents",
    "raw/quarantine",
    "raw/sources",
    "raw/inspection",
    "filtered/signals",
    "filtered/pii_findings",
    "filtered/redacted",
    "filtered/contamination",
)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project whose first run met a source without its file, and what that run said."""
    project = make_project(tmp_path_factory.mktemp("failure") / "project")
    letters = project.root / f"{LETTERS}.jsonl"
    letters.rename(letters.with_suffix(".away"))
    done = project.winnow("run")
    assert done.returncode == 1, done.stdout
    return project, done.stdout


def test_a_broken_source_fails_alone_and_the_tail_waits(stopped: tuple[Project, str]) -> None:
    project, said = stopped
    assert "raw_documents of letters: source 'letters': letters.jsonl matches no file" in " ".join(
        said.split()
    )
    assert "Everything after the sources waits for letters." in said
    assert "winnow rerun-failed" in said
    assert project.made() == Counter({(asset, HANDBOOK): 1 for asset in HEAD})
    assert project.releases.list() == ()


def test_a_rerun_finishes_without_redoing_what_succeeded(stopped: tuple[Project, str]) -> None:
    project, _ = stopped
    runs = project.lake.query("SELECT DISTINCT run_id FROM raw.documents")["run_id"].to_pylist()
    letters = project.root / f"{LETTERS}.away"
    letters.rename(letters.with_suffix(".jsonl"))

    done = project.winnow("rerun-failed")

    assert done.returncode == 0, done.stdout
    made = project.made()
    assert set(made.values()) == {1}, "everything once: nothing was redone"
    assert {key for key in made if key[1]} == {(a, source) for a in HEAD for source in (HANDBOOK, LETTERS)}
    assert ("deployed/candidate", None) in made
    after = project.lake.query("SELECT DISTINCT run_id FROM raw.documents WHERE source = ?", [HANDBOOK])
    assert after["run_id"].to_pylist() == runs
    assert "No failed runs" in project.winnow("rerun-failed").stdout


@pytest.fixture(scope="module")
def killed(green: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project one of whose workers was killed while it wrote, and what the run said."""
    project = green.copy(tmp_path_factory.mktemp("killed") / "project")
    letters = project.root / f"{LETTERS}.jsonl"
    letters.rename(letters.with_suffix(".away"))
    # Large enough to be caught while it is written: a batch is 10,000 rows.
    line = json.dumps({"id": "{}", "text": "A row among very many others."})
    letters.write_text("".join(line.replace("{}", str(n)) + "\n" for n in range(150_000)), encoding="utf-8")
    written = project.home / "lake" / "data" / "raw" / "documents" / f"source={LETTERS}"
    before = set(written.iterdir())
    process = subprocess.Popen(
        [str(WINNOW), "run", "--source", LETTERS],
        env=project.environment,
        cwd=project.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 300
    while not any(path.stat().st_size for path in set(written.iterdir()) - before):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "the worker never began to write"
        time.sleep(0.01)
    os.kill(worker(project, "raw_documents"), signal.SIGKILL)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 1, said
    return project, said


def worker(project: Project, step: str) -> int:
    """The process at work on a step of the newest run, as the run's events name it."""
    with project.instance() as instance:
        (run,) = instance.get_runs(limit=1)
        records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_WORKER_STARTED)
        events = [record.event_log_entry.get_dagster_event() for record in records.records]
    (event,) = [event for event in events if event.step_key == step]
    return int(event.event_specific_data.metadata["pid"].value)


def test_a_killed_writer_leaves_the_lake_as_it_was(killed: tuple[Project, str], green: Project) -> None:
    project, said = killed
    assert "raw_documents of letters" in said
    assert "its process was killed" in said
    assert "waits for letters" in said
    for table in ("raw.documents", "raw.quarantine", "raw.ingestions", "raw.sources"):
        assert project.lake.data_version(table) == green.lake.data_version(table)
    assert project.made() == green.made()
    assert project.releases.alias("champion") == green.releases.alias("champion")
    assert project.lake.clean() >= 1, "what it had begun to write is swept away"
    assert project.lake.data_version("raw.documents") == green.lake.data_version("raw.documents")


def test_after_the_kill_other_data_becomes_a_release_and_is_taken_back(
    killed: tuple[Project, str], green: Project
) -> None:
    project, _ = killed
    (project.root / f"{LETTERS}.away").rename(project.root / f"{LETTERS}.jsonl")
    project.write(LETTERS, [record for record in project.records(LETTERS) if record["id"] != "letter-050"])
    first = project.releases.alias("champion")

    rerun = project.winnow("rerun-failed")

    assert rerun.returncode == 0, rerun.stdout
    second = project.releases.alias("candidate")
    assert second != first
    assert project.releases.alias("champion") == first, "a person deploys"
    redone = project.made() - green.made()
    assert not [key for key in redone if key[1] == HANDBOOK]
    assert redone["raw/documents", LETTERS] == redone["deployed/candidate", None] == 1

    assert project.winnow("deploy", "--approved-by", "Ada Approver").returncode == 0
    assert served(project) == (second, first)

    back = project.winnow("rollback", "--by", "Bo", "--reason", "a bad feeling")
    assert back.returncode == 0, back.stdout
    assert first in back.stdout
    assert served(project) == (first, second)

    config = project.root / "rollback.yaml"
    config.write_text("ops: {restore_previous: {config: {by: Bo, reason: a better feeling}}}")
    again = project.dagster("job", "execute", "-j", "rollback", "--config", str(config))
    assert again.returncode == 0, again.stdout
    assert served(project) == (second, first)
    assert project.releases.verify(first) == project.releases.verify(second) == ()
    assert project.releases.verify_events() == ()
    moves = [(event.kind, event.facts.get("by")) for event in project.releases.events.read()]
    assert moves[-3:] == [("promoted", "Ada Approver"), ("rolled_back", "Bo"), ("rolled_back", "Bo")]
    newest = history(project, "deployed/champion")[:3]
    assert newest == [second, first, second], "the history shows what served when"


def served(project: Project) -> tuple[str | None, str | None]:
    """The champion and the previous one."""
    return project.releases.alias("champion"), project.releases.alias("previous")


def history(project: Project, asset: str) -> list[str | None]:
    """An asset's data versions, newest first."""
    with project.instance() as instance:
        records = instance.fetch_materializations(dg.AssetKey(asset.split("/")), limit=10).records
    return [(record.asset_materialization.tags or {}).get("dagster/data_version") for record in records]
