"""A first profile of bias: which groups of people a selection speaks of, and how toxic that text is.

The terms (identity_terms.tsv) come from two published lists, named line by line:

- `dixon2018`: the identity terms of Dixon, Li, Sorensen, Thain and Vasserman, "Measuring and Mitigating
  Unintended Bias in Text Classification", AIES 2018.
- `holisticbias2022`: descriptors and nouns of HolisticBias 1.1, Smith, Hall, Kambadur, Presani and Williams,
  "I'm sorry to hear that: Finding New Biases in Language Models with a Holistic Descriptor Dataset",
  EMNLP 2022; its axes are the axes here.

Words that mostly mean something else (black, old, straight) count only before a word for a person.
"""

from __future__ import annotations

import csv
import hashlib
import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assets.intervals import wilson
from assets.scorers.toxicity import TOXIC

TERMS = Path(__file__).parent / "identity_terms.tsv"
METHOD = "mentions-1"

PERSON = (
    "person|people|persons|individual|man|men|woman|women|lady|ladies|guy|boy|girl|kid|child|children|adult"
    "|male|female|father|mother|parent|son|daughter|husband|wife|brother|sister|couple|student|teenager"
    "|patient|worker|voter|veteran|american|folk|community|communities"
)

BIAS_PROFILE = pa.schema(
    [
        pa.field("axis", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("mentioning", pa.int64(), nullable=False),
        pa.field("share", pa.float64()),
        pa.field("share_low", pa.float64(), nullable=False),
        pa.field("share_high", pa.float64(), nullable=False),
        pa.field("toxic", pa.int64(), nullable=False),
        pa.field("toxic_rate", pa.float64()),
        pa.field("toxic_low", pa.float64(), nullable=False),
        pa.field("toxic_high", pa.float64(), nullable=False),
        pa.field("toxic_ratio", pa.float64()),
        pa.field("toxic_ratio_low", pa.float64()),
        pa.field("toxic_ratio_high", pa.float64()),
    ]
)


@lru_cache(maxsize=1)
def groups() -> dict[tuple[str, str], tuple[str, ...]]:
    """The terms of each axis and group, in the order of the list."""
    listed: dict[tuple[str, str], tuple[str, ...]] = {}
    with TERMS.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            group = (line["axis"], line["group"])
            listed[group] = (*listed.get(group, ()), line["term"])
    return listed


def version() -> str:
    """The method's version and the hash of the term list."""
    return f"{METHOD}-{hashlib.blake2b(TERMS.read_bytes(), digest_size=8).hexdigest()}"


def mentions(texts: pa.ChunkedArray, terms: tuple[str, ...]) -> np.ndarray:
    """Which texts hold one of the terms as whole words, whatever their case, or its regular plural: bool."""
    listed = re.sub("[ -]", r"[\\s-]+", "|".join(terms)).replace("<person>", f"(?:{PERSON})")
    found = pc.match_substring_regex(texts, rf"\b(?:{listed})s?\b", ignore_case=True)
    return found.to_numpy()


def profile(documents: pa.Table, threshold: float = TOXIC) -> pa.Table:
    """A BIAS_PROFILE table, a row for each axis and group in the order of the list.

    `share` is the share of all documents that mention the group, `toxic_rate` the share of those whose
    toxicity reaches the threshold, both with Wilson intervals; `toxic_ratio` is that rate over the rate of
    all documents, its bounds the Wilson bounds over the same, null where no document is toxic. A document
    counts for every group it mentions. English only, and counts see no context: a ratio above 1 is a
    reason to read those documents, no verdict on them.

    Args:
        documents: text (string), toxicity (float; null counts as not toxic), a row a document.
    """
    toxic = pc.fill_null(pc.greater_equal(documents["toxicity"], threshold), False).to_numpy()
    overall = wilson(int(toxic.sum()), len(toxic))
    rows = []
    for (axis, group), terms in groups().items():
        mentioned = mentions(documents["text"], terms)
        share = wilson(int(mentioned.sum()), len(mentioned))
        rate = wilson(int((mentioned & toxic).sum()), int(mentioned.sum()))
        row = {
            "axis": axis,
            "group": group,
            "documents": share.n,
            "mentioning": rate.n,
            "share": share.value if share.n else None,
            "share_low": share.low,
            "share_high": share.high,
            "toxic": int((mentioned & toxic).sum()),
            "toxic_rate": rate.value if rate.n else None,
            "toxic_low": rate.low,
            "toxic_high": rate.high,
        }
        if rate.n and overall.value > 0:
            row["toxic_ratio"] = rate.value / overall.value
            row["toxic_ratio_low"] = rate.low / overall.value
            row["toxic_ratio_high"] = rate.high / overall.value
        rows.append(row)
    return pa.Table.from_pylist(rows, BIAS_PROFILE)
