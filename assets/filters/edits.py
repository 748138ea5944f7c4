"""What an editor takes out of a text, line by line: the C4 and RefinedWeb line rules, and a record of each edit.

Signals count what these rules would do (groups `c4` and `refinedweb`) with the same code; this does it. A
measured document is never edited by itself: a profile has to ask for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from assets.filters import characters, phrases
from assets.filters.buffers import from_text_buffers, text_buffers
from assets.filters.kernels import LineRule
from assets.filters.kernels import edit as edit_buffers

C4_LINE_RULES = (
    LineRule.CITATION,
    LineRule.C4_LONG_WORD,
    LineRule.C4_UNTERMINATED,
    LineRule.C4_FEW_WORDS,
    LineRule.C4_JAVASCRIPT,
    LineRule.C4_POLICY,
)
# FineWeb runs C4's editor without the rule that a line has to end a sentence.
FINEWEB_LINE_RULES = tuple(rule for rule in C4_LINE_RULES if rule is not LineRule.C4_UNTERMINATED)
REFINEDWEB_LINE_RULES = (
    LineRule.REFINEDWEB_UPPERCASE,
    LineRule.REFINEDWEB_NUMERIC,
    LineRule.REFINEDWEB_COUNTER,
    LineRule.REFINEDWEB_ONE_WORD,
    LineRule.REFINEDWEB_PHRASE,
)

# The profiles that ask for an edit, and by which rules; the default profiles judge texts as they are.
EDITED_PROFILES: Mapping[str, tuple[LineRule, ...]] = MappingProxyType({})

RECORD = pa.list_(
    pa.field(
        "edit",
        pa.struct(
            [
                pa.field("line", pa.int32(), nullable=False),
                pa.field("rule", pa.string(), nullable=False),
                pa.field("characters", pa.int32(), nullable=False),
            ]
        ),
        nullable=False,
    )
)


def edit(
    texts: pa.Array | pa.ChunkedArray, rules: Collection[LineRule]
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """The texts without the lines that a rule removes or the parts it cuts out, and a record of each edit.

    A rule that removes takes the whole line with its break; CITATION cuts citation markers and
    REFINEDWEB_PHRASE phrases out of a line, and the white space a cut leaves at the line's end goes too, or the
    line where nothing else is left. A line has at most one removal or phrase cut, by the first rule that
    holds, beside its citations. Blank lines and all that no rule names stay byte for byte.

    Args:
        texts: Any Arrow strings; a null stays null and has no edits.
        rules: Which rules to apply; their order is that of LineRule.

    Returns:
        The texts (large_string), and of each a list (RECORD) of line (from 1, blank ones counted, as
        `str.splitlines` has them), rule (its name in lower case), and characters taken from the line.

    Raises:
        pyarrow.ArrowInvalid: A text isn't UTF-8.
    """
    wanted = sum(1 << rule for rule in set(rules))
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]
    edited = [_edit(chunk, wanted) for chunk in chunks]
    return (
        pa.chunked_array([text for text, _ in edited], pa.large_string()),
        pa.chunked_array([record for _, record in edited], RECORD),
    )


def _edit(texts: pa.Array, rules: int) -> tuple[pa.Array, pa.Array]:
    data, offsets = text_buffers(texts)
    left, bounds, edit_bounds, edits = edit_buffers(
        data, offsets, characters.flags(), phrases.automaton(), rules
    )
    text = from_text_buffers(left, bounds)
    if texts.null_count:
        text = pc.if_else(texts.is_null(), pa.scalar(None, pa.large_string()), text)
    return text, _record(edit_bounds, edits)


def _record(bounds: npt.NDArray[np.int64], edits: npt.NDArray[np.int32]) -> pa.Array:
    names = pa.array([rule.name.lower() for rule in LineRule])
    columns = [pa.array(edits[:, 0]), names.take(pa.array(edits[:, 1])), pa.array(edits[:, 2])]
    values = pa.StructArray.from_arrays(columns, fields=list(RECORD.value_type))
    return pa.ListArray.from_arrays(pa.array(bounds, pa.int32()), values, type=RECORD)
