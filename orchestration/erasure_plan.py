"""What an erasure would take away: the documents of a person, and every place where something of them is."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from assets import settings
from assets.lake import Lake, Left
from assets.privacy.keys import load_key
from assets.privacy.subjects import (
    COLUMNS,
    VALUES,
    Match,
    RequestError,
    Selector,
    find_documents,
    read_request,
)
from assets.privacy.tombstones import TABLE as TOMBSTONES
from assets.privacy.tombstones import VARIABLE, tombstones
from assets.privacy.traces import Needles
from assets.releases.store import ReleaseStore

ERASURES, TAINTED = "governance.erasures", "governance.tainted"
# What erasures themselves leave behind, on purpose.
KEPT = (TOMBSTONES, ERASURES, TAINTED)

IDENTITY = ("doc_id", "source", "key", "content_hash")

LEARNT = "EXISTS (FROM scored.quality_training WHERE doc_id IN (SELECT doc_id FROM gone))"
"""Whether the quality model learnt from what goes."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Everything that a person's documents can be in."""

    lake: Lake
    releases: ReleaseStore

    def documents(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """All documents as they were read, as they were kept and as they were released, some at a time."""
        for table in ("raw.documents", "filtered.documents"):
            if self.lake.exists(table):
                yield from self.lake.stream(f"SELECT {', '.join(columns)} FROM {table}")
        for release in self.releases.list():
            yield from self.releases.documents(release, columns)


@dataclass(frozen=True)
class Plan:
    """What an erasure takes away. It holds personal strings: on disk it lies for its owner alone to read, and
    only until the erasure is done.

    `documents` are rows of doc_id, source, key, content_hash and `why` (`selector`, `copy` or `child`), `refused`
    of source, file and position of what is in quarantine; `strings` speak of the person and stand in nobody
    else's document, `shared` counts those that do; `rows`, `releases` and `models` say how much goes from each
    table and release, and the hashes of the models that learnt from it.
    """

    erasure_id: str
    approved_by: str
    reason: str
    selectors: Sequence[Row]
    documents: Sequence[Row] = field(repr=False)
    refused: Sequence[Row] = field(repr=False)
    strings: Sequence[str] = field(repr=False)
    shared: int
    tombstones: Sequence[Row] = field(repr=False)
    rows: Mapping[str, int]
    releases: Mapping[str, int]
    models: Mapping[str, str]

    @property
    def doc_ids(self) -> list[str]:
        return [document["doc_id"] for document in self.documents]

    @property
    def sources(self) -> dict[str, int]:
        """How many documents go, by source; of those with none but refused rows, 0."""
        counts = Counter({row["source"]: 0 for row in self.refused})
        counts.update(document["source"] for document in self.documents)
        return dict(sorted(counts.items()))

    @property
    def needles(self) -> Needles:
        """What must not be found anywhere afterwards."""
        return Needles(frozenset(self.doc_ids), frozenset(self.strings))

    @property
    def given(self) -> dict[str, pa.Table]:
        """The tables that the SQL of `left` reads."""
        return _given(self.doc_ids, self.strings, self.refused)

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        return cls(**json.loads(text))


def make_plan(place: Place, request: Iterable[str], approved_by: str, reason: str) -> Plan:
    """What a request (subjects.py) would take away.

    A document goes that a selector names, with every exact copy of it and every document made from it; where the
    document itself is the person's, rather than a value in it, also what is in its cluster of near duplicates.
    Without an approver nothing is made that would be needed to carry it out.

    Raises:
        RequestError: A line of the request names nobody, or too many; or the reason quotes a value.
    """
    selectors = read_request(request)
    documents, matches = _named(place, selectors)
    _add_near_copies(place, documents, {each.doc_id for each in matches if selectors[each.selector].whole})
    _add_relatives(place, documents)
    refused, said = _refused(place.lake, selectors)
    strings = {string for match in matches for string in match.strings} | said
    strings |= {each.value for each in selectors if each.kind in VALUES}
    own = _own(place.lake, strings, set(documents))
    gone = [documents[doc_id] for doc_id in sorted(documents)]
    said_by_hand = f"{approved_by}\n{reason}".encode()
    if Needles(frozenset(documents), frozenset(own)).found(said_by_hand):
        raise RequestError(
            "the approver or the reason quotes what is to be erased; the receipt would keep it"
        )
    erasure_id = secrets.token_hex(6)
    buried: list[Row] = []
    if approved_by:
        key = load_key(settings.tombstone_key_file(), variable=VARIABLE)
        buried = tombstones(key, erasure_id, gone, selectors).to_pylist()
    given = _given(sorted(documents), own, refused)
    released = {each: _released(place.releases, each, documents) for each in place.releases.list()}
    return Plan(
        erasure_id=erasure_id,
        approved_by=approved_by,
        reason=reason,
        selectors=[
            {
                "line": selector.line,
                "kind": selector.kind,
                "documents": len({each.doc_id for each in matches if each.selector == number}),
            }
            for number, selector in enumerate(selectors)
        ],
        documents=gone,
        refused=refused,
        strings=own,
        shared=len(strings) - len(own),
        tombstones=buried,
        rows=_rows(place.lake, given),
        releases={release: rows for release, rows in released.items() if rows},
        models=_models(place.lake, given),
    )


def left(lake: Lake, doc_ids: Sequence[str]) -> dict[str, Left]:
    """What stays of each table that may hold something of the documents: rows go wherever an id stands, and, in
    tables of another grain than the document, wherever a string of the person's does; a list loses the ids."""
    found = {}
    ids = f"[{', '.join(repr(doc_id) for doc_id in doc_ids)}]::VARCHAR[]"
    for table, columns in lake.columns().items():
        if table in KEPT:
            continue
        texts = [name for name, kind in columns.items() if kind == "VARCHAR" and name != "run_id"]
        lists = [name for name, kind in columns.items() if kind == "VARCHAR[]" and "doc_id" not in columns]
        told = [f'"{name}" IN (SELECT doc_id FROM gone)' for name in texts]
        if table == "raw.quarantine":
            told.append('(source, file, "position") IN (SELECT (source, file, "position") FROM refused)')
        if table == "scored.quality_model":
            told.append(LEARNT)
        if "doc_id" not in columns:
            told += [f'EXISTS (FROM strings WHERE contains("{name}", string))' for name in texts]
        gone = " OR ".join(told) or "false"
        named = [f'list_has_any("{name}", {ids})' for name in lists]
        others = [
            f'list_filter("{name}", lambda x: NOT list_contains({ids}, x)) AS "{name}"' for name in lists
        ]
        replaced = f" REPLACE ({', '.join(others)})" if others else ""
        query = f"SELECT *{replaced} FROM {table} WHERE ({gone}) IS NOT TRUE"
        found[table] = Left(" OR ".join([gone, *named]), query)
    # A model asks what it learnt from, so that must still be there.
    return dict(sorted(found.items(), key=lambda item: item[0] == "scored.quality_training"))


def _given(
    doc_ids: Iterable[str], strings: Iterable[str] = (), refused: Iterable[Row] = ()
) -> dict[str, pa.Table]:
    place = pa.schema([(name, pa.string()) for name in ("source", "file", "position")])
    return {
        "gone": pa.table({"doc_id": pa.array(list(doc_ids), pa.string())}),
        "strings": pa.table({"string": pa.array(list(strings), pa.string())}),
        "refused": pa.Table.from_pylist(list(refused), schema=place),
    }


def _named(place: Place, selectors: Sequence[Selector]) -> tuple[dict[str, Row], list[Match]]:
    documents: dict[str, Row] = {}
    matches = []
    for table in place.documents([*dict.fromkeys((*IDENTITY, *COLUMNS))]):
        if found := list(find_documents([table], selectors)):
            identities = {row["doc_id"]: row for row in table.select(IDENTITY).to_pylist()}
            for each in found:
                documents.setdefault(each.doc_id, identities[each.doc_id] | {"why": "selector"})
            matches += found
    return documents, matches


def _add_near_copies(place: Place, documents: dict[str, Row], whole: set[str]) -> None:
    if not (whole and place.lake.exists("filtered.duplicates")):
        return
    rows = place.lake.query(
        f"SELECT {', '.join(IDENTITY)}, 'copy' AS why FROM raw.documents WHERE doc_id IN ("
        "SELECT others.doc_id FROM filtered.duplicates SEMI JOIN gone USING (doc_id) "
        "JOIN filtered.duplicates AS others USING (cluster_id))",
        given=_given(sorted(whole)),
    )
    for row in rows.to_pylist():
        documents.setdefault(row["doc_id"], row)


def _add_relatives(place: Place, documents: dict[str, Row]) -> None:
    """Exact copies and what was made from any of them, and theirs in turn."""
    before = -1
    while before < len(documents):
        before = len(documents)
        hashes = {row["content_hash"] for row in documents.values()}
        for table in place.documents([*IDENTITY, "parents"]):
            for row in table.to_pylist():
                child = not documents.keys().isdisjoint(row.pop("parents") or ())
                if child or row["content_hash"] in hashes:
                    documents.setdefault(row["doc_id"], row | {"why": "child" if child else "copy"})


def _refused(lake: Lake, selectors: Sequence[Selector]) -> tuple[list[Row], set[str]]:
    """What in quarantine a value or name is found in, and those strings."""
    if not lake.exists("raw.quarantine"):
        return [], set()
    rows = lake.query('SELECT source, file, "position", error, prefix FROM raw.quarantine').to_pylist()
    shown = pa.table(
        {
            "doc_id": pa.array([str(at) for at in range(len(rows))], pa.string()),
            "key": pa.nulls(len(rows), pa.string()),
            "url": pa.nulls(len(rows), pa.string()),
            "text": pa.array(
                [(row["prefix"] or b"").decode("utf-8", "replace") for row in rows], pa.string()
            ),
            "metadata": pa.array([row["error"] for row in rows], pa.string()),
        }
    )
    found = list(find_documents([shown], selectors))
    places = sorted({int(match.doc_id) for match in found})
    return [{name: rows[at][name] for name in ("source", "file", "position")} for at in places], {
        string for match in found for string in match.strings
    }


def _own(lake: Lake, strings: set[str], doc_ids: set[str]) -> list[str]:
    """Those of the strings that no other document holds: the rest can't be looked for."""
    if not (strings and lake.exists("raw.documents")):
        return sorted(strings)
    # Where a string is told in any case, so is another's.
    elsewhere = lake.query(
        "SELECT DISTINCT string FROM strings, raw.documents AS others "
        "WHERE others.doc_id NOT IN (SELECT doc_id FROM gone) AND contains("
        "lower(concat_ws(chr(10), others.key, others.url, others.text, others.metadata)), lower(string))",
        given=_given(doc_ids, strings),
    )
    return sorted(strings - set(elsewhere["string"].to_pylist()))


def _rows(lake: Lake, given: Mapping[str, pa.Table]) -> dict[str, int]:
    counts = {
        table: lake.query(f"SELECT count(*) AS n FROM {table} WHERE {part.concerned}", given=given)["n"][
            0
        ].as_py()
        for table, part in left(lake, given["gone"]["doc_id"].to_pylist()).items()
    }
    return {table: rows for table, rows in sorted(counts.items()) if rows}


def _released(releases: ReleaseStore, release: str, documents: Mapping[str, Row]) -> int:
    ids = (id for table in releases.documents(release, ["doc_id"]) for id in table["doc_id"].to_pylist())
    return sum(id in documents for id in ids)


def _models(lake: Lake, given: Mapping[str, pa.Table]) -> dict[str, str]:
    """The models that learnt from a document, by the hash that manifests know them by."""
    if not (lake.exists("scored.quality_model") and lake.exists("scored.quality_training")):
        return {}
    models = lake.query(
        f"SELECT name, sha256 FROM scored.quality_model WHERE {LEARNT} ORDER BY name", given=given
    )
    return {row["name"]: row["sha256"] for row in models.to_pylist()}
