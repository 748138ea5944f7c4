"""Releases: same content, same id; no byte changes unseen; one promotion wins; a killed one loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import date
from multiprocessing import get_context
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.documents import DOCUMENT, content_hash, document_id
from assets.governance.data_card import render_data_card
from assets.intervals import wilson
from assets.releases.canonical import canonical_json
from assets.releases.events import EventLogDamaged
from assets.releases.manifest import Check, Facts, Gate, Manifest, Rules
from assets.releases.shards import NotReleasable, write_shards
from assets.releases.store import (
    AliasMoved,
    GateFailed,
    NoPrevious,
    NotApproved,
    Release,
    ReleaseDamaged,
    ReleaseNotFound,
    ReleaseStore,
)

PAGES = {"README.md": render_data_card}
ADA = {"approved_by": "Ada Lovelace", "reason": "reads well"}
BOB = {"by": "Bob Kahn", "reason": "harm reported"}

# Children are forked from a clean server that has loaded everything but started no thread.
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["assets.releases.store", "assets.governance.data_card", "yaml"])


def documents(n: int = 40, words: str = "a good page of text") -> pa.Table:
    """Documents of two sources, two licences and three languages, in an order that isn't their ids'."""
    rows = []
    for i in range(n):
        source, text = ("wiki", "manuals")[i % 2], f"{words}, number {i}: ß 한국어"
        rows.append(
            {
                "doc_id": document_id(source, str(i)),
                "source": source,
                "key": str(i),
                "content_hash": content_hash(text),
                "kind": "document",
                "text": text,
                "messages": [{"role": "user", "content": text}] if i % 5 == 0 else None,
                "language": ("en", "ko", None)[i % 3],
                "license": ("CC-BY-SA-4.0", "Apache-2.0")[i % 2],
                "collected_at": date(2024, 1, 1 + i % 28),
                "consent": "not_required",
                "synthetic": i % 10 == 0,
                "generator": "smollm2" if i % 10 == 0 else None,
                "metadata": "{}",
            }
        )
    return pa.Table.from_pylist(rows, schema=DOCUMENT)


def facts(run_id: str = "run-1", passed: bool = True, **further: object) -> Facts:
    known = {
        "run_id": run_id,
        "inputs": {"filtered/documents": {"": "d1"}, "raw/documents": {"wiki": "a1", "manuals": "a2"}},
        "snapshot": 7,
        "rules": Rules("3", "ab" * 32),
        "models": {"lid.176.ftz": "cd" * 32},
        "checks": (Check("filtered/documents", "text is not empty", "critical", passed, "d1"),),
        "verdict": (Gate.measured("toxicity", wilson(1, 400), limit=0.02, passed=True),),
    }
    return Facts(**known | further)


def build(store: ReleaseStore, words: str = "a good page of text", **further: object) -> Release:
    return store.build(documents(words=words), facts(**further), pages=PAGES)


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "releases")


# The same content is the same release


def test_bytes_depend_on_the_documents_alone(tmp_path: Path) -> None:
    table = documents(300)
    shuffled = table.take(pa.array([(i * 7) % 300 for i in range(300)])).replace_schema_metadata({"by": "x"})
    pieces = [shuffled.slice(i, 11) for i in range(0, 300, 11)]
    written = []
    for name, given in (("whole", table), ("pieces", pieces), ("again", iter([table]))):
        folder = tmp_path / name / "data"
        folder.mkdir(parents=True)
        written.append(write_shards(given, folder, shard_bytes=4000))
        assert sorted(p.name for p in folder.iterdir()) == [Path(s.path).name for s in written[-1]]
    assert len(written[0]) > 1
    assert written[0] == written[1] == written[2]
    back = pa.concat_tables([pq.read_table(tmp_path / "whole" / shard.path) for shard in written[0]])
    assert back.equals(table.sort_by("doc_id"))


def test_building_again_returns_the_same_release(store: ReleaseStore) -> None:
    first = build(store)
    before = {p: p.stat().st_mtime_ns for p in store.root.rglob("*") if p.is_file() and p.name != ".lock"}
    other = store.build(documents().slice(20), facts(), pages=PAGES)
    again = store.build(
        [documents().slice(20), documents().slice(0, 20)],
        facts("run-2", snapshot=9, parent=other.release_id),
        pages=PAGES,
    )
    assert again == first
    assert other.release_id != first.release_id
    assert store.list() == tuple(sorted([first.release_id, other.release_id]))
    after = {p: p.stat().st_mtime_ns for p in before}
    changed = {p.name for p in before if before[p] != after[p]}
    assert changed == {"events.jsonl"}
    assert [e.kind for e in store.events.read()] == ["built", "built"]


def test_the_id_is_the_hash_of_the_manifest_and_stands_in_two_stores(tmp_path: Path) -> None:
    one, two = (build(ReleaseStore(tmp_path / name)) for name in ("one", "two"))
    assert one.release_id == two.release_id
    contents = (one.path / "manifest.json").read_bytes()
    assert Manifest.from_json(contents).to_json() == contents
    assert contents.endswith(b"}\n")
    assert json.loads(contents)["approver"] is None


def test_the_manifest_counts_what_lies_in_the_shards(store: ReleaseStore) -> None:
    release = build(store)
    counts = release.manifest.counts
    assert counts.documents == 40 == sum(s.rows for s in release.manifest.shards)
    assert counts.source == {"manuals": 20, "wiki": 20}
    assert counts.license == {"Apache-2.0": 20, "CC-BY-SA-4.0": 20}
    assert counts.language == {"en": 14, "ko": 13, "und": 13}
    assert (counts.synthetic, counts.generator) == (4, {"smollm2": 4})
    assert counts.text_bytes == sum(len(t.encode()) for t in documents().column("text").to_pylist())
    assert [(s.source, s.first_collected) for s in counts.sources] == [
        ("manuals", "2024-01-02"),
        ("wiki", "2024-01-01"),
    ]


def test_columns_beyond_the_schema_are_kept(store: ReleaseStore) -> None:
    weighted = documents().append_column("weight", pa.array([0.5] * 40))
    release = store.build(weighted, facts(), pages=PAGES)
    assert pq.read_schema(release.path / release.manifest.shards[0].path).names == [*DOCUMENT.names, "weight"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "no documents"),
        (documents(0), "no documents"),
        (documents().drop_columns(["license", "text"]), "lack text, license"),
        ([documents(3), documents(3)], "is given twice"),
        (documents(3).set_column(0, "doc_id", pa.array(["a", None, "b"])), "doc_id"),
        ([documents(3), documents(3).drop_columns(["url"])], "url"),
    ],
)
def test_documents_that_make_no_release(store: ReleaseStore, given: object, words: str) -> None:
    with pytest.raises(NotReleasable, match=words):
        store.build(given, facts(), pages=PAGES)
    assert store.list() == ()
    assert [p.name for p in store.root.iterdir()] == [".lock"]


def test_canonical_json_writes_equal_values_alike() -> None:
    assert canonical_json({"b": 1.0, "a": (0.1 + 0.2, -0.0)}) == b'{"a":[0.3,0],"b":1}\n'
    assert canonical_json([float("nan"), float("inf"), "é", True, 10**20]) == (
        '[null,null,"é",true,100000000000000000000]\n'.encode()
    )


# Nothing changes unseen


def test_every_changed_byte_is_found(store: ReleaseStore) -> None:
    release = build(store)
    store.promote(release.release_id, expected=None, **ADA)
    assert store.verify(release.release_id) == ()
    for path in sorted(p for p in release.path.rglob("*") if p.is_file()):
        assert path.stat().st_mode & 0o222 == 0
        original = path.read_bytes()
        path.chmod(0o644)
        for position in (0, len(original) // 2, len(original) - 1):
            path.write_bytes(original[:position] + bytes([original[position] ^ 1]) + original[position + 1 :])
            assert store.verify(release.release_id) == (
                f"{path.relative_to(release.path).as_posix()}: changed",
            )
        path.unlink()
        assert any(path.name in problem for problem in store.verify(release.release_id))
        path.write_bytes(original)
    (release.path / "data" / "part-00001.parquet").write_bytes(b"")
    (release.path / "link").symlink_to("manifest.json")
    assert store.verify(release.release_id) == (
        "data/part-00001.parquet: not part of the release",
        "link: not part of the release",
    )


def test_every_changed_byte_of_the_log_is_found(store: ReleaseStore) -> None:
    first, second = build(store), build(store, "another page")
    store.promote(first.release_id, expected=None, **ADA)
    store.promote(second.release_id, expected=first.release_id, **ADA)
    log = store.events.path
    original = log.read_bytes()
    assert store.verify_events() == ()
    for position in range(0, len(original), 7):
        log.write_bytes(original[:position] + bytes([original[position] ^ 1]) + original[position + 1 :])
        assert store.events.verify(), f"byte {position}"
    lines = original.splitlines(keepends=True)
    for forged in ([lines[0], *lines[2:]], lines[1:], [*lines[:2], lines[3], lines[2]], [*lines, lines[-1]]):
        log.write_bytes(b"".join(forged))
        assert "does not follow" in store.verify_events()[0]
        with pytest.raises(EventLogDamaged):
            store.promote(first.release_id, expected=second.release_id, **ADA)
        assert log.read_bytes() == b"".join(forged)
    log.write_bytes(b"".join(lines[:-1]))
    assert store.verify_events() != ()
    with pytest.raises(EventLogDamaged, match="no event ever made it so"):
        store.recover()


def test_an_alias_file_that_the_log_does_not_know_is_found(store: ReleaseStore) -> None:
    first, second = build(store), build(store, "another page")
    store.promote(first.release_id, expected=None, **ADA)
    champion = store.root / "aliases" / "champion"
    champion.unlink()
    champion.write_text(f"{second.release_id}\n")
    assert "champion" in store.verify_events()[0]
    with pytest.raises(EventLogDamaged):
        store.promote(second.release_id, expected=first.release_id, **ADA)


def test_a_damaged_release_is_neither_promoted_nor_rolled_back_to_nor_rebuilt(store: ReleaseStore) -> None:
    first, second = build(store), build(store, "another page")
    shard = second.path / second.manifest.shards[0].path
    shard.unlink()
    with pytest.raises(ReleaseDamaged, match=r"part-00000.parquet: missing"):
        store.promote(second.release_id, expected=None, **ADA)
    with pytest.raises(ReleaseDamaged):
        build(store, "another page")
    store.promote(first.release_id, expected=None, **ADA)
    third = build(store, "a third page")
    store.promote(third.release_id, expected=first.release_id, **ADA)
    (first.path / "README.md").unlink()
    with pytest.raises(ReleaseDamaged, match=r"README.md: missing"):
        store.rollback(expected=third.release_id, **BOB)
    assert store.alias("champion") == third.release_id


def test_unknown_releases_and_aliases(store: ReleaseStore) -> None:
    for name in ("0" * 64, "../releases", ""):
        with pytest.raises(ReleaseNotFound):
            store.get(name)
    with pytest.raises(ValueError, match="no alias is called"):
        store.alias("../champion")


# Aliases, promotion, rollback


def test_an_alias_moves_only_from_where_it_is_expected(store: ReleaseStore) -> None:
    first, second = build(store).release_id, build(store, "another page").release_id
    store.move_alias("candidate", None, first, "Ada", "new")
    with pytest.raises(AliasMoved, match=f"candidate is {first}, not None"):
        store.move_alias("candidate", None, second, "Bob", "new")
    store.move_alias("candidate", first, second, "Ada", "newer")
    assert (store.root / "aliases" / "candidate").read_text() == f"{second}\n"
    moves = [e for e in store.events.read() if e.kind == "moved"]
    assert [(e.facts["by"], e.facts["aliases"]) for e in moves] == [
        ("Ada", {"candidate": first}),
        ("Ada", {"candidate": second}),
    ]
    with pytest.raises(ReleaseNotFound):
        store.move_alias("candidate", second, "0" * 64, "Ada", "gone")
    for governed in ("champion", "previous"):
        with pytest.raises(NotApproved):
            store.move_alias(governed, None, first, "Ada", "the short way")


def test_promotion_binds_the_approver_to_the_release(store: ReleaseStore) -> None:
    first, second = build(store), build(store, "another page")
    assert first.approval is None
    promoted = store.promote(first.release_id, expected=None, **ADA)
    event = store.events.read()[-1]
    approval = json.loads((first.path / "approval.json").read_bytes())
    assert approval == {
        "release": first.release_id,
        "approver": "Ada Lovelace",
        "reason": "reads well",
        "time": event.time,
        "event": event.sha256,
    }
    assert promoted.approval is not None
    assert promoted.approval.event == store.events.head()
    assert (store.alias("champion"), store.alias("previous")) == (first.release_id, None)
    store.promote(second.release_id, expected=first.release_id, **ADA)
    assert (store.alias("champion"), store.alias("previous")) == (second.release_id, first.release_id)
    assert store.get(first.release_id).approval == promoted.approval


def test_promotion_refuses(store: ReleaseStore) -> None:
    good = build(store).release_id
    failed = Gate.measured("pii", wilson(9, 100), limit=0.05, passed=False)
    bad = build(store, verdict=(failed,), passed=False).release_id
    ungated = build(store, verdict=()).release_id
    for name in ("", "  "):
        with pytest.raises(NotApproved):
            store.promote(good, approved_by=name, reason="quick", expected=None)
    with pytest.raises(GateFailed) as refused:
        store.promote(bad, expected=None, **ADA)
    assert refused.value.failures == (
        "gate pii: 0.09 [0.0480725400026, 0.162262128527] n=100, limit 0.05",
        "critical check text is not empty on filtered/documents at d1",
    )
    with pytest.raises(GateFailed, match="holds no gate"):
        store.promote(ungated, expected=None, **ADA)
    with pytest.raises(AliasMoved):
        store.promote(good, expected=bad, **ADA)
    assert store.alias("champion") is None
    assert {e.kind for e in store.events.read()} == {"built"}


def test_a_check_that_is_not_critical_does_not_stop_a_release(store: ReleaseStore) -> None:
    warning = Check("filtered/documents", "mean length", "warning", False, "d1")
    release = build(store, checks=(warning,))
    assert store.promote(release.release_id, expected=None, **ADA).approval


def test_rollback_swaps_in_one_step(store: ReleaseStore) -> None:
    first, second = build(store).release_id, build(store, "another page").release_id
    with pytest.raises(NoPrevious):
        store.rollback(expected=first, **BOB)
    store.promote(first, expected=None, **ADA)
    with pytest.raises(NoPrevious):
        store.rollback(expected=first, **BOB)
    store.promote(second, expected=first, **ADA)
    assert store.rollback(expected=second, **BOB).release_id == first
    assert (store.alias("champion"), store.alias("previous")) == (first, second)
    with pytest.raises(AliasMoved):
        store.rollback(expected=second, **BOB)
    assert store.alias("champion") == first
    assert [e.kind for e in store.events.read()] == ["built", "built", "promoted", "promoted", "rolled_back"]
    assert store.verify_events() == ()
    with pytest.raises(NotApproved):
        store.rollback(expected=first, by="", reason="")


# Many processes


def _promote_when_all_are_ready(
    root: Path, release_id: str, expected: str, barrier: Barrier, results: Queue[tuple[str, str]]
) -> None:
    store = ReleaseStore(root)
    barrier.wait()
    try:
        store.promote(release_id, expected=expected, **ADA)
        results.put((release_id, "won"))
    except AliasMoved:
        results.put((release_id, "AliasMoved"))


@pytest.mark.slow
def test_of_two_promotions_at_once_one_wins(store: ReleaseStore) -> None:
    champion = build(store).release_id
    store.promote(champion, expected=None, **ADA)
    for round_ in range(3):
        rivals = [build(store, f"page {round_} of {i}").release_id for i in range(3)]
        barrier, results = PROCESSES.Barrier(len(rivals)), PROCESSES.Queue()
        processes = [
            PROCESSES.Process(
                target=_promote_when_all_are_ready, args=(store.root, rival, champion, barrier, results)
            )
            for rival in rivals
        ]
        for process in processes:
            process.start()
        outcomes = dict(results.get(timeout=60) for _ in rivals)
        for process in processes:
            process.join(60)
        assert sorted(outcomes.values()) == ["AliasMoved", "AliasMoved", "won"]
        winner = next(release for release, outcome in outcomes.items() if outcome == "won")
        assert (store.alias("champion"), store.alias("previous")) == (winner, champion)
        assert store.verify_events() == ()
        champion = winner


# Killed at any moment


def _killed_at(step: int, root: Path, work: Callable[[ReleaseStore], object]) -> None:
    """Does work and kills its own process before the given step that changes the store's files."""
    steps = iter(range(step + 1))
    changing = {"os.rename", "os.mkdir", "os.chmod", "os.remove", "os.truncate", "shutil.rmtree"}

    def watch(event: str, args: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(args[1], str) and args[1][0] in "wax"
        if (event in changing or writes) and str(root) in str(args[0]) and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    work(ReleaseStore(root))


def _promote_second(store: ReleaseStore) -> None:
    """Promotes the release that isn't the champion."""
    champion = store.alias("champion")
    (rival,) = (r for r in store.list() if r != champion)
    store.promote(rival, expected=champion, **ADA)


def _roll_back(store: ReleaseStore) -> None:
    champion = store.alias("champion")
    assert champion is not None
    store.rollback(expected=champion, **BOB)


def _build_third(store: ReleaseStore) -> None:
    build(store, "a third page")


def _run_killed_at_each_step(
    store: ReleaseStore, work: Callable[[ReleaseStore], object], after: Callable[[ReleaseStore], None]
) -> int:
    """Kills the work before each of its steps, in a copy of the store, and looks; returns the steps."""
    for step in range(200):
        root = store.root.parent / f"killed-{step}"
        shutil.copytree(store.root, root, symlinks=True)
        process = PROCESSES.Process(target=_killed_at, args=(step, root, work))
        process.start()
        process.join(60)
        after(ReleaseStore(root))
        shutil.rmtree(root)
        if process.exitcode == 0:
            return step
        assert process.exitcode == -signal.SIGKILL
    raise AssertionError("the work never ended")


@pytest.mark.slow
def test_a_promotion_killed_at_any_step_can_be_repeated(store: ReleaseStore) -> None:
    first, second = build(store).release_id, build(store, "another page").release_id
    store.promote(first, expected=None, **ADA)

    def consistent(killed: ReleaseStore) -> None:
        served = (killed.root / "aliases" / "champion").read_text().strip()
        assert served in (first, second)
        assert killed.verify(served) in ((), ("approval.json: missing",))
        killed.promote(second, expected=first, **ADA)
        assert (killed.alias("champion"), killed.alias("previous")) == (second, first)
        assert killed.verify_events() == killed.verify(first) == killed.verify(second) == ()
        assert [e.kind for e in killed.events.read()] == ["built", "built", "promoted", "promoted"]

    assert _run_killed_at_each_step(store, _promote_second, consistent) >= 8


@pytest.mark.slow
def test_a_rollback_killed_at_any_step_happened_or_did_not(store: ReleaseStore) -> None:
    first, second = build(store).release_id, build(store, "another page").release_id
    store.promote(first, expected=None, **ADA)
    store.promote(second, expected=first, **ADA)

    def consistent(killed: ReleaseStore) -> None:
        killed.recover()
        assert killed.verify_events() == ()
        assert (killed.alias("champion"), killed.alias("previous")) in ((first, second), (second, first))

    assert _run_killed_at_each_step(store, _roll_back, consistent) >= 6


@pytest.mark.slow
def test_a_build_killed_at_any_step_leaves_nothing_behind(store: ReleaseStore) -> None:
    first = build(store).release_id

    def consistent(killed: ReleaseStore) -> None:
        assert all(killed.verify(release) == () for release in killed.list())
        third = build(killed, "a third page").release_id
        assert killed.list() == tuple(sorted([first, third]))
        assert killed.verify(third) == killed.verify_events() == ()
        assert not list(killed.root.glob(".building-*"))

    assert _run_killed_at_each_step(store, _build_third, consistent) >= 10


def test_a_record_cut_off_while_it_was_written_never_happened(store: ReleaseStore) -> None:
    first, second = build(store).release_id, build(store, "another page").release_id
    store.promote(first, expected=None, **ADA)
    before = store.events.path.read_bytes()
    store.promote(second, expected=first, **ADA)
    line = store.events.path.read_bytes()[len(before) :]
    for cut in range(1, len(line), 29):
        store.events.path.write_bytes(before + line[:cut])
        assert store.alias("champion") == first
        store.events.append("noted", {"cut": cut})
        assert [e.kind for e in store.events.read()] == ["built", "built", "promoted", "noted"]
        assert store.events.verify() == ()


def test_a_living_build_is_not_swept_away(store: ReleaseStore) -> None:
    def slowly() -> Iterator[pa.Table]:
        yield documents().slice(0, 20)
        build(store, "another page")
        yield documents().slice(20)

    release = store.build(slowly(), facts(), pages=PAGES)
    assert len(store.list()) == 2
    assert build(store) == release
