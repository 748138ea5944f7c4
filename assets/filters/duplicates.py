"""Exact and near duplicates over the whole corpus: equal texts by hash, similar ones by banded MinHash.

A text is read once. What is held of it is its band keys, which say whom to compare it with, and a sketch,
which says how similar they are: at most 2 kB and 112 bytes by default, whatever the text's length.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from assets import engine
from assets.filters.folding import fold, word_hashes

NOASSERTION = "NOASSERTION"
ROWS_AT_ONCE = 4096

# What makes a document worth keeping, the most telling first; a column that isn't there tells nothing.
PREFERENCE = ("releasable", "license", "synthetic", "quality", "characters", "collected_at")

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

BASE = np.uint64(0x9E3779B97F4A7C15)
MIX = np.uint64(0xD6E8FEB86659FD93)
HALF = np.uint64(32)


@dataclass(frozen=True)
class NearDuplicatePolicy:
    """When two texts are near duplicates, and how such pairs are looked for.

    Candidates share a band of their MinHash signatures (Broder 1997): a pair of Jaccard similarity s does
    with probability 1 - (1 - s^rows)^bands. A candidate is near from `similarity` on, which is measured on
    the `sketch` smallest n-gram hashes of both texts together (Cohen and Kaplan 2007): exact where they have
    no more n-grams than that, otherwise with a standard error of sqrt(s (1 - s) / sketch).

    Attributes:
        similarity: Jaccard similarity of the sets of word n-grams.
        ngram: Words in an n-gram.
        bands: Bands of a signature.
        rows: MinHash values in a band.
        sketch: N-gram hashes held of a text, 4 bytes each.
        seed: Which hash functions are drawn.
    """

    similarity: float = 0.7
    ngram: int = 5
    bands: int = 14
    rows: int = 8
    sketch: int = 512
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.similarity <= 1:
            raise ValueError(f"a similarity of {self.similarity} is not in (0, 1]")
        if min(self.ngram, self.bands, self.rows, self.sketch) < 1:
            raise ValueError("ngram, bands, rows and sketch are at least 1")


@dataclass(frozen=True)
class Digests:
    """What is held of some documents after their text was read.

    Attributes:
        facts: The columns of the documents but the text, with its length in code points as `characters`.
        bands: A 64-bit key of each band, shape (documents, bands).
        sketches: The smallest distinct n-gram hashes of each document, ascending, one after the other.
        bounds: Where each document's sketch starts, and where the last one ends; an empty one belongs to a
            text shorter than an n-gram, which is compared exactly only.
    """

    facts: pa.Table
    bands: npt.NDArray[np.uint64]
    sketches: npt.NDArray[np.uint32]
    bounds: npt.NDArray[np.int64]

    def packed(self) -> pa.Table:
        """The bands and sketches as columns, a row a document."""
        bands = pa.FixedSizeListArray.from_arrays(pa.array(self.bands.ravel()), self.bands.shape[1])
        sketches = pa.LargeListArray.from_arrays(pa.array(self.bounds), pa.array(self.sketches))
        return pa.table({"bands": bands, "sketch": sketches})

    @classmethod
    def unpacked(cls, facts: pa.Table, packed: pa.Table) -> Digests:
        """What `packed` made columns of, with the facts beside it; zero copies but for chunks."""
        bands = packed["bands"].combine_chunks()
        sketches = packed["sketch"].combine_chunks()
        lengths = np.asarray(pc.list_value_length(sketches))
        return cls(
            facts,
            np.asarray(bands.flatten()).reshape(len(bands), bands.type.list_size),
            np.asarray(sketches.flatten()),
            np.concatenate([[0], np.cumsum(lengths)]),
        )


def find_duplicates(
    documents: pa.Table | Iterable[pa.Table], policy: NearDuplicatePolicy | None = None
) -> pa.Table:
    """Every document that has a duplicate, with its cluster, its keeper and how it relates to that (SCHEMA).

    Two things are told apart. A *cluster* is a connected component: whoever is joined by a chain of equal or
    near texts, `cluster_id` being the smallest id among them. It says what belongs together, as when data
    are split. What may be *removed* is decided by the keeper, and a keeper stands only for texts that are
    near itself: `similarity` is that to the keeper, at least the policy's. A long cluster so has several
    keepers, `is_keeper`, each with itself as `keeper_id`. To remove whole clusters but for one would remove
    texts that are near nothing left: of the pairs that clusters of HTML fragments join, 13 % are not near
    each other (docs/measured/duplicates.json).

    In a cluster the document most worth keeping (PREFERENCE: it may be released, its licence is known, it
    isn't synthetic, it has the higher quality, it is longer, it was collected earlier, its id is smaller)
    stands for all near it, the next one for what is left, and so on.

    Neither the order of rows nor how they are cut into tables matters. Sorted by doc_id.

    Args:
        documents: Columns doc_id, source, text, content_hash and license; those of PREFERENCE are used
            where they are present. Tables are read once, and no text is held after its table.

    Raises:
        ValueError: Two rows carry one doc_id.
    """
    policy = policy or NearDuplicatePolicy()
    return cluster((digest(table, policy) for table in _tables(documents)), policy)


def digest(documents: pa.Table, policy: NearDuplicatePolicy) -> Digests:
    """What `cluster` needs to know of documents; columns as for `find_duplicates`."""
    texts = documents.column("text").cast(pa.large_string()).combine_chunks()
    facts = documents.drop_columns("text")
    if "characters" not in facts.column_names:
        facts = facts.append_column("characters", pc.utf8_length(texts).cast(pa.int64()))
    folded = fold(texts, digits=False)
    sketches, bounds = _sketch(*word_hashes(folded), policy.ngram, policy.sketch)
    signed = np.flatnonzero(np.diff(bounds))
    bands = np.zeros((len(documents), policy.bands), np.uint64)
    if len(signed):
        signatures = engine.minhash(
            folded.take(pa.array(signed)),
            hashes=policy.bands * policy.rows,
            ngram=policy.ngram,
            seed=policy.seed,
        )
        values = np.asarray(signatures.flatten()).reshape(len(signed), policy.bands, policy.rows)
        bands[signed] = _band_keys(values)
    return Digests(facts, bands, sketches, bounds)


def cluster(digests: Iterable[Digests], policy: NearDuplicatePolicy) -> pa.Table:
    """The duplicates among digested documents: see `find_duplicates`."""
    digests = list(digests)
    if not digests:
        return SCHEMA.empty_table()
    documents = pa.concat_tables([part.facts for part in digests], promote_options="default")
    order = np.asarray(pc.sort_indices(documents["doc_id"]))
    documents = documents.take(pa.array(order)).combine_chunks()
    ids = documents["doc_id"]
    if len(pc.unique(ids)) < len(ids):
        repeated = next(one for one, other in itertools.pairwise(ids.to_pylist()) if one == other)
        raise ValueError(f"doc_id {repeated} stands in more than one row")

    # From here on a text is a number, whatever documents have it: the place of its first among the hashes.
    codes = np.asarray(documents["content_hash"].combine_chunks().dictionary_encode().indices)
    _, first, text_of = np.unique(codes, return_index=True, return_inverse=True)
    bands = np.concatenate([part.bands for part in digests])[order[first]]
    sketches = _Sketches.of(digests, order[first], policy.sketch)
    left, right, _ = near_pairs(bands, sketches, policy)
    edges = coo_array((np.ones(len(left), bool), (left, right)), shape=(len(first), len(first)))
    _, component = connected_components(edges, directed=False)

    preference = _by_preference(documents)
    _, place = np.unique(text_of[preference], return_index=True)
    keeper_text, similarity = _claim(
        np.lexsort((place, component)), component, *sketches.arrays(), policy.similarity
    )
    _, smallest, cluster_of, sizes = np.unique(
        component[text_of], return_index=True, return_inverse=True, return_counts=True
    )
    members = np.flatnonzero(sizes[cluster_of] > 1)
    text = text_of[members]
    keeper = preference[place][keeper_text[text]]
    columns = [
        ids.take(pa.array(members)),
        documents["source"].take(pa.array(members)),
        ids.take(pa.array(smallest[cluster_of[members]])),
        pa.array(np.where(text == keeper_text[text], "exact", "near"), pa.string()),
        ids.take(pa.array(keeper)),
        pa.array(similarity[text]),
        pa.array(members == keeper),
    ]
    return pa.table(columns, schema=SCHEMA)


@dataclass(frozen=True)
class _Sketches:
    """The sketches of texts: text i has hashes[starts[i]:stops[i]]; `size` is the most that one has."""

    hashes: npt.NDArray[np.uint32]
    starts: npt.NDArray[np.int64]
    stops: npt.NDArray[np.int64]
    size: int

    @classmethod
    def of(cls, digests: list[Digests], rows: npt.NDArray[np.int64], size: int) -> _Sketches:
        """The sketches of some rows of digests that follow one another."""
        lengths = np.concatenate([np.diff(part.bounds) for part in digests])
        stops = np.cumsum(lengths)
        hashes = np.concatenate([part.sketches for part in digests])
        return cls(hashes, (stops - lengths)[rows], stops[rows], size)

    def arrays(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
        return self.hashes, self.starts, self.stops, self.size


def near_pairs(
    bands: npt.NDArray[np.uint64], sketches: _Sketches, policy: NearDuplicatePolicy
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The pairs of texts that share a band and are similar enough, each once, and their similarity.

    In a bucket every text is paired with the first and with the one before it, never with all: a bucket of
    boilerplate stays linear, and the components of the graph are the same wherever the bucket is of one kind.
    """
    texts = len(bands)
    signed = np.flatnonzero(sketches.stops > sketches.starts)
    found = []
    for band in bands.T:
        keys = band[signed]
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
    similarity = _similarities(left, right, *sketches.arrays())
    near = similarity >= policy.similarity
    return left[near], right[near], similarity[near]


def _tables(documents: pa.Table | Iterable[pa.Table]) -> Iterator[pa.Table]:
    for table in [documents] if isinstance(documents, pa.Table) else documents:
        for start in range(0, max(len(table), 1), ROWS_AT_ONCE):
            yield table.slice(start, ROWS_AT_ONCE)


def _band_keys(values: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    """One 64-bit key for each band of each signature: shape (texts, bands, rows) to (texts, bands)."""
    keys = np.zeros(values.shape[:2], np.uint64)
    for row in range(values.shape[2]):
        keys = (keys ^ values[:, :, row]) * MIX
        keys ^= keys >> HALF
    return keys


def _by_preference(documents: pa.Table) -> npt.NDArray[np.int64]:
    """The rows of a table sorted by doc_id, the most worth keeping first."""
    worth = [-_worth(documents, name) for name in PREFERENCE if name in documents.column_names]
    # lexsort is stable and its last key weighs most.
    return np.lexsort((np.arange(len(documents)), *reversed(worth)))


def _worth(documents: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """How much a column speaks for keeping each document; what isn't known speaks against it."""
    column = documents[name]
    if name == "license":
        column = pc.not_equal(column.fill_null(NOASSERTION), NOASSERTION)
    elif name == "synthetic":
        column = pc.invert(column.fill_null(False))
    elif name == "collected_at":
        column = pc.negate(column.cast(pa.date32()).cast(pa.int32()))
    return np.nan_to_num(np.asarray(column.cast(pa.float64()).fill_null(np.nan)), nan=-np.inf)


@njit(nogil=True, cache=True)
def _sketch(words, bounds, ngram, size):  # type: ignore[no-untyped-def]
    """The `size` smallest distinct n-gram hashes of each document, ascending, and where each one's start."""
    documents = len(bounds) - 1
    longest = held = 0
    for document in range(documents):
        grams = max(bounds[document + 1] - bounds[document] - ngram + 1, 0)
        longest = max(longest, grams)
        held += min(grams, size)
    hashes = np.empty(longest, np.uint32)
    sketches = np.empty(held, np.uint32)
    starts = np.zeros(documents + 1, np.int64)
    end = 0
    for document in range(documents):
        begin = bounds[document]
        grams = max(bounds[document + 1] - begin - ngram + 1, 0)
        for gram in range(grams):
            value = np.uint64(0)
            for word in range(begin + gram, begin + gram + ngram):
                value = value * BASE + words[word]
            hashes[gram] = (value ^ value >> HALF) * MIX >> HALF
        start = end
        for value in np.sort(hashes[:grams]):
            if end - start == size:
                break
            if end == start or sketches[end - 1] != value:
                sketches[end] = value
                end += 1
        starts[document + 1] = end
    return sketches[:end].copy(), starts


@njit(nogil=True, cache=True)
def _similarity(hashes, one, one_stop, other, other_stop, size):  # type: ignore[no-untyped-def]
    """The share of the `size` smallest hashes of two sketches together that both have."""
    shared = union = 0
    while union < size and one < one_stop and other < other_stop:
        difference = np.int64(hashes[one]) - np.int64(hashes[other])
        one += difference <= 0
        other += difference >= 0
        shared += difference == 0
        union += 1
    union = min(size, union + one_stop - one + other_stop - other)
    return shared / union if union else 0.0


@njit(nogil=True, cache=True)
def _similarities(left, right, hashes, starts, stops, size):  # type: ignore[no-untyped-def]
    similarity = np.empty(len(left))
    for pair in range(len(left)):
        one, other = left[pair], right[pair]
        similarity[pair] = _similarity(hashes, starts[one], stops[one], starts[other], stops[other], size)
    return similarity


@njit(nogil=True, cache=True)
def _claim(order, component, hashes, starts, stops, size, limit):  # type: ignore[no-untyped-def]
    """The text that each text is kept by, itself included, and how similar it is to that one.

    `order` has the texts by component and, within one, the most worth keeping first. The cost is keepers ×
    members of a component.
    """
    keepers = np.full(len(order), -1, np.int64)
    similarity = np.ones(len(order))
    for place in range(len(order)):
        keeper = order[place]
        if keepers[keeper] >= 0:
            continue
        keepers[keeper] = keeper
        later = place + 1
        while later < len(order) and component[order[later]] == component[keeper]:
            text = order[later]
            later += 1
            if keepers[text] >= 0:
                continue
            alike = _similarity(hashes, starts[keeper], stops[keeper], starts[text], stops[text], size)
            if alike >= limit:
                keepers[text] = keeper
                similarity[text] = alike
    return keepers, similarity
