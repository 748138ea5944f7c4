"""The filter stage as one plan over batches of documents: measure, look for duplicates and leaks, decide.

It knows neither files nor the lake, so that any documents can go through it, wherever they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.documents import content_hash
from assets.filters.contamination import Index
from assets.filters.duplicates import NearDuplicatePolicy
from assets.rules import Rule, held, judge
from assets.spool import Spool

Batch = tuple[pa.Table, pa.Table]
"""Documents (id, text) and what is known of them, row by row."""

MapBatches = Callable[
    [Callable[[pa.Table], pa.Table], Iterable[pa.Table]], Iterator[tuple[pa.Table, pa.Table]]
]
"""Applies a function to batches, on whatever runs them; each batch comes back beside its result, in order."""


# As in the macros of the dbt project.
LANGUAGE_SCORE = 0.3
UNSPACED = ("zh", "yue", "wuu", "ja", "th", "lo", "km", "my", "bo")


@dataclass(frozen=True)
class Plan:
    """Which steps documents go through, and the rules that they are then held against.

    Attributes:
        rules: The profile's rules; those whose signal no step gives are not held.
        signals: Measure every signal.
        language: Identify the language.
        expected: The language that documents are to be in; without one none is wrong.
        duplicates: Look for exact and near duplicates among all documents; texts then wait on disk.
        near: How near a near duplicate is.
        parity: Measure what datatrove measures.
        editor: Hand on the texts as this editor leaves them, beside a record of each edit.
        against: Benchmark items to look for.
    """

    rules: tuple[Rule, ...]
    signals: bool = True
    language: bool = True
    expected: str | None = None
    duplicates: bool = True
    parity: bool = False
    editor: str | None = None
    near: NearDuplicatePolicy = field(default_factory=NearDuplicatePolicy)
    against: Index | None = None


def decisions(
    batches: Iterable[pa.Table], plan: Plan, map_batches: MapBatches, spool: Path
) -> Iterator[Batch]:
    """Batches of documents, with their decisions: verdict, first reason, then everything known of each.

    Args:
        batches: Tables with id and text; ids are unique over all of them.
        spool: A file for texts while duplicates or benchmark items are looked for over all documents.
    """
    examined = map_batches(partial(examine, plan=plan), batches)
    if plan.duplicates:
        examined = _over_all(examined, plan, spool)
    for documents, evidence in examined:
        decided = judge(evidence, held(plan.rules, evidence.column_names))
        id, *known = evidence.columns
        columns = [id, *decided.columns, *known]
        names = ["id", *decided.column_names, *evidence.column_names[1:]]
        if "edited" in names:
            at = names.index("edited")
            names.pop(at)
            edited = columns.pop(at).cast(documents.schema.field("text").type)
            documents = documents.set_column(documents.column_names.index("text"), "text", edited)
        yield documents, pa.Table.from_arrays(columns, names)


def examine(documents: pa.Table, plan: Plan) -> pa.Table:
    """What the documents of one batch show each by itself, and what will tell them from copies."""
    names, columns = ["id"], [documents["id"]]
    if plan.signals:
        from assets.filters.signals import measure

        measured = measure(documents["text"])
        names += measured.column_names
        columns += measured.columns
    if plan.parity:
        from assets.filters import parity
        from assets.filters.edits import DATATROVE

        statistics = parity.measure(documents["text"])
        if plan.editor != DATATROVE:
            statistics = statistics.drop_columns(["edited"])
        names += statistics.column_names
        columns += statistics.columns
    if plan.editor and "edited" not in names:
        from assets.filters.edits import edit_by

        names += ["edited", "edits"]
        columns += edit_by(plan.editor, documents["text"])
    if plan.signals and not plan.language:
        # Without a language every text is held to be in the one that the profile is for.
        names += ["english_stop_words", "spaced_word_length"]
        columns += [measured["stop_word_count"], measured["mean_word_length"]]
    if plan.language:
        from assets.filters.language import identify

        found = identify(documents["text"])
        names += found.column_names
        columns += found.columns
        if plan.signals:
            names += ["english_stop_words", "spaced_word_length"]
            columns.append(_english_stop_words(measured["stop_word_count"], found))
            columns.append(_spaced_word_length(measured["mean_word_length"], found))
        if plan.expected:
            other = pc.not_equal(found["language"], plan.expected)
            names.append("other_language_score")
            columns.append(pc.if_else(other, found["language_score"].cast(pa.float64()), 0.0))
    if plan.against:
        found = _leaks(documents, plan.against)
        names += found.column_names
        columns += found.columns
    if plan.duplicates:
        digested = _digest(documents, plan.near)
        names += digested.column_names
        columns += digested.columns
    return pa.Table.from_arrays(columns, names)


def _english_stop_words(count: pa.ChunkedArray, found: pa.Table) -> pa.ChunkedArray:
    """Stop words of texts in English or in no language; null for others, which no rule then fails."""
    english = pc.and_(
        pc.equal(found["language"], "en"), pc.greater_equal(found["language_score"], LANGUAGE_SCORE)
    )
    return pc.if_else(pc.or_(english, pc.equal(found["language"], "und")), count, None)


def _spaced_word_length(length: pa.ChunkedArray, found: pa.Table) -> pa.ChunkedArray:
    """Mean length of words; null where the language is surely one that is written without spaces."""
    unspaced = pc.and_(
        pc.is_in(found["language"], pa.array(UNSPACED)),
        pc.greater_equal(found["language_score"], LANGUAGE_SCORE),
    )
    return pc.if_else(unspaced, None, length)


def known_signals(plan: Plan) -> frozenset[str]:
    """The signals that a plan's steps give."""
    names: set[str] = set()
    if plan.signals:
        from assets.filters.signals import SIGNALS

        names |= {"english_stop_words", "spaced_word_length", *(signal.name for signal in SIGNALS)}
    if plan.parity:
        from assets.filters import parity

        names |= {signal.name for signal in parity.SIGNALS}
    if plan.language and plan.expected:
        names.add("other_language_score")
    if plan.duplicates:
        names |= {"exact_duplicate", "near_duplicate"}
    if plan.against:
        names.add("contamination_overlap")
    return frozenset(names)


def _over_all(examined: Iterable[Batch], plan: Plan, spool: Path) -> Iterator[Batch]:
    """The same batches, with what only all documents together show."""
    waiting: Spool | None = None
    parts: list[pa.Table] = []
    for documents, evidence in examined:
        waiting = waiting or Spool(spool, documents.schema)
        waiting.write(documents)
        parts.append(evidence)
    if waiting is None:
        return
    documents = waiting.read()
    evidence = pa.concat_tables(parts)
    del parts
    evidence = _with(evidence.drop_columns(DIGEST), _copies(evidence, plan))
    yield documents.slice(0, 0), evidence.slice(0, 0)
    start = 0
    for batch in waiting:
        yield batch, evidence.slice(start, batch.num_rows)
        start += batch.num_rows


def _with(evidence: pa.Table, more: pa.Table) -> pa.Table:
    return pa.Table.from_arrays(
        [*evidence.columns, *more.columns], [*evidence.column_names, *more.column_names]
    )


DIGEST = ["content_hash", "length", "bands", "sketch"]


def _digest(documents: pa.Table, policy: NearDuplicatePolicy) -> pa.Table:
    """What tells documents from copies of each other, as columns (DIGEST)."""
    from assets.filters.duplicates import digest

    digests = digest(documents.select(["text"]), policy)
    hashes = pa.array([content_hash(text.as_py()) for text in documents["text"]], pa.string())
    packed = digests.packed()
    columns = [hashes, digests.facts["characters"], packed["bands"], packed["sketch"]]
    return pa.Table.from_arrays(columns, DIGEST)


def _copies(evidence: pa.Table, plan: Plan) -> pa.Table:
    """Whether each document is a copy, exact or near, of a better one, and of which."""
    from assets.filters.duplicates import NOASSERTION, Digests, cluster

    ids, rows = evidence["id"].combine_chunks(), evidence.num_rows
    facts = {
        "doc_id": ids,
        "source": pa.repeat("", rows),
        "content_hash": evidence["content_hash"],
        "license": pa.repeat(NOASSERTION, rows),
        "characters": evidence["length"],
    }
    found = cluster([Digests.unpacked(pa.table(facts), evidence)], plan.near)
    found = found.filter(pc.invert(found["is_keeper"]))
    at = pc.index_in(ids, found["doc_id"].combine_chunks())
    relation, keeper = found["relation"].take(at), found["keeper_id"].take(at)
    similarity = found["similarity"].take(at)
    exact, near = (pc.equal(relation, kind).fill_null(False).cast(pa.int8()) for kind in ("exact", "near"))
    names = ["keeper", "exact_duplicate", "near_duplicate", "similarity"]
    return pa.Table.from_arrays([keeper, exact, near, similarity], names)


def _leaks(documents: pa.Table, index: Index) -> pa.Table:
    """The benchmark item that each document holds most of."""
    from assets.filters.contamination import find_items

    rows = documents.num_rows
    numbers = pa.array(range(rows)).cast(pa.string())
    found = find_items(
        pa.table({"doc_id": numbers, "source": pa.repeat("", rows), "text": documents["text"]}), index
    )
    found = found.append_column("row", found["doc_id"].cast(pa.int64()))
    found = found.sort_by([("row", "ascending"), ("overlap", "descending"), ("item_id", "ascending")])
    row = np.asarray(found["row"])
    found = found.filter(pa.array(np.append(True, row[1:] != row[:-1])[: len(row)]))
    at = pc.index_in(pa.array(range(rows)), found["row"].combine_chunks())
    overlap = found["overlap"].take(at).fill_null(0.0)
    return pa.Table.from_arrays(
        [overlap, found["benchmark"].take(at), found["item_id"].take(at)],
        ["contamination_overlap", "benchmark", "benchmark_item"],
    )
