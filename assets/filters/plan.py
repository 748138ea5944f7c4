"""The filter stage as one plan over batches of documents: measure, look for duplicates and leaks, decide.

It knows neither files nor the lake, so that any documents can go through it, wherever they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.documents import content_hash
from assets.rules import Rule, held, judge
from assets.spool import Spool

if TYPE_CHECKING:
    from assets.filters.contamination import Index
    from assets.filters.duplicates import NearDuplicatePolicy

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
        near: Look for exact and near duplicates, so near, among all documents; texts then wait on disk.
        parity: Measure what datatrove measures.
        editor: Hand on the texts as this editor leaves them, beside a record of each edit.
        against: Benchmark items to look for.
    """

    rules: tuple[Rule, ...]
    signals: bool = True
    language: bool = True
    expected: str | None = None
    near: NearDuplicatePolicy | None = None
    parity: bool = False
    editor: str | None = None
    against: Index | None = None


def decisions(
    batches: Iterable[pa.Table], plan: Plan, map_batches: MapBatches, spool: Path
) -> Iterator[Batch]:
    """Batches of documents, with their decisions: verdict, first reason, then everything known of each.

    Args:
        batches: Tables with id and text; ids are unique over all of them.
        spool: A file for texts while duplicates are looked for among all documents.
    """
    examined = map_batches(partial(examine, plan=plan), batches)
    if plan.near:
        examined = _over_all(examined, plan.near, spool)
    for documents, evidence in examined:
        decided = judge(evidence, held(plan.rules, evidence.column_names))
        if "edited" in evidence.column_names:
            edited = evidence["edited"].cast(documents.schema.field("text").type)
            documents = documents.set_column(documents.column_names.index("text"), "text", edited)
            evidence = evidence.drop_columns(["edited"])
        yield documents, _beside(evidence.select(["id"]), decided, evidence.drop_columns(["id"]))


def examine(documents: pa.Table, plan: Plan) -> pa.Table:
    """What the documents of one batch show each by itself, and what will tell them from copies."""
    texts = documents["text"]
    shown = [documents.select(["id"])]
    if plan.signals:
        from assets.filters.signals import measure

        shown.append(measured := measure(texts))
    if plan.parity:
        from assets.filters import parity
        from assets.filters.edits import DATATROVE

        statistics = parity.measure(texts)
        shown.append(statistics if plan.editor == DATATROVE else statistics.drop_columns(["edited"]))
    if plan.editor and "edited" not in shown[-1].column_names:
        from assets.filters.edits import edit_by

        shown.append(pa.table(edit_by(plan.editor, texts), ["edited", "edits"]))
    found = None
    if plan.language:
        from assets.filters.language import identify

        shown.append(found := identify(texts))
        if plan.expected:
            other = pc.not_equal(found["language"], plan.expected)
            score = pc.if_else(other, found["language_score"].cast(pa.float64()), 0.0)
            shown.append(pa.table({"other_language_score": score}))
    if plan.signals:
        shown.append(_by_language(measured, found))
    if plan.against:
        shown.append(leaks(documents, plan.against))
    if plan.near:
        shown.append(digests(documents, plan.near))
    return _beside(*shown)


def _by_language(measured: pa.Table, found: pa.Table | None) -> pa.Table:
    """The signals that say nothing of some languages, null there. Where no language was looked for, every text
    is held to be in the one that the profile is for."""
    stop_words, length = measured["stop_word_count"], measured["mean_word_length"]
    if found is not None:
        stop_words, length = _english_stop_words(stop_words, found), _spaced_word_length(length, found)
    return pa.table({"english_stop_words": stop_words, "spaced_word_length": length})


def _beside(*tables: pa.Table) -> pa.Table:
    """The columns of tables of the same documents."""
    columns = [column for table in tables for column in table.columns]
    return pa.Table.from_arrays(columns, [name for table in tables for name in table.column_names])


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


def _over_all(examined: Iterable[Batch], policy: NearDuplicatePolicy, spool: Path) -> Iterator[Batch]:
    """The same batches, with what only all documents together show."""
    waiting: Spool | None = None
    parts: list[pa.Table] = []
    for documents, evidence in examined:
        waiting = waiting or Spool(spool, documents.schema)
        waiting.write(documents)
        parts.append(evidence)
    if waiting is None:
        return
    evidence = pa.concat_tables(parts)
    del parts
    evidence = _beside(evidence.drop_columns(DIGEST), _copies(evidence, policy))
    # Where no document waited, the columns still say what was looked for.
    yield waiting.schema.empty_table(), evidence.slice(0, 0)
    start = 0
    for batch in waiting:
        yield batch, evidence.slice(start, batch.num_rows)
        start += batch.num_rows


DIGEST = ["content_hash", "length", "bands", "sketch"]


def digests(documents: pa.Table, policy: NearDuplicatePolicy) -> pa.Table:
    """What tells documents from copies of each other, as columns (DIGEST)."""
    from assets.filters.duplicates import digest

    digested = digest(documents.select(["text"]), policy)
    hashes = pa.array([content_hash(text.as_py()) for text in documents["text"]], pa.string())
    packed = digested.packed()
    columns = [hashes, digested.facts["characters"], packed["bands"], packed["sketch"]]
    return pa.Table.from_arrays(columns, DIGEST)


def _copies(evidence: pa.Table, policy: NearDuplicatePolicy) -> pa.Table:
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
    found = cluster([Digests.unpacked(pa.table(facts), evidence)], policy)
    found = found.filter(pc.invert(found["is_keeper"]))
    at = pc.index_in(ids, found["doc_id"].combine_chunks())
    relation, keeper = found["relation"].take(at), found["keeper_id"].take(at)
    similarity = found["similarity"].take(at)
    exact, near = (pc.equal(relation, kind).fill_null(False).cast(pa.int8()) for kind in ("exact", "near"))
    names = ["keeper", "exact_duplicate", "near_duplicate", "similarity"]
    return pa.Table.from_arrays([keeper, exact, near, similarity], names)


def leaks(documents: pa.Table, index: Index) -> pa.Table:
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
