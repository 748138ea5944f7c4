"""The lifecycle is governed: green once, and closed once at each gate with the champion as it was."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pytest
import yaml
from projects import HANDBOOK, LETTERS, Project, doc_id

from assets import settings

pytestmark = pytest.mark.slow


def champion(project: Project) -> str:
    """The release that serves, found sound."""
    release_id = project.releases.alias("champion")
    assert release_id is not None
    assert project.releases.verify(release_id) == ()
    return release_id


def test_green(green: Project) -> None:
    store = green.releases
    release = store.get(champion(green))
    assert store.alias("candidate") == release.release_id
    assert store.verify_events() == ()
    assert release.approval is not None
    assert release.approval.approver == "Ada Approver"
    assert release.manifest.failures() == ()
    selected = green.lake.query("SELECT count(*) AS n FROM scored.selection WHERE selected")["n"][0].as_py()
    assert release.manifest.counts.documents == selected > 200


def test_every_document_of_the_sources_is_decided_on(green: Project) -> None:
    decisions = green.lake.query("FROM filtered.decisions").to_pylist()
    read = {
        doc_id(source, record["id"]) for source in (HANDBOOK, LETTERS) for record in green.records(source)
    }
    assert sorted(row["doc_id"] for row in decisions) == sorted(read)
    reasons = {row["doc_id"]: row["reason"] for row in decisions}
    assert {reasons[doc_id(LETTERS, f"scrap-{n}")] for n in range(8)} == {"too_short"}
    assert None not in {reasons[doc_id(LETTERS, f"refrain-{n}")] for n in range(8)}
    assert {reasons[doc_id(HANDBOOK, f"page-{n:03d}")] for n in range(100)} == {None}
    copies = [(doc_id(LETTERS, f"copy-{n}"), doc_id(LETTERS, f"letter-{60 + n:03d}")) for n in range(3)]
    assert all({reasons[one], reasons[other]} == {None, "exact_duplicate"} for one, other in copies)


def test_a_second_run_recomputes_nothing_and_says_so(green: Project) -> None:
    with green.instance() as instance:
        runs = instance.get_runs_count()
    made = green.made()
    done = green.winnow("run")
    assert done.returncode == 0
    assert "nothing was recomputed" in done.stdout
    assert green.made() == made
    with green.instance() as instance:
        assert instance.get_runs_count() == runs, "not even a run was started"


def test_a_bad_value_blocks_what_is_downstream_in_its_run(green: Project, tmp_path: Path) -> None:
    project = green.copy(tmp_path / "bad")
    before, made = champion(project), project.made()
    signals = project.lake.data_version("filtered.signals", LETTERS)
    with (project.root / f"{LETTERS}.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"id": "cut off", "te\n' * 60)
    rows = sum(1 for _ in (project.root / f"{LETTERS}.jsonl").open())

    done = project.winnow("run", "--source", LETTERS)

    assert done.returncode == 1
    assert "raw_documents_checks of letters" in done.stdout
    assert "quarantine_at_most_20_percent" in done.stdout
    assert "Everything after the sources waits for letters." in done.stdout
    quarantine = project.lake.query("FROM raw.quarantine WHERE source = ?", [LETTERS]).to_pylist()
    assert {row["file"] for row in quarantine} == {f"{LETTERS}.jsonl"}
    assert [row["position"] for row in quarantine] == [f"line {n}" for n in range(rows - 59, rows + 1)]
    assert all("malformed JSON" in row["error"] for row in quarantine)
    new = project.made() - made
    assert set(new) == {("raw/documents", LETTERS), ("raw/quarantine", LETTERS), ("raw/sources", LETTERS)}
    assert project.lake.data_version("filtered.signals", LETTERS) == signals
    assert champion(project) == before


def test_data_changed_behind_the_checks_is_refused_at_the_gate(green: Project, tmp_path: Path) -> None:
    project = green.copy(tmp_path / "stale")
    before, made = champion(project), project.made()
    documents = project.lake.query("FROM raw.documents WHERE source = ?", [LETTERS]).drop(["run_id"])
    project.lake.replace("raw.documents", documents.slice(1), run_id="behind their back", source=LETTERS)

    done = project.dagster("asset", "materialize", "--select", 'key:"filtered/duplicates"')

    assert done.returncode != 0
    assert "The gate is closed: raw/documents of letters: changed since it was validated" in done.stdout
    assert f"raw/documents of {HANDBOOK}" not in done.stdout
    assert project.made() == made
    assert champion(project) == before


@pytest.fixture(scope="module")
def impossible(green: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project whose gates ask for what can't be, and what its run said."""
    project = green.copy(tmp_path_factory.mktemp("impossible") / "project")
    gates = yaml.safe_load(settings.gates_file().read_text(encoding="utf-8"))
    for gate in gates:
        if gate["name"] == "toxicity":
            gate["limit"] = -1
    (project.root / "gates.yaml").write_text(yaml.safe_dump(gates), encoding="utf-8")
    done = project.winnow("run", WINNOW_GATES=str(project.root / "gates.yaml"))
    assert done.returncode == 1, done.stdout
    return project, done.stdout


def test_a_failed_evaluation_makes_no_candidate(impossible: tuple[Project, str], green: Project) -> None:
    project, said = impossible
    assert "evaluated_verdict_checks" in said
    assert "critical_gates_pass" in said
    verdict = project.lake.query("FROM evaluated.verdict")
    failed = verdict.filter(pc.and_(pc.invert(verdict["passed"]), pc.equal(verdict["severity"], "critical")))
    assert failed["gate"].to_pylist() == ["toxicity"]
    assert project.made() - green.made() == {("evaluated/verdict", None): 1}
    assert project.releases.list() == green.releases.list()
    assert project.releases.alias("candidate") == champion(project) == champion(green)


def test_a_candidate_with_a_failed_gate_is_refused_by_the_store(
    impossible: tuple[Project, str], green: Project
) -> None:
    """Whoever builds it past the check that blocks it gets no further."""
    project, _ = impossible
    built = project.dagster("asset", "materialize", "--select", 'key:"deployed/candidate"')
    assert built.returncode == 0, built.stdout
    candidate = project.releases.alias("candidate")
    assert candidate != champion(project)

    unnamed = project.winnow("deploy", "--approved-by", " ")
    named = project.winnow("deploy", "--approved-by", "Eve")

    assert unnamed.returncode == named.returncode == 1
    assert "toxicity" in named.stdout
    assert "toxicity" not in unnamed.stdout, "without a name nothing else is asked"
    assert champion(project) == champion(green)
    assert project.releases.get(candidate).approval is None


def test_without_an_approver_nothing_is_promoted(green: Project, tmp_path: Path) -> None:
    project = green.copy(tmp_path / "unnamed")
    done = project.dagster("job", "execute", "-j", "promote")
    assert done.returncode != 0
    assert "NotApproved" in done.stdout
    assert champion(project) == champion(green)
