"""The event log: an append-only JSON-lines file in which each record names the hash of the one before."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assets.releases.canonical import canonical_json, sha256

GENESIS = "0" * 64


class EventLogDamaged(Exception):
    """The log's chain does not hold, or what lies beside the log contradicts it."""


@dataclass(frozen=True)
class Event:
    """One thing that happened: what, when (UTC, ISO 8601, whole seconds), and its facts.

    `previous` is the hash of the record before (64 zeros for the first), `sha256` the hash of this record's
    canonical JSON without that field.
    """

    seq: int
    time: str
    kind: str
    facts: Mapping[str, Any]
    previous: str
    sha256: str

    @classmethod
    def following(cls, last: Event | None, kind: str, facts: Mapping[str, Any]) -> Event:
        """The event that comes after another, or the first."""
        seq, previous = (last.seq + 1, last.sha256) if last else (0, GENESIS)
        time = datetime.now(UTC).isoformat(timespec="seconds")
        event = cls(seq, time, kind, facts, previous, sha256="")
        return replace(event, sha256=event.digest())

    def digest(self) -> str:
        """The hash that `sha256` must hold."""
        record = asdict(self)
        record.pop("sha256")
        return sha256(canonical_json(record))

    def to_line(self) -> bytes:
        """The record as it stands in the log, with its newline."""
        return canonical_json(asdict(self))


class EventLog:
    """An append-only, hash-chained log in one file.

    The chain shows a change to any byte of any record but not a log rewritten whole or cut short by its
    owner: for that, keep `head()` somewhere else, as each approval and each materialisation does.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, kind: str, facts: Mapping[str, Any]) -> Event:
        """Adds a record and returns it once it is on disk. Only one process at a time may append.

        Raises:
            EventLogDamaged: The chain is broken already; nothing is added.
        """
        events = self.read()
        event = Event.following(events[-1] if events else None, kind, facts)
        with self.path.open("ab") as file:
            # What a killed writer left without its newline was never recorded.
            file.truncate(self._committed())
            file.write(event.to_line())
            file.flush()
            os.fsync(file.fileno())
        return event

    def read(self) -> tuple[Event, ...]:
        """Every record, oldest first; a last line without its newline is not one.

        Raises:
            EventLogDamaged: A record was changed, removed, added or moved.
        """
        events, problems = self._scan()
        if problems:
            raise EventLogDamaged("; ".join(problems))
        return events

    def verify(self) -> tuple[str, ...]:
        """What is wrong with the chain, in words, one for each broken line; empty where it holds."""
        return self._scan()[1]

    def head(self) -> str:
        """The hash of the last record, to be kept elsewhere; 64 zeros for an empty log."""
        events = self.read()
        return events[-1].sha256 if events else GENESIS

    def _committed(self) -> int:
        return self.path.read_bytes().rfind(b"\n") + 1

    def _scan(self) -> tuple[tuple[Event, ...], tuple[str, ...]]:
        data = self.path.read_bytes() if self.path.exists() else b""
        events: list[Event] = []
        problems: list[str] = []
        for number, line in enumerate(data.split(b"\n")[:-1], 1):
            where = f"{self.path.name} line {number}"
            try:
                event = Event(**json.loads(line))
            except (ValueError, TypeError) as error:
                return tuple(events), (*problems, f"{where}: unreadable ({error})")
            if event.to_line() != line + b"\n" or event.sha256 != event.digest():
                problems.append(f"{where}: not the record that was written")
            last = events[-1].sha256 if events else GENESIS
            if (event.seq, event.previous) != (len(events), last):
                problems.append(f"{where}: does not follow the record before it")
            events.append(event)
        return tuple(events), tuple(problems)
