"""What a document is: the Arrow schemas that every stage reads and writes, and how ids are made."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa

KINDS = ("document", "instruction", "conversation", "preference", "feedback")
CONSENTS = ("granted", "not_required", "opted_out", "unknown")

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))

DOCUMENT = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("content_hash", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("messages", MESSAGES),
        pa.field("language", pa.string()),
        pa.field("url", pa.string()),
        pa.field("license", pa.string(), nullable=False),
        pa.field("collected_at", pa.date32()),
        pa.field("consent", pa.string(), nullable=False),
        pa.field("synthetic", pa.bool_(), nullable=False),
        pa.field("generator", pa.string()),
        pa.field("parents", pa.list_(pa.string())),
        pa.field("metadata", pa.string(), nullable=False),
    ]
)

QUARANTINE = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("position", pa.string(), nullable=False),
        pa.field("error", pa.string(), nullable=False),
        pa.field("prefix", pa.binary()),
    ]
)

INGESTION = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("rows_in", pa.int64(), nullable=False),
        pa.field("documents", pa.int64(), nullable=False),
        pa.field("quarantined", pa.int64(), nullable=False),
        pa.field("skipped", pa.int64(), nullable=False),
        pa.field("erased", pa.int64(), nullable=False),
    ]
)


def document_id(source: str, key: str) -> str:
    """A document's id: 128 bits of BLAKE2b over source and key, in hex.

    It names the row at its origin, so it stays the same while the row's text changes.
    """
    return hashlib.blake2b(f"{source}\x1f{key}".encode(), digest_size=16).hexdigest()


def content_hash(text: str) -> str:
    """128 bits of BLAKE2b over the NFC form of a text, in hex: equal texts, equal hash.

    Lone surrogates, which broken JSON can carry, are hashed as they stand instead of raising.
    """
    encoded = unicodedata.normalize("NFC", text).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()


TURN_BREAK = "\n\n"


def render(messages: Iterable[Mapping[str, str]]) -> str:
    """The canonical text of a conversation: one block a turn, `role: content`, a blank line between."""
    return TURN_BREAK.join(f"{turn['role']}: {turn['content'].strip()}" for turn in messages)


def turn_offsets(messages: Iterable[Mapping[str, str]]) -> Iterator[tuple[Mapping[str, str], int]]:
    """Each turn with the place, in code points, where its stripped content begins in what `render` gives."""
    position = 0
    for turn in messages:
        start = position + len(f"{turn['role']}: ")
        yield turn, start
        position = start + len(turn["content"].strip()) + len(TURN_BREAK)
