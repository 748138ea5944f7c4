"""The scores of a document, a column a scorer: to add one, write its file and name it in SCORERS."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from assets.scorers import quality, toxicity
from assets.scorers.quality import QualityModel

Texts: TypeAlias = pa.Array | pa.ChunkedArray


@dataclass(frozen=True)
class Scorer:
    """A column of scores: n texts to float32 in [0, 1], and the version that says which old scores stand.

    A trained scorer is handed its model's bytes, the others none.
    """

    name: str
    trained: bool
    version: Callable[[bytes], str]
    score: Callable[[Texts, bytes], np.ndarray]


SCORERS = (
    Scorer(
        "quality",
        trained=True,
        version=lambda model: f"{quality.METHOD}-{QualityModel.from_bytes(model).sha256[:16]}",
        score=lambda texts, model: quality.score(QualityModel.from_bytes(model), texts),
    ),
    Scorer(
        "toxicity",
        trained=False,
        version=lambda _: toxicity.version(),
        score=lambda texts, _: toxicity.score(texts),
    ),
)

SCORES = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        *(pa.field(scorer.name, pa.float32(), nullable=scorer.trained) for scorer in SCORERS),
        pa.field("scorer_versions", pa.string(), nullable=False),
    ]
)


def versions(models: Mapping[str, bytes]) -> str:
    """Each scorer's version as a JSON object, sorted by name; null for a trained scorer without a model.

    Raises:
        ValueError: A model is named after no trained scorer.
    """
    unknown = sorted(set(models) - {scorer.name for scorer in SCORERS if scorer.trained})
    if unknown:
        raise ValueError(f"no trained scorer is called {', '.join(unknown)}")
    known = {s.name: s.version(models.get(s.name, b"")) for s in SCORERS if _ready(s, models)}
    return json.dumps({scorer.name: known.get(scorer.name) for scorer in SCORERS}, sort_keys=True)


def score(documents: pa.Table, models: Mapping[str, bytes]) -> pa.Table:
    """A SCORES table, a row a document in order; a trained scorer without a model leaves its column null.

    Args:
        documents: doc_id, source, text (redacted).
        models: A trained scorer's name to its model's bytes.
    """
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        "doc_id": documents["doc_id"],
        "source": documents["source"],
    }
    for scorer in SCORERS:
        if _ready(scorer, models):
            columns[scorer.name] = pa.array(scorer.score(documents["text"], models.get(scorer.name, b"")))
        else:
            columns[scorer.name] = pa.nulls(len(documents), pa.float32())
    columns["scorer_versions"] = pa.repeat(versions(models), len(documents))
    return pa.table(columns, schema=SCORES)


def _ready(scorer: Scorer, models: Mapping[str, bytes]) -> bool:
    return not scorer.trained or scorer.name in models
