"""What an editor takes out of a text, line by line: the C4 and RefinedWeb line rules, and a record of each edit.

Signals count what these rules would do (groups `c4` and `refinedweb`) with the same code; this does it. A
document is edited only where its profile asks for an editor, in the section `editors` of policies.yaml; the
rules judge the text as it came.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from assets.filters import characters, phrases
from assets.filters.buffers import from_text_buffers, text_buffers
from assets.filters.kernels import LineRule
from assets.filters.kernels import edit as edit_buffers
from assets.filters.policies import POLICIES, load_section

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

EDITORS: Mapping[str, tuple[LineRule, ...]] = MappingProxyType(
    {"c4": C4_LINE_RULES, "fineweb": FINEWEB_LINE_RULES, "refinedweb": REFINEDWEB_LINE_RULES}
)
# FineWeb's editor once more, as datatrove has it to the last character; what it removes is counted by the
# signals of profile parity and not recorded line by line.
DATATROVE = "datatrove"

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

EDITS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("editor", pa.string(), nullable=False),
        *RECORD.value_type,
    ]
)
"""An edit a row: number of the line from 1, the rule that changed it, and how many characters it took."""


def editor_of(profile: str, path: Path = POLICIES) -> str | None:
    """The editor that a profile asks for; None for most.

    Raises:
        ValueError: The section `editors` names an editor that there is not.
    """
    editors = load_section("editors", path)
    for name, editor in editors.items():
        if editor not in (*EDITORS, DATATROVE):
            known = ", ".join((*EDITORS, DATATROVE))
            raise ValueError(f"{path.name}, editors: {name} asks for {editor!r}; there are {known}")
    return editors.get(profile)


def edit_by(
    editor: str, texts: pa.Array | pa.ChunkedArray
) -> tuple[pa.Array | pa.ChunkedArray, pa.Array | pa.ChunkedArray]:
    """The texts as an editor leaves them, and a record of each edit; see `edit`."""
    if editor == DATATROVE:
        from assets.filters import parity

        return parity.edited(texts), pa.array([[]] * len(texts), RECORD)
    return edit(texts, EDITORS[editor])


def edit_documents(documents: pa.Table, editor: str | None) -> tuple[pa.Table, pa.Table]:
    """Documents (doc_id, source, text, messages) with the lines gone that an editor removes, and each edit as
    `EDITS`. A document of turns is left as it is: its lines are not a page's.
    """
    if editor is None or not documents.num_rows:
        return documents, EDITS.empty_table()
    edited, records = edit_by(editor, documents["text"])
    of_turns = documents["messages"].is_valid()
    text = pc.if_else(of_turns, documents["text"], edited.cast(pa.string()))
    at = documents.column_names.index("text")
    counts = pc.if_else(of_turns, 0, pc.list_value_length(records))
    row = pa.array(np.repeat(np.arange(documents.num_rows), counts.to_numpy()))
    made = pc.list_flatten(pc.if_else(of_turns, pa.scalar([], RECORD), records))
    edits = documents.select(["doc_id", "source"]).take(row)
    edits = edits.append_column("editor", pa.repeat(editor, len(row)))
    for field in RECORD.value_type:
        edits = edits.append_column(field.name, pc.struct_field(made, field.name))
    return documents.set_column(at, documents.schema.field("text"), text), edits.cast(EDITS)


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
