"""The release store: immutable releases in folders named by their hash, and the aliases that serve them.

    <root>/<release id>/manifest.json         the facts; the id is the SHA-256 of these bytes
    <root>/<release id>/data/part-*.parquet   the documents
    <root>/<release id>/README.md, …          pages rendered from the manifest
    <root>/<release id>/approval.json         who approved it; written at its first promotion
    <root>/aliases/<name>                     the id that a name stands for
    <root>/events.jsonl                       every build and move, hash-chained

A release never changes but for an erasure, which takes rows out of its documents: the log then says which,
with the hashes of the files as they are since, and a release so tainted is never promoted again.

The event log is the truth and each change is one record of it: appending that record is the moment the
change happens, for however many aliases. The alias and approval files only repeat what the log says. A
process killed between the two leaves them one step behind; the next writer brings them up before it does
anything else. This needs a file system with rename and `flock`; an object store has neither.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from assets.releases.canonical import canonical_json, sha256
from assets.releases.events import Event, EventLog, EventLogDamaged
from assets.releases.manifest import Facts, Manifest
from assets.releases.shards import BATCH_ROWS, count, file_sha256, without, write_shards

ALIASES = ("candidate", "champion", "previous")
DATA, MANIFEST, APPROVAL = "data", "manifest.json", "approval.json"
STAGING = ".building-"

Page = Callable[[bytes], str]
"""Renders a document from the bytes of `manifest.json`, and from nothing else."""


class ReleaseNotFound(LookupError):
    """No release has this id."""


class ReleaseDamaged(Exception):
    """A release is not what was built; `problems` lists what differs."""

    def __init__(self, release_id: str, problems: tuple[str, ...]) -> None:
        super().__init__(f"release {release_id}: {'; '.join(problems)}")
        self.problems = problems


class AliasMoved(Exception):
    """An alias no longer stands for what the caller expected: look again, then decide again."""


class NotApproved(PermissionError):
    """A release is not served before a person has put their name to it."""


class GateFailed(Exception):
    """A gate or a critical check of the release failed; `failures` lists them."""

    def __init__(self, release_id: str, failures: tuple[str, ...]) -> None:
        super().__init__(f"release {release_id}: {'; '.join(failures)}")
        self.failures = failures


class Tainted(Exception):
    """Rows of the release were erased: what was made from them is not to be served anew."""


class NoPrevious(LookupError):
    """There is no release to roll back to."""


@dataclass(frozen=True)
class Approval:
    """Who let a release be served, why, when, and the event that records it.

    It lies beside the manifest rather than in it, for a person approves an id and the id is the manifest's
    hash. The event log binds the two: the event named here holds the same approver and the same id.
    """

    release: str
    approver: str
    reason: str
    time: str
    event: str

    @classmethod
    def recorded(cls, event: Event) -> Approval:
        """The approval that a promotion's event records."""
        facts = event.facts
        return cls(facts["release"], facts["by"], facts["reason"], event.time, event.sha256)

    def to_json(self) -> bytes:
        """The bytes of `approval.json`."""
        return canonical_json(asdict(self), indent=2)


@dataclass(frozen=True)
class Release:
    """A built release: its id, its folder, its manifest, its approval once it has one, and how many of its
    documents were erased since it was built."""

    release_id: str
    path: Path
    manifest: Manifest
    approval: Approval | None
    erased: int = 0


class ReleaseStore:
    """Releases and aliases below one folder, safe for many processes at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events = EventLog(root / "events.jsonl")

    def build(
        self, documents: pa.Table | Iterable[pa.Table], facts: Facts, *, pages: Mapping[str, Page]
    ) -> Release:
        """Writes a release and returns it; where one of the same content exists, returns that one.

        Content is everything in the manifest but the run, the snapshot and the parent, so a rerun that
        changed nothing makes no second release.

        Args:
            documents: Tables of the DOCUMENT schema, in any order.
            facts: What the lifecycle knows of them.
            pages: File name to what renders it from the manifest, `README.md` among them.

        Raises:
            NotReleasable: The documents can't make a release.
            ReleaseDamaged: The files read back are not the ones that were written.
        """
        with self._staging() as staging:
            (staging / DATA).mkdir()
            shards = write_shards(documents, staging / DATA)
            manifest = Manifest.of(facts, count(staging / DATA), shards)
            contents = manifest.to_json()
            (staging / MANIFEST).write_bytes(contents)
            for name, render in pages.items():
                (staging / name).write_bytes(render(contents).encode())
            for path in _files(staging).values():
                _seal(path)
            with self._writing():
                release_id = self._of_content(manifest.content_id)
                if release_id is None:
                    release_id = manifest.release_id
                    built = {
                        "release": release_id,
                        "content": manifest.content_id,
                        "run_id": facts.run_id,
                        "pages": {name: file_sha256(staging / name) for name in pages},
                    }
                    self.events.append("built", built)
                    staging.rename(self.root / release_id)
                    _sync(self.root)
        self._require_sound(release_id)
        return self.get(release_id)

    def get(self, release_id: str) -> Release:
        """One release.

        Raises:
            ReleaseNotFound: No release has this id.
            ReleaseDamaged: Its manifest is not the one that was built.
        """
        contents = self._manifest_bytes(release_id)
        if sha256(contents) != release_id:
            raise ReleaseDamaged(release_id, (f"{MANIFEST}: changed",))
        events = self.events.read()
        erased = sum(event.facts["documents"] for event in _erasures(events, release_id))
        approval = _approvals(events).get(release_id)
        return Release(release_id, self.root / release_id, Manifest.from_json(contents), approval, erased)

    def list(self) -> tuple[str, ...]:
        """The ids of all releases, sorted."""
        names = (path.name for path in self.root.iterdir()) if self.root.is_dir() else ()
        return tuple(sorted(name for name in names if _is_id(name)))

    def verify(self, release_id: str) -> tuple[str, ...]:
        """Rereads every byte of a release; each file changed, missing or added, in words. Empty if sound.

        Raises:
            ReleaseNotFound: No release has this id.
            EventLogDamaged: The log, which vouches for the pages and the approval, doesn't hold itself.
        """
        contents = self._manifest_bytes(release_id)
        if sha256(contents) != release_id:
            return (f"{MANIFEST}: changed",)
        events = self.events.read()
        expected = {MANIFEST: release_id}
        expected |= {shard.path: shard.sha256 for shard in Manifest.from_json(contents).shards}
        for erasure in _erasures(events, release_id):
            expected |= erasure.facts["shards"]
        if approval := _approvals(events).get(release_id):
            expected[APPROVAL] = sha256(approval.to_json())
        built = [e for e in events if e.kind == "built" and e.facts["release"] == release_id]
        problems = [] if built else ["no event records its build"]
        if built:
            expected |= built[-1].facts["pages"]
        found = _files(self.root / release_id)
        problems += [f"{name}: missing" for name in sorted(expected.keys() - found.keys())]
        problems += [f"{name}: not part of the release" for name in sorted(found.keys() - expected.keys())]
        problems += [
            f"{name}: changed"
            for name in sorted(expected.keys() & found.keys())
            if found[name].is_symlink() or file_sha256(found[name]) != expected[name]
        ]
        return tuple(problems)

    def verify_events(self) -> tuple[str, ...]:
        """What is wrong with the event log's chain or the alias files that repeat it; empty if nothing is."""
        with self._locked():
            if problems := self.events.verify():
                return problems
            aliases = _aliases(self.events.read())
            return tuple(
                f"{name} is {self._served(name)}, but the log says {aliases.get(name)}"
                for name in ALIASES
                if self._served(name) != aliases.get(name)
            )

    def alias(self, name: str) -> str | None:
        """The release that an alias stands for; None while it stands for none."""
        _require_alias(name)
        return _aliases(self.events.read()).get(name)

    def move_alias(self, name: str, expected: str | None, new: str, by: str, reason: str) -> None:
        """Points an alias at another release, if it still stands for the one that the caller expects.

        An alias that is there already stays, without a new event.

        Raises:
            AliasMoved: It stands for another release than `expected`.
            ReleaseNotFound: `new` is no release.
            NotApproved: Nobody is named; or the alias is `champion` or `previous`, which only `promote`
                and `rollback` move.
        """
        _require_alias(name)
        _require_person(by)
        if name in ("champion", "previous"):
            raise NotApproved(f"{name} moves by promotion or rollback only")
        self.get(new)
        with self._writing():
            if self._expect(name, expected, new):
                self._commit("moved", {"release": new, "aliases": {name: new}, "by": by, "reason": reason})

    def promote(self, release_id: str, *, approved_by: str, reason: str, expected: str | None) -> Release:
        """Makes a release the champion and the champion the previous, in one event, and returns it.

        Args:
            release_id: The release to serve.
            approved_by: The person who answers for it.
            reason: Why, in their words.
            expected: The champion it was compared with; None where there was none.

        A release that is the champion already stays it, without a new event: a promotion that was cut off
        may simply be repeated.

        Raises:
            NotApproved: Nobody is named.
            GateFailed: A gate or a critical check of the release failed, or there was no gate.
            Tainted: Documents of it were erased.
            ReleaseDamaged: It is not what was built.
            AliasMoved: Another release became the champion meanwhile.
        """
        _require_person(approved_by)
        self.recover()
        release = self.get(release_id)
        if failures := release.manifest.failures():
            raise GateFailed(release_id, failures)
        if release.erased:
            raise Tainted(f"release {release_id}: {release.erased} of its documents were erased; build anew")
        self._require_sound(release_id)
        with self._writing():
            if self._expect("champion", expected, release_id):
                aliases = {"champion": release_id} | ({"previous": expected} if expected else {})
                self._commit(
                    "promoted",
                    {"release": release_id, "aliases": aliases, "by": approved_by, "reason": reason},
                )
        return self.get(release_id)

    def rollback(self, *, by: str, reason: str, expected: str) -> Release:
        """Swaps champion and previous in one event and returns the release that serves now.

        `expected` names the champion to leave: of two alarms that ring at once, the second must not bring
        the bad release back.

        Raises:
            NotApproved: Nobody is named.
            NoPrevious: No release served before.
            AliasMoved: `expected` is not the champion, or no longer.
            ReleaseDamaged: The previous release is not what was built.
        """
        _require_person(by)
        previous = self.alias("previous")
        if previous is None:
            raise NoPrevious("no release served before this one")
        self.recover()
        self._require_sound(previous)
        with self._writing():
            self._expect("champion", expected)
            self._expect("previous", previous)
            aliases = {"champion": previous, "previous": expected}
            self._commit("rolled_back", {"release": previous, "aliases": aliases, "by": by, "reason": reason})
        return self.get(previous)

    def documents(self, release_id: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        """The documents of a release, some at a time."""
        for path in sorted((self.root / release_id / DATA).glob("*.parquet")):
            for batch in pq.ParquetFile(path).iter_batches(BATCH_ROWS, columns=list(columns)):
                yield pa.Table.from_batches([batch])

    def erase(self, release_id: str, doc_ids: Collection[str], *, by: str, erasure: str) -> int:
        """Takes documents out of a release's files for good, and returns how many.

        The log says it first, then the files follow: cut off in between, a repetition finishes it.

        Raises:
            NotApproved: Nobody is named.
            ReleaseNotFound: No release has this id.
        """
        _require_person(by)
        folder = self.get(release_id).path
        with self._writing(), TemporaryDirectory(prefix=STAGING, dir=self.root) as staging:
            written = {
                path: rewritten
                for path in sorted((folder / DATA).glob("*.parquet"))
                if (rewritten := without(path, doc_ids, Path(staging) / path.name))
            }
            shards = {f"{DATA}/{path.name}": file_sha256(Path(staging) / path.name) for path in written}
            known = [event.facts for event in _erasures(self.events.read(), release_id)]
            if shards and not any(facts["shards"] == shards for facts in known):
                facts = {
                    "release": release_id,
                    "documents": sum(written.values()),
                    "shards": shards,
                    "by": by,
                    "erasure": erasure,
                }
                self.events.append("erased", facts)
            for path in written:
                _seal(Path(staging) / path.name)
                (Path(staging) / path.name).replace(path)
            _sync(folder / DATA)
        return sum(written.values())

    def sweep(self) -> None:
        """Removes what killed builders left, and with it people's text that nothing refers to."""
        with self._locked():
            for left in self.root.glob(f"{STAGING}*"):
                with suppress(BlockingIOError):
                    handle = _claim(left)
                    shutil.rmtree(left)
                    os.close(handle)

    def recover(self) -> None:
        """Finishes what a killed process had recorded but not yet written to the alias and approval files.

        Raises:
            EventLogDamaged: The log's chain does not hold, or an alias stands for what the log never gave it.
        """
        with self._writing():
            pass

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._locked():
            self._project()
            yield

    @contextmanager
    def _staging(self) -> Iterator[Path]:
        """A folder that becomes a release or disappears.

        A killed builder leaves its folder, which the next one sweeps away.
        """
        self.sweep()
        with self._writing():
            staging = self.root / f"{STAGING}{secrets.token_hex(8)}"
            staging.mkdir()
            handle = _claim(staging)
        try:
            yield staging
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            os.close(handle)

    def _manifest_bytes(self, release_id: str) -> bytes:
        path = self.root / release_id
        if not _is_id(release_id) or not path.is_dir():
            raise ReleaseNotFound(f"no release {release_id}")
        manifest = path / MANIFEST
        return manifest.read_bytes() if manifest.is_file() else b""

    def _of_content(self, content_id: str) -> str | None:
        """The release of some content, if its folder is there: a build killed in between has none."""
        for event in self.events.read():
            if event.kind == "built" and event.facts["content"] == content_id:
                release_id: str = event.facts["release"]
                if (self.root / release_id).is_dir():
                    return release_id
        return None

    def _require_sound(self, release_id: str) -> None:
        if problems := self.verify(release_id):
            raise ReleaseDamaged(release_id, problems)

    def _expect(self, name: str, expected: str | None, new: str | None = None) -> bool:
        """Whether an alias has to move: it stands for what is expected, and not yet for `new`."""
        current = self.alias(name)
        if new is not None and current == new:
            return False
        if current != expected:
            raise AliasMoved(f"{name} is {current}, not {expected}")
        return True

    def _commit(self, kind: str, facts: Mapping[str, object]) -> None:
        self.events.append(kind, facts)
        self._project()

    def _project(self) -> None:
        """Writes what the log says and the alias and approval files don't say yet."""
        events = self.events.read()
        for release_id, approval in _approvals(events).items():
            path = self.root / release_id / APPROVAL
            if path.parent.is_dir() and not path.exists():
                self._replace(path, approval.to_json())
        aliases = _aliases(events)
        for name in ALIASES:
            served = self._served(name)
            if served and not any(e.facts.get("aliases", {}).get(name) == served for e in events):
                raise EventLogDamaged(f"{name} is {served}, and no event ever made it so")
            if name in aliases and served != aliases[name]:
                self._replace(self.root / "aliases" / name, f"{aliases[name]}\n".encode())

    def _served(self, name: str) -> str | None:
        path = self.root / "aliases" / name
        return path.read_text().strip() if path.exists() else None

    def _replace(self, path: Path, data: bytes) -> None:
        """Puts a whole file in place at once."""
        path.parent.mkdir(exist_ok=True)
        writing = self.root / ".writing"
        writing.unlink(missing_ok=True)
        writing.write_bytes(data)
        _seal(writing)
        writing.replace(path)
        _sync(path.parent)


def _approvals(events: Iterable[Event]) -> dict[str, Approval]:
    """Each release's first approval; those that followed a rollback are in the log only."""
    approvals: dict[str, Approval] = {}
    for event in events:
        if event.kind == "promoted":
            approvals.setdefault(event.facts["release"], Approval.recorded(event))
    return approvals


def _erasures(events: Iterable[Event], release_id: str) -> list[Event]:
    """The erasures that took documents out of a release, oldest first."""
    return [event for event in events if event.kind == "erased" and event.facts["release"] == release_id]


def _aliases(events: Iterable[Event]) -> dict[str, str]:
    """What each alias stands for once all of these events have happened."""
    aliases: dict[str, str] = {}
    for event in events:
        aliases |= event.facts.get("aliases", {})
    return aliases


def _files(folder: Path) -> dict[str, Path]:
    """Everything below a folder that isn't a folder, by its path in it."""
    return {
        p.relative_to(folder).as_posix(): p
        for p in sorted(folder.rglob("*"))
        if p.is_symlink() or not p.is_dir()
    }


def _seal(path: Path) -> None:
    """Puts a file's bytes on disk and takes its write permission away."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.chmod(path.stat().st_mode & ~0o222)


def _sync(folder: Path) -> None:
    """Puts a folder's names on disk: what was renamed into it stays there through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _claim(folder: Path) -> int:
    """Holds a folder until the handle returned is closed, or its process ends.

    Raises:
        BlockingIOError: Another process holds it.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise
    return handle


def _is_id(name: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", name) is not None


def _require_alias(name: str) -> None:
    if name not in ALIASES:
        raise ValueError(f"no alias is called {name!r}; there are {', '.join(ALIASES)}")


def _require_person(name: str) -> None:
    if not name.strip():
        raise NotApproved("a person must be named")
