"""Quality of a text in [0, 1]: a linear bag-of-n-grams classifier of reference text against the rest.

The recipe of GPT-3's and Llama's data filters (Brown et al. 2020, appendix A; Touvron et al. 2023) on
fastText (Joulin et al. 2017), with Platt's scaling (1999) on a fold that the classifier has not seen.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.scorers.metrics import by_source

if TYPE_CHECKING:
    from fasttext.FastText import _FastText

METHOD = "fasttext-1"

TRAINING = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("label", pa.bool_(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
    ]
)

# One document a group, so that near duplicates neither straddle a split nor count twice; where a group
# holds both, the reference wins: a copy of reference text is no evidence against it.
_TRAINING_SQL = """
WITH candidates AS (
    SELECT doc_id, source, text,
        coalesce('cluster:' || cluster_id, 'content:' || md5(nfc_normalize(text))) AS "group",
        CASE
            WHEN verdict = 'kept' AND reference THEN 'reference'
            WHEN verdict = 'removed' AND list_contains($reasons, reason) THEN 'removed'
            WHEN NOT reference THEN 'raw'
        END AS origin
    FROM documents
    WHERE NOT synthetic AND regexp_matches(text, '\\S')
),
groups AS (
    SELECT *, origin = 'reference' AS label,
        CASE md5_number_lower('split' || "group") % 10
            WHEN 0 THEN 'held_out' WHEN 1 THEN 'held_out' WHEN 2 THEN 'calibration' ELSE 'train'
        END AS split
    FROM candidates
    WHERE origin IS NOT NULL
    QUALIFY row_number() OVER (
        PARTITION BY "group" ORDER BY list_position(['reference', 'removed', 'raw'], origin), doc_id
    ) = 1
),
ranked AS (
    SELECT *,
        row_number() OVER (PARTITION BY split, origin ORDER BY md5('rank' || "group")) AS rank,
        count(*) FILTER (label) OVER (PARTITION BY split) AS positives,
        count(*) FILTER (origin = 'removed') OVER (PARTITION BY split) AS removed,
        count(*) FILTER (origin = 'raw') OVER (PARTITION BY split) AS raw
    FROM groups
),
quotas AS (
    SELECT *, least(positives, removed + raw, $limit) AS quota,
        greatest(least(removed, (quota + 1) // 2), quota - raw) AS removed_quota
    FROM ranked
)
SELECT doc_id, source, text, "group", origin, label, split
FROM quotas
WHERE rank <= CASE origin
    WHEN 'reference' THEN quota WHEN 'removed' THEN removed_quota ELSE quota - removed_quota END
ORDER BY doc_id
"""


@dataclass(frozen=True)
class QualityParameters:
    """What fastText is trained with.

    Quantising is not among it: on 2,000 reviews it took four times as long as training and 3 points of
    accuracy to save 4 MB.
    """

    dimensions: int = 16
    word_ngrams: int = 2
    buckets: int = 20_000
    minimum_count: int = 3
    epochs: int = 10
    learning_rate: float = 0.5
    seed: int = 1


@dataclass(frozen=True)
class QualityModel:
    """A trained classifier: fastText's own bytes, the two numbers that make its margin a probability, and
    what it was trained with and on."""

    classifier: bytes = field(repr=False)
    slope: float
    intercept: float
    parameters: QualityParameters
    positives: int
    negatives: int
    calibrated_on: int

    @property
    def sha256(self) -> str:
        """The hash of everything the model is: equal training sets and parameters give equal hashes."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """One line of JSON, then fastText's bytes."""
        facts = {k: v for k, v in vars(self).items() if k != "classifier"}
        header = json.dumps(facts | {"method": METHOD, "parameters": asdict(self.parameters)}, sort_keys=True)
        return header.encode() + b"\n" + self.classifier

    @classmethod
    def from_bytes(cls, data: bytes) -> QualityModel:
        """The model that `to_bytes` wrote.

        Raises:
            ValueError: The bytes are not a quality model, or one of another method.
        """
        header, newline, classifier = data.partition(b"\n")
        try:
            facts = json.loads(header)
            method, parameters = facts.pop("method"), QualityParameters(**facts.pop("parameters"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError("these bytes are no quality model") from error
        if method != METHOD or not newline:
            raise ValueError(f"a quality model of method {method!r}, not {METHOD!r}")
        return cls(classifier=classifier, parameters=parameters, **facts)


def training_set(documents: pa.Table, quality_reasons: Collection[str], limit: int = 50_000) -> pa.Table:
    """The labelled examples that a quality model is trained and judged on: a TRAINING table, by doc_id.

    Positive (`label`): kept documents of reference sources. Negative: documents removed for a quality reason
    and, as raw text, any document of the other sources, half and half while both last. Classes are equal in
    each split; splits (train 70, calibration 10, held_out 20 in a hundred) go by the hash of the cluster or
    content. Synthetic documents are left out: the model would learn their generator.

    Args:
        documents: doc_id, source, text (redacted), reference (bool), verdict (kept, removed), reason,
            cluster_id (null outside a cluster), synthetic (bool).
        quality_reasons: The reasons that speak of quality. Being a duplicate, contaminated or opted out
            does not: such a document of a reference source is neither positive nor negative.
        limit: The most documents of a class in a split, chosen by hash: training reads ~2 MB/s.
    """
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("documents", documents)
        found = connection.execute(
            _TRAINING_SQL, {"reasons": sorted(quality_reasons), "limit": limit}
        ).to_arrow_table()
    return found.cast(TRAINING)


def train(training: pa.Table, parameters: QualityParameters | None = None) -> QualityModel:
    """A model from the train and calibration splits of a TRAINING table; equal input, equal bytes.

    Raises:
        ValueError: The train split lacks a class.
    """
    import fasttext

    parameters = parameters or QualityParameters()
    examples = training.filter(pc.field("split") == "train").sort_by("doc_id")
    positives = pc.sum(examples["label"]).as_py() or 0
    negatives = len(examples) - positives
    if not positives or not negatives:
        raise ValueError(f"a quality model needs both classes: {positives} positive, {negatives} negative")
    # Training visits the lines in order, and the classes must not come in runs.
    order = np.random.default_rng(parameters.seed).permutation(len(examples))
    lines = zip(examples["label"].to_pylist(), _lines(examples["text"]), strict=True)
    labelled = [f"__label__{'yes' if label else 'no'} {line}\n" for label, line in lines]
    with tempfile.TemporaryDirectory() as folder:
        corpus, model = Path(folder) / "corpus.txt", Path(folder) / "model.bin"
        corpus.write_text("".join(labelled[i] for i in order), encoding="utf-8")
        fasttext.train_supervised(
            input=str(corpus),
            dim=parameters.dimensions,
            wordNgrams=parameters.word_ngrams,
            bucket=parameters.buckets,
            minCount=parameters.minimum_count,
            epoch=parameters.epochs,
            lr=parameters.learning_rate,
            seed=parameters.seed,
            # Several threads on a small set raise "Encountered NaN", and no two runs would agree.
            thread=1,
            verbose=0,
        ).save_model(str(model))
        classifier = model.read_bytes()
    fold = training.filter(pc.field("split") == "calibration").sort_by("doc_id")
    slope, intercept = _platt(_margins(classifier, fold["text"]), fold["label"].to_numpy())
    return QualityModel(classifier, slope, intercept, parameters, positives, negatives, len(fold))


def evaluate(model: QualityModel, training: pa.Table) -> pa.Table:
    """A METRICS table over the held-out split of a TRAINING table, overall and by source."""
    held_out = training.filter(pc.field("split") == "held_out")
    return by_source(held_out["source"], score(model, held_out["text"]), held_out["label"].to_numpy())


def score(model: QualityModel, texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """The probability that each text is reference text where half of all text is: float32 in [0, 1]."""
    margins = _margins(model.classifier, texts)
    return (1 / (1 + np.exp(-(model.slope * margins + model.intercept)))).astype(np.float32)


def _margins(classifier: bytes, texts: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """fastText's log odds of the positive class."""
    labels, probabilities = _classifier(classifier).predict(_lines(texts), k=2)
    yes = [p[names.index("__label__yes")] for names, p in zip(labels, probabilities, strict=True)]
    # fastText adds 1e-5 to what it reports, so certainty can pass 1.
    clipped = np.clip(np.asarray(yes, dtype=float), 1e-5, 1 - 1e-5)
    return np.log(clipped / (1 - clipped))


@lru_cache(maxsize=2)
def _classifier(data: bytes) -> _FastText:
    import fasttext

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.bin"
        path.write_bytes(data)
        return fasttext.load_model(str(path))


def _lines(texts: pa.Array | pa.ChunkedArray) -> list[str]:
    """Each text as one line: lower case, single spaces, and none of fastText's own marks."""
    lines = pc.utf8_lower(texts)
    lines = pc.replace_substring_regex(lines, r"__label__|</s>", " ")
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(lines, r"\s+", " ")).to_pylist()


def _platt(margins: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Slope and intercept of a logistic curve from margin to label, with Platt's smoothed targets.

    Without both classes there is nothing to fit and the margin is taken at its word.
    """
    from scipy.optimize import minimize

    labels = np.asarray(labels, dtype=bool)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return 1.0, 0.0
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(curve: np.ndarray) -> float:
        logits = curve[0] * margins + curve[1]
        return float(np.sum(np.logaddexp(0, logits) - targets * logits))

    # A negative slope would turn the score round on a fold too small to say so.
    fitted = minimize(loss, x0=np.array([1.0, 0.0]), bounds=[(0, None), (None, None)], method="L-BFGS-B").x
    return float(fitted[0]), float(fitted[1])
