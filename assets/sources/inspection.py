"""The inspection sample: look at the data before deciding anything about it."""

from __future__ import annotations

import hashlib
from collections import defaultdict

import pyarrow as pa
import pyarrow.compute as pc

SAMPLE_SIZE = 24
SEED = 7

# Upper bounds of the length bands, in code points.
SHORT, MEDIUM = 500, 5_000

INSPECTED = ("doc_id", "source", "kind", "language", "length", "characters", "license", "text")


def inspection_sample(documents: pa.Table, size: int = SAMPLE_SIZE, seed: int = SEED) -> pa.Table:
    """A sample of `size` documents spread evenly over the strata source × kind × language × length.

    Within a stratum the order is that of a seeded hash of the id, so the same documents are drawn on every
    machine, and one document more or less changes little. Strata give in turn, one document a round.
    Gives the documents' own columns, with `length` (short, medium, long) and `characters`.
    """
    characters = pc.utf8_length(documents["text"])
    rows = zip(
        documents["doc_id"].to_pylist(),
        documents["source"].to_pylist(),
        documents["kind"].to_pylist(),
        documents["language"].to_pylist(),
        characters.to_pylist(),
        strict=True,
    )
    strata: dict[tuple[str, ...], list[tuple[bytes, int]]] = defaultdict(list)
    lengths = []
    for index, (doc_id, source, kind, language, count) in enumerate(rows):
        length = "short" if count <= SHORT else "medium" if count <= MEDIUM else "long"
        lengths.append(length)
        order = hashlib.blake2b(f"{seed}{doc_id}".encode(), digest_size=8).digest()
        strata[source, kind, language or "", length].append((order, index))
    queues = [sorted(strata[stratum]) for stratum in sorted(strata)]
    drawn: list[int] = []
    for round_ in range(max(map(len, queues), default=0)):
        drawn += [queue[round_][1] for queue in queues if round_ < len(queue)]
    chosen = pa.array(drawn[:size], pa.int64())
    table = documents.append_column("characters", characters)
    return table.append_column("length", pa.array(lengths, pa.string())).take(chosen)
