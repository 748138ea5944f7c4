"""The key of personal values is rotated: one key at any moment, none lost, and everything hashed anew."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from projects import HANDBOOK, LETTERS, PERSONAL, Project

from assets.lake import Lake
from assets.privacy import keys
from assets.privacy.keys import (
    VARIABLE,
    KeyedRows,
    Rotation,
    forget_key,
    load_key,
    retired_keys,
    rotate_key,
    rows_by_key,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A key file with a key."""
    path = tmp_path / "keys" / "pii.key"
    load_key(path, {})
    return path


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir())


def test_a_rotated_key_lies_beside_the_new_one_for_its_owner_only(path: Path) -> None:
    old = load_key(path, {})
    rotation = rotate_key(path, {})
    new = load_key(path, {})
    assert rotation == Rotation(retired=old.id, present=new.id)
    assert new != old and load_key(path.with_name(f"pii.{old.id}.key"), {}) == old
    assert names(path) == sorted(["pii.key", f"pii.{old.id}.key"])
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
    assert retired_keys(path) == [old.id]
    again = rotate_key(path, {})
    assert retired_keys(path) == sorted([old.id, new.id]) and again.retired == new.id


@pytest.mark.parametrize(
    ("owner", "step"), [(os, "link"), (keys, "_draft"), (Path, "replace")], ids=["link", "draft", "replace"]
)
def test_killed_half_way_the_present_key_is_the_old_one_and_another_try_goes_through(
    path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, step: str
) -> None:
    old = load_key(path, {})

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(owner, step, killed)
        rotate_key(path, {})
    assert load_key(path, {}) == old
    assert retired_keys(path) == [], "the present key is not a retired one, even where its copy is there"
    assert set(names(path)) <= {"pii.key", f"pii.{old.id}.key"}, "no draft stays"

    rotation = rotate_key(path, {})
    assert rotation.retired == old.id and load_key(path, {}).id == rotation.present != old.id
    assert load_key(path.with_name(f"pii.{old.id}.key"), {}) == old


def test_killed_after_the_new_key_came_nothing_is_lost(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, replace = load_key(path, {}), Path.replace

    def killed(draft: Path, target: Path) -> None:
        replace(draft, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", killed)
        rotate_key(path, {})
    assert load_key(path, {}) != old
    assert retired_keys(path) == [old.id]
    assert names(path) == sorted(["pii.key", f"pii.{old.id}.key"])


def test_a_key_of_the_environment_is_its_owners_to_change(path: Path) -> None:
    before = path.read_text()
    with pytest.raises(ValueError, match=f"the key comes from {VARIABLE}.*set the variable to a new one"):
        rotate_key(path, {VARIABLE: "0123456789abcdef"})
    assert path.read_text() == before and names(path) == ["pii.key"]


def test_where_there_is_no_key_none_is_rotated(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pii.key: there is no key yet"):
        rotate_key(tmp_path / "pii.key", {})
    assert list(tmp_path.iterdir()) == []


def test_a_retired_file_of_another_key_is_not_taken_for_the_copy(path: Path) -> None:
    old = load_key(path, {})
    kept = path.with_name(f"pii.{old.id}.key")
    kept.write_text("some other secret of a person")
    kept.chmod(0o600)
    with pytest.raises(
        ValueError, match=f"pii.{old.id}.key: holds another key than its name says"
    ) as refused:
        rotate_key(path, {})
    assert "secret" not in str(refused.value)
    assert load_key(path, {}) == old


def test_rows_are_counted_by_key_table_and_source(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    assert rows_by_key(lake) == []
    found = pa.table({"source": ["a", "a", "b"], "key_id": ["11", "22", "22"]})
    lake.replace("filtered.pii_findings", found, run_id="r")
    lake.replace("filtered.pii_residual", found.slice(0, 1), run_id="r")
    lake.replace("filtered.other", pa.table({"source": ["a"]}), run_id="r")
    assert rows_by_key(lake) == [
        KeyedRows("11", "filtered.pii_findings", "a", 1),
        KeyedRows("22", "filtered.pii_findings", "a", 1),
        KeyedRows("22", "filtered.pii_findings", "b", 1),
        KeyedRows("11", "filtered.pii_residual", "a", 1),
    ]


def test_a_key_is_forgotten_only_when_no_row_bears_it(path: Path) -> None:
    retired, present = (rotation := rotate_key(path, {})).retired, rotation.present
    bearing = [
        KeyedRows(retired, "filtered.pii_findings", "letters", 1200),
        KeyedRows(present, "filtered.pii_findings", "handbook", 3),
    ]
    with pytest.raises(
        ValueError, match=f"{retired} is still borne .*1,200 of filtered.pii_findings of letters"
    ):
        forget_key(path, retired, bearing, {})
    with pytest.raises(ValueError, match=f"{present} is the present key"):
        forget_key(path, present, [], {})
    with pytest.raises(ValueError, match=f"00000000 is no retired key; there are {retired}"):
        forget_key(path, "00000000", [], {})
    with pytest.raises(ValueError, match="is no retired key"):
        forget_key(path, f"x/../../keys/pii.{retired}", [], {})
    assert retired_keys(path) == [retired]
    forget_key(path, retired, bearing[1:], {})
    assert names(path) == ["pii.key"] and load_key(path, {}).id == present


@pytest.fixture(scope="module")
def rotated(green: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Rotation, str]:
    """A project whose key was rotated once it had run, and what the command said."""
    project = green.copy(tmp_path_factory.mktemp("rotated") / "project")
    path = project.home / "keys" / "pii.key"
    old = load_key(path, {}).id
    done = project.winnow("rotate-key", "--by", "Ada Approver", "--reason", "a colleague left")
    assert done.returncode == 0, done.stdout
    return project, Rotation(old, load_key(path, {}).id), done.stdout


FINDINGS = "SELECT * EXCLUDE (value_hmac, key_id, run_id) FROM filtered.pii_findings ORDER BY ALL"
REDACTED = "SELECT * EXCLUDE (run_id) FROM filtered.redacted ORDER BY doc_id"
# Rows of one value in each of the two, so that equal values stay equal and others stay apart.
PAIRS = "SELECT value_hmac FROM filtered.pii_findings ORDER BY doc_id, start"


@pytest.mark.slow
def test_the_command_says_what_is_under_the_old_key_and_what_comes_next(
    rotated: tuple[Project, Rotation, str],
) -> None:
    project, rotation, said = rotated
    rows = project.lake.query("SELECT count(*) AS n FROM filtered.pii_findings")["n"][0].as_py()
    said = " ".join(said.split())
    assert f"The key {rotation.retired} is retired to keys/" in said and "winnow run" in said
    assert f"{rotation.retired} filtered.pii_findings {LETTERS} {rows}" in said
    secrets = [each.read_text().strip() for each in (project.home / "keys").iterdir()]
    assert len(secrets) == 2 and not any(secret in said for secret in secrets)
    with project.instance() as instance:
        (event,) = instance.fetch_observations(dg.AssetKey(["source", "pii_key"]), limit=1).records
    observed = event.asset_observation
    assert observed.tags["dagster/data_version"] == rotation.present
    assert {name: each.value for name, each in observed.metadata.items()} == {
        "by": "Ada Approver",
        "reason": "a colleague left",
        "retired": rotation.retired,
    }


@pytest.mark.slow
def test_the_next_run_hashes_every_source_anew_and_changes_nothing_else(
    rotated: tuple[Project, Rotation, str], green: Project
) -> None:
    project, rotation, _ = rotated
    early = project.winnow("rotate-key", "--forget", rotation.retired)
    assert early.returncode == 2 and f"{rotation.retired} is still borne by rows of the lake" in early.stdout

    done = project.winnow("run")

    assert done.returncode == 0, done.stdout
    made = project.made() - green.made()
    for source in (HANDBOOK, LETTERS):
        assert made["filtered/pii_findings", source] == made["filtered/redacted", source] == 1
        assert made["raw/documents", source] == made["filtered/signals", source] == 0
    assert {each.key_id for each in rows_by_key(project.lake)} == {rotation.present}
    assert project.lake.query(FINDINGS) == green.lake.query(FINDINGS)
    assert project.lake.query(REDACTED) == green.lake.query(REDACTED)
    before, after = (each.lake.query(PAIRS)["value_hmac"].to_pylist() for each in (green, project))
    assert not set(before) & set(after)
    assert len(set(zip(before, after, strict=True))) == len(set(before)) == len(set(after)) == len(PERSONAL)

    idle = project.winnow("run")
    assert "nothing was recomputed" in idle.stdout, idle.stdout
    forgotten = project.winnow("rotate-key", "--forget", rotation.retired)
    assert forgotten.returncode == 0, forgotten.stdout
    assert names(project.home / "keys" / "pii.key") == ["pii.key"]


@pytest.mark.slow
def test_a_rotation_has_a_name_and_a_key_of_its_own(green: Project, tmp_path: Path) -> None:
    project = green.copy(tmp_path / "project")
    path = project.home / "keys" / "pii.key"
    before = path.read_text()
    nobody = project.winnow("rotate-key")
    theirs = project.winnow("rotate-key", "--by", "Ada", **{VARIABLE: "0123456789abcdef"})
    assert nobody.returncode == theirs.returncode == 2
    assert "--by" in nobody.stdout and f"the key comes from {VARIABLE}" in theirs.stdout
    assert path.read_text() == before and names(path) == ["pii.key"]
