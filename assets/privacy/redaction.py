"""Text without the personal data found in it: each value gives way to what its entity's action puts there."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import pyarrow as pa

from assets.documents import MESSAGES, render, turn_offsets
from assets.privacy.actions import replacement
from assets.privacy.findings import PiiError, PiiPolicy, find_pii
from assets.privacy.hits import blot
from assets.privacy.keys import PiiKey
from assets.privacy.recognizers import ENTITIES

REDACTED = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("messages", MESSAGES),
        pa.field("n_findings", pa.int64(), nullable=False),
        pa.field("n_to_drop", pa.int64(), nullable=False),
    ]
)
"""One row a document, with or without findings; `content_hash` is the original text's. `n_findings` counts
the spans that were replaced, `n_to_drop` those of them that ask for the document to be removed."""

PLACEHOLDER = re.compile(r"<[A-Z][A-Z_]*(?::[0-9a-f]{12})?>")


@dataclass(frozen=True)
class Span:
    """A stretch of text [start, end), in code points, that something stands in for; `seed` is the keyed hash
    of the value that gave it its entity."""

    start: int
    end: int
    entity: str
    seed: str = field(default="", compare=False)


def redact(
    documents: pa.Table, findings: pa.Table, actions: Mapping[str, str] = MappingProxyType({})
) -> pa.Table:
    """`documents` (doc_id, source, content_hash, text, messages) without the values found, as `REDACTED`.

    Turns are redacted by the same spans as the text, which is their rendering.

    Args:
        findings: Of these documents, as `FINDING`.
        actions: What is done with each entity (ACTIONS); a placeholder where it isn't named.

    Raises:
        PiiError: A finding names no document among them or lies outside its document's text, or a document
            with turns has a text that isn't their rendering.
    """
    by_document = defaultdict(list)
    columns = ["doc_id", "entity", "start", "end", "score", "value_hmac"]
    for finding in findings.select(columns).to_pylist():
        by_document[finding["doc_id"]].append(finding)
    texts, messages, counts, to_drop = [], [], [], []
    for document in documents.select(["doc_id", "source", "text", "messages"]).to_pylist():
        text, found = document["text"], by_document.pop(document["doc_id"], [])
        name = f"{document['source']}: document {document['doc_id']}"
        if any(not 0 <= finding["start"] < finding["end"] <= len(text) for finding in found):
            raise PiiError(f"{name}: a finding lies outside its text")
        if document["messages"] is not None and render(document["messages"]) != text:
            raise PiiError(f"{name}: its text is not the rendering of its turns")
        spans = resolve(each for each in found if actions.get(each["entity"]) != "keep")
        texts.append(_replace(text, spans, actions))
        messages.append(_redact_turns(document["messages"], spans, actions))
        counts.append(len(spans))
        to_drop.append(sum(actions.get(span.entity) == "drop" for span in spans))
    if by_document:
        raise PiiError(f"findings for {len(by_document)} unknown documents, the first {min(by_document)}")
    identity = documents.select(["doc_id", "source", "content_hash"]).columns
    return pa.table(
        dict(zip(REDACTED.names, [*identity, texts, messages, counts, to_drop], strict=True)), schema=REDACTED
    )


def resolve(findings: Iterable[Mapping]) -> list[Span]:
    """One document's findings (entity, start, end, score, value_hmac) as spans apart from each other, in order.

    Findings that overlap become one span over all of them, so that no end of a value stays behind; its
    entity is that of the highest score, then the longest, then the earliest, then the first by name.
    Findings that only touch stay two.
    """
    groups: list[list[Mapping]] = []
    end = 0
    for finding in sorted(findings, key=lambda f: (f["start"], f["end"])):
        if not groups or finding["start"] >= end:
            groups.append([])
        groups[-1].append(finding)
        end = max(end, finding["end"])
    return [_merge(group) for group in groups]


def residual(redacted: pa.Table, key: PiiKey, actions: Mapping[str, str] = MappingProxyType({})) -> pa.Table:
    """What is still found in redacted text (doc_id, source, text), as findings; no row when all is well.

    What is kept on purpose is not looked for, and neither are names: a model may find one more in any text that
    changed, for it goes by what stands around. Placeholders are blotted out first: their names are words that
    would raise the score of a number that follows them.
    """
    blotted = [
        blot(text, [match.span() for match in PLACEHOLDER.finditer(text)])
        for text in redacted.column("text").to_pylist()
    ]
    documents = redacted.select(["doc_id", "source"])
    documents = documents.append_column("text", pa.array(blotted, pa.string()))
    entities = tuple(entity for entity in ENTITIES if actions.get(entity) != "keep")
    documents = documents.append_column("language", pa.nulls(len(blotted), pa.string()))
    return find_pii(documents, key, PiiPolicy(entities))


def _merge(findings: list[Mapping]) -> Span:
    first = min(findings, key=lambda f: (-f["score"], f["start"] - f["end"], f["start"], f["entity"]))
    start, end = min(f["start"] for f in findings), max(f["end"] for f in findings)
    return Span(start, end, first["entity"], first.get("value_hmac", ""))


def _redact_turns(
    messages: list[dict[str, str]] | None, spans: list[Span], actions: Mapping[str, str]
) -> list[dict[str, str]] | None:
    """The turns of a conversation, each span applied to the turn that it lies in.

    A span over the end of a turn loses a part to each of the two, so that no half of a value stays behind.
    """
    if messages is None:
        return None
    redacted = []
    for message, start in turn_offsets(messages):
        content = message["content"].strip()
        end = start + len(content)
        inside = [
            Span(max(span.start, start) - start, min(span.end, end) - start, span.entity, span.seed)
            for span in spans
            if span.start < end and span.end > start
        ]
        redacted.append({"role": message["role"], "content": _replace(content, inside, actions)})
    return redacted


def _replace(text: str, spans: list[Span], actions: Mapping[str, str]) -> str:
    pieces, position = [], 0
    for span in spans:
        action = actions.get(span.entity, "placeholder")
        put = replacement(span.entity, text[span.start : span.end], span.seed, action)
        pieces += [text[position : span.start], put]
        position = span.end
    return "".join([*pieces, text[position:]])
