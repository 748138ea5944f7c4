"""Exact and near duplicates over the whole corpus: equal texts by hash, similar ones by banded MinHash."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from assets import engine
from assets.filters.folding import fold

NOASSERTION = "NOASSERTION"
PAIRS_AT_ONCE = 1 << 16

SCHEMA = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("cluster_id", pa.string(), nullable=False),
        pa.field("relation", pa.string(), nullable=False),
        pa.field("keeper_id", pa.string(), nullable=False),
        pa.field("similarity", pa.float64(), nullable=False),
        pa.field("is_keeper", pa.bool_(), nullable=False),
    ]
)


@dataclass(frozen=True)
class NearDuplicatePolicy:
    """When two texts are near duplicates: MinHash over word n-grams (Broder 1997), banded.

    A pair of Jaccard similarity s becomes a candidate with probability 1 - (1 - s^rows)^bands, and counts as
    near where the share of equal signature values is at least `similarity`.
    """

    similarity: float = 0.7
    ngram: int = 5
    bands: int = 14
    rows: int = 8
    seed: int = 1


def find_duplicates(documents: pa.Table, policy: NearDuplicatePolicy | None = None) -> pa.Table:
    """Every document that has a duplicate, with its cluster, its keeper and how it relates to that (SCHEMA).

    Every member of a cluster has the keeper's text or is near it: `similarity` is the estimated Jaccard
    similarity to the keeper. Texts of fewer words than an n-gram are compared exactly only. The keeper is a
    document with a known licence before one without, then one that isn't synthetic, then the longest, then
    the one of smallest id; `cluster_id` is the smallest id of the cluster. Sorted by doc_id.

    Args:
        documents: Columns doc_id, source, text, content_hash and license; `synthetic` and `characters`, the
            length of the text, are used where they are present.

    Raises:
        ValueError: Two rows carry one doc_id.
    """
    policy = policy or NearDuplicatePolicy()
    # Texts of more than 2 GB together overflow the offsets of a plain string column.
    texts = documents.column("text").cast(pa.large_string())
    documents = documents.set_column(documents.schema.get_field_index("text"), "text", texts)
    documents = documents.sort_by("doc_id").combine_chunks()
    ids = documents.column("doc_id")
    if len(pc.unique(ids)) < len(ids):
        repeated = next(one for one, other in itertools.pairwise(ids.to_pylist()) if one == other)
        raise ValueError(f"doc_id {repeated} stands in more than one row")

    # From here on a text is a number, whatever documents have it.
    codes = np.asarray(documents.column("content_hash").combine_chunks().dictionary_encode().indices)
    _, first, text_of = np.unique(codes, return_index=True, return_inverse=True)
    signatures, signed = _signatures(documents.column("text").take(pa.array(first)), policy)
    left, right = _near_pairs(signatures, signed, policy)
    edges = coo_array((np.ones(len(left), bool), (left, right)), shape=(len(first), len(first)))
    _, component = connected_components(edges, directed=False)

    preference = _by_preference(documents)
    _, place = np.unique(text_of[preference], return_index=True)
    keeper_text = _keepers(component, place, signatures, policy)
    _, smallest, cluster, sizes = np.unique(
        keeper_text[text_of], return_index=True, return_inverse=True, return_counts=True
    )
    members = np.flatnonzero(sizes[cluster] > 1)
    text = text_of[members]
    keeper = preference[place][keeper_text[text]]
    same_text = text == keeper_text[text]
    columns = [
        ids.take(pa.array(members)),
        documents.column("source").take(pa.array(members)),
        ids.take(pa.array(smallest[cluster[members]])),
        pa.array(np.where(same_text, "exact", "near"), pa.string()),
        ids.take(pa.array(keeper)),
        pa.array(_similarity(signatures, text, keeper_text[text])),
        pa.array(members == keeper),
    ]
    return pa.table(columns, schema=SCHEMA)


def _signatures(
    texts: pa.ChunkedArray, policy: NearDuplicatePolicy
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """One MinHash signature a text, shape (texts, bands × rows), and which texts are long enough for one."""
    hashes = policy.bands * policy.rows
    folded = fold(texts.combine_chunks(), digits=False)
    signed = np.flatnonzero(pc.greater_equal(pc.count_substring(folded, " "), policy.ngram - 1))
    signatures = np.zeros((len(texts), hashes), np.uint32)
    if len(signed):
        found = engine.minhash(
            folded.take(pa.array(signed)), hashes=hashes, ngram=policy.ngram, seed=policy.seed
        )
        signatures[signed] = np.asarray(found.flatten()).reshape(-1, hashes)
    return signatures, signed


def _near_pairs(
    signatures: npt.NDArray[np.uint32], signed: npt.NDArray[np.int64], policy: NearDuplicatePolicy
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The pairs of texts that share a band and are similar enough, each once.

    In a bucket every text is paired with the first and with the one before it, never with all: a bucket of
    boilerplate stays linear, and the components of the graph are the same wherever the bucket is of one kind.
    """
    texts = len(signatures)
    found = []
    for band in range(policy.bands):
        keys = _band_keys(signatures[signed, band * policy.rows : (band + 1) * policy.rows])
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        opens = np.ones(len(ordered), bool)
        opens[1:] = ordered[1:] != ordered[:-1]
        starts = np.maximum.accumulate(np.where(opens, np.arange(len(ordered)), 0))
        later = np.flatnonzero(~opens)
        first, previous, member = signed[order[starts[later]]], signed[order[later - 1]], signed[order[later]]
        found += [first * texts + member, previous * texts + member]
    pairs = np.unique(np.concatenate(found))
    left, right = np.divmod(pairs, max(texts, 1))
    near = _similarity(signatures, left, right) >= policy.similarity
    return left[near], right[near]


def _band_keys(band: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """One 64-bit key for each row of a band."""
    keys = np.zeros(len(band), np.uint64)
    for column in band.T:
        keys = (keys ^ column) * np.uint64(0xD6E8FEB86659FD93)
        keys ^= keys >> np.uint64(32)
    return keys


def _similarity(
    signatures: npt.NDArray[np.uint32], left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """The estimated Jaccard similarity of each pair: the share of equal signature values."""
    similarity = np.empty(len(left))
    for start in range(0, len(left), PAIRS_AT_ONCE):
        some = slice(start, start + PAIRS_AT_ONCE)
        similarity[some] = (signatures[left[some]] == signatures[right[some]]).mean(axis=1)
    return similarity


def _keepers(
    component: npt.NDArray[np.int32],
    place: npt.NDArray[np.int64],
    signatures: npt.NDArray[np.uint32],
    policy: NearDuplicatePolicy,
) -> npt.NDArray[np.int64]:
    """The text that each text is kept by, itself included; `place` is its place in the order of preference.

    In each component the most preferred text stands for those near enough to it, the next most preferred for
    what is left, and so on. Whole components would be chains: on documents written from one template, a
    quarter of the pairs that they joined were under the policy's similarity.
    """
    keepers = np.empty(len(component), np.int64)
    left = np.lexsort((place, component))
    while len(left):
        of = component[left]
        opens = np.append(True, of[1:] != of[:-1])
        lead = left[np.maximum.accumulate(np.where(opens, np.arange(len(left)), 0))]
        near = opens | (_similarity(signatures, lead, left) >= policy.similarity)
        keepers[left[near]] = lead[near]
        left = left[~near]
    return keepers


def _by_preference(documents: pa.Table) -> npt.NDArray[np.int64]:
    """The rows of a table sorted by doc_id, the most worth keeping first."""
    licenses = documents.column("license").fill_null(NOASSERTION)
    unlicensed = np.asarray(pc.equal(licenses, NOASSERTION))
    if "synthetic" in documents.column_names:
        synthetic = np.asarray(documents.column("synthetic").fill_null(False))
    else:
        synthetic = np.zeros(len(documents), bool)
    if "characters" in documents.column_names:
        length = np.asarray(documents.column("characters"))
    else:
        length = np.asarray(pc.utf8_length(documents.column("text")).fill_null(0))
    # lexsort's last key weighs most.
    return np.lexsort((np.arange(len(documents)), -length.astype(np.int64), synthetic, unlicensed))
