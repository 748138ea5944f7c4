"""What was erased and must not come back: keyed hashes of ids, texts and values, which name nobody.

Their key is not the one of findings, and is never changed: a tombstone can't be made anew, for what it
stands for is gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from assets.lake import Lake
from assets.privacy.keys import PiiKey, load_key
from assets.privacy.subjects import COLUMNS, VALUES, Selector, forms, values_in

TABLE = "governance.tombstones"
VARIABLE = "WINNOW_TOMBSTONE_KEY"

TOMBSTONE = pa.schema(
    [
        pa.field("digest", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("key_id", pa.string(), nullable=False),
        pa.field("erasure_id", pa.string(), nullable=False),
    ]
)
"""One row for each thing that must not come back; `kind` is `document`, `content`, `email` or `phone`."""

# A source without a column of keys tells its rows by their place, where another may stand tomorrow.
PLACE = re.compile(r"#\d+$")


class TombstoneError(RuntimeError):
    """There are tombstones that can't be read: nothing may be taken in until they can."""


@dataclass(frozen=True)
class Tombstones:
    """All that was erased, as ingestion asks for it."""

    key: PiiKey | None = None
    digests: frozenset[str] = frozenset()
    values: frozenset[str] = frozenset()
    """The kinds of values among them."""

    def holds(self, document: Mapping[str, Any]) -> bool:
        """Whether a document was erased, holds an erased value, or was made from one that was erased."""
        if self.key is None:
            return False
        told = [("document", document["doc_id"]), ("content", document["content_hash"])]
        told += [("document", parent) for parent in document["parents"] or ()]
        return any(self._held(*each) for each in told) or any(
            self.speaks(text) for name in COLUMNS[1:] if (text := document[name])
        )

    def speaks(self, text: str) -> bool:
        """Whether an erased value stands in a text."""
        return any(self._held(kind, value) for kind in self.values for value, _ in values_in(text, kind))

    def _held(self, kind: str, value: str) -> bool:
        return self.key is not None and digest(self.key, kind, value) in self.digests


def digest(key: PiiKey, kind: str, value: str) -> str:
    """What stands for an id, a content hash or a value."""
    return key.hmac(f"{kind}\x1f{value}")


def tombstones(
    key: PiiKey, erasure_id: str, documents: Iterable[Mapping[str, Any]], selectors: Iterable[Selector]
) -> pa.Table:
    """The tombstones (TOMBSTONE) of documents (doc_id, key, content_hash) and of the values that named them."""
    told = {("content", document["content_hash"]) for document in documents}
    told |= {("document", each["doc_id"]) for each in documents if not PLACE.search(each["key"])}
    for selector in selectors:
        if selector.kind in VALUES:
            told |= {(selector.kind, form) for form in forms(selector.kind, selector.value)}
        elif selector.kind in ("doc_id", "source"):
            told.add(("document", selector.value))
    rows = [
        {"digest": digest(key, kind, value), "kind": kind, "key_id": key.id, "erasure_id": erasure_id}
        for kind, value in told
    ]
    return pa.Table.from_pylist(sorted(rows, key=lambda row: (row["kind"], row["digest"])), schema=TOMBSTONE)


def load_tombstones(lake: Lake, key_file: Path) -> Tombstones:
    """Everything that was erased from a lake.

    Raises:
        TombstoneError: They were made with another key than the one there is.
    """
    if not lake.exists(TABLE):
        return Tombstones()
    rows = lake.query(f"SELECT DISTINCT digest, kind, key_id FROM {TABLE}").to_pylist()
    if not rows:
        return Tombstones()
    key = load_key(key_file, variable=VARIABLE)
    if strangers := {row["key_id"] for row in rows} - {key.id}:
        raise TombstoneError(
            f"what was erased is known by the key {', '.join(sorted(strangers))}, and {VARIABLE} or "
            f"{key_file.name} holds {key.id}: put the key back, or what was erased would come back"
        )
    kinds = {row["kind"] for row in rows}
    return Tombstones(key, frozenset(row["digest"] for row in rows), frozenset(kinds & set(VALUES)))
