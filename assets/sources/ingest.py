"""Ingestion: a source's rows become documents in batches, what can't is quarantined, and all is counted."""

from __future__ import annotations

import base64
import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from assets.documents import DOCUMENT, INGESTION, QUARANTINE, content_hash, document_id, render
from assets.engine import is_remote
from assets.sources.digests import digest
from assets.sources.files import find_files
from assets.sources.readers import READERS, Generator, Reader
from assets.sources.registry import NOASSERTION, Source, spdx
from assets.sources.rows import PREFIX_BYTES, Read, Rejected, Row, Skipped, SourceError

Document = dict[str, object]

# What an entry says that no document holds: changing it calls for no reading.
POLICY = ["cron", "independent", "owner", "profile", "reference", "releasable", "weight"]

BATCH_ROWS = 10_000
BATCH_BYTES = 64 << 20


class Erased(Protocol):
    """What was erased and may not be read again."""

    def holds(self, document: Document) -> bool:
        """Whether a document is among it."""

    def speaks(self, text: str) -> bool:
        """Whether something in a text is."""


def ingest(source: Source, root: Path, erased: Erased | None = None) -> Ingestion:
    """A source's documents, to be iterated once; `root` is the folder that its local paths start from."""
    return Ingestion(source, root, erased)


def fingerprint(source: Source, root: Path) -> str:
    """A digest of what a source would read, without reading it: equal digests, nothing to ingest anew.

    It covers the settings that shape documents and, for files, names and sizes; on this machine
    modification times too. An object replaced by another of the same size in a store goes unseen.

    Raises:
        SourceError: As for ingesting.
    """
    reader = _reader(source)
    settings = str(source.facts().drop_columns(POLICY).to_pylist())
    if isinstance(reader, Generator):
        return digest(settings, reader.fingerprint(source))
    files = []
    for found in find_files(source, root, reader.suffixes):
        path = found.file.path
        changed = None if is_remote(path) else Path(path).lstat().st_mtime_ns
        files.append((found.file.name, found.file.size, changed))
    return digest(settings, files)


class Ingestion:
    """One pass over a source: tables of schema DOCUMENT of at most 10,000 rows or about 64 MB of text each.

    After the last table, `quarantine` (schema QUARANTINE) holds every row that could not become a
    document, and `files` (schema INGESTION) counts rows file by file; each row read is in exactly one of
    documents and quarantine, or was erased once and is only counted. Keys seen are held in memory, some 200
    bytes a row.

    Raises:
        SourceError: From iterating, when the source as a whole can't be read as its entry says.
    """

    def __init__(self, source: Source, root: Path, erased: Erased | None = None) -> None:
        self.source = source
        self.root = root
        self._erased = erased
        self._reader = _reader(source)
        self._rows_in: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._held_back: Counter[str] = Counter()
        self._quarantine: list[dict[str, object]] = []
        self._files: list[dict[str, object]] = []
        self._started = self._finished = False

    @property
    def quarantine(self) -> pa.Table:
        """The rows that could not become documents."""
        self._require_finished()
        return pa.Table.from_pylist(self._quarantine, schema=QUARANTINE)

    @property
    def files(self) -> pa.Table:
        """One row a file: rows in, documents, quarantined, skipped, erased."""
        self._require_finished()
        return pa.Table.from_pylist(self._files, schema=INGESTION)

    def __iter__(self) -> Iterator[pa.Table]:
        if self._started:
            raise RuntimeError(
                f"source {self.source.name!r} has been ingested already; start another ingestion"
            )
        self._started = True
        batch: list[tuple[str, Document]] = []
        size = 0
        for file, made in self._documents():
            batch.append((file, made))
            size += len(str(made["text"]).encode())
            if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
                yield self._table(batch)
                batch, size = [], 0
        if batch:
            yield self._table(batch)
        self._reconcile()
        self._finished = True

    def _documents(self) -> Iterator[tuple[str, Document]]:
        taken: dict[str, str] = {}
        for file, read in self._reads():
            if isinstance(read, Skipped):
                self._skipped[file] += 1
                continue
            self._rows_in[file] += 1
            made = document(read, self.source) if isinstance(read, Row) else read
            if not isinstance(made, Rejected):
                made = _unless_taken(made, file, read.position, taken)
            if not isinstance(made, Rejected):
                if self._erased and self._erased.holds(made):
                    self._held_back[file] += 1
                    continue
                yield file, made
                continue
            self._quarantine.append(
                {
                    "source": self.source.name,
                    "file": file,
                    "position": made.position,
                    "error": made.error,
                    "prefix": self._shown(made.prefix[:PREFIX_BYTES]),
                }
            )

    def _shown(self, prefix: bytes) -> bytes:
        """The first bytes of a refused row, or none of them where they speak of someone who was erased."""
        erased = self._erased and self._erased.speaks(prefix.decode("utf-8", "replace"))
        return b"" if erased else prefix

    def _reads(self) -> Iterator[tuple[str, Read]]:
        """Everything the reader gives, with the file it came from; a failing file is named."""
        for file, reads in self._open():
            self._files.append({"source": self.source.name, "file": file})
            try:
                for read in reads:
                    yield file, read
            except OSError as error:
                raise SourceError(
                    f"source {self.source.name!r}: {file}: {error.strerror or error}"
                ) from error

    def _open(self) -> Iterator[tuple[str, Iterator[Read]]]:
        reader = self._reader
        if isinstance(reader, Generator):
            yield ", ".join(self.source.uri) or f"package:{self.source.reader}", reader.read(self.source)
            return
        for found in find_files(self.source, self.root, reader.suffixes):
            if found.refusal is not None:
                yield found.file.name, iter([found.refusal])
            elif found.file.size == 0:
                yield found.file.name, iter(())
            else:
                yield found.file.name, reader.read(found.file, self.source)

    def _table(self, batch: list[tuple[str, Document]]) -> pa.Table:
        self._kept.update(file for file, _ in batch)
        return pa.Table.from_pylist([made for _, made in batch], schema=DOCUMENT)

    def _reconcile(self) -> None:
        refused = Counter(row["file"] for row in self._quarantine)
        for row in self._files:
            file = str(row["file"])
            rows_in, kept, quarantined = self._rows_in[file], self._kept[file], refused[file]
            erased = self._held_back[file]
            if rows_in != kept + quarantined + erased:
                raise SourceError(
                    f"source {self.source.name!r}: {file}: {rows_in} rows in are not {kept} documents, "
                    f"{quarantined} in quarantine and {erased} erased: rows were lost or made up"
                )
            counts = (rows_in, kept, quarantined, self._skipped[file], erased)
            row |= zip(("rows_in", "documents", "quarantined", "skipped", "erased"), counts, strict=True)

    def _require_finished(self) -> None:
        if not self._finished:
            raise RuntimeError(f"source {self.source.name!r}: read all of its documents first")


def document(row: Row, source: Source) -> Document | Rejected:
    """A row as a document of schema DOCUMENT, with the source's word where the row has none."""
    text = render(row.messages) if row.text is None and row.messages is not None else row.text
    if not isinstance(text, str):
        return Rejected(row.position, f"text is a {type(text).__name__}, not a string")
    prefix = text[:PREFIX_BYTES].encode("utf-8", "surrogatepass")[:PREFIX_BYTES]
    if not text.strip() or (row.messages and not any(turn["content"].strip() for turn in row.messages)):
        return Rejected(row.position, "empty text", prefix)
    metadata = dict(row.metadata)
    try:
        license = spdx(row.license or source.license)
    except ValueError:
        license = NOASSERTION
        metadata.setdefault("license", row.license)
    made: Document = {
        "doc_id": "",
        "source": source.name,
        "key": row.key,
        "content_hash": content_hash(text),
        "kind": source.kind,
        "text": text,
        "messages": list(row.messages) if row.messages is not None else None,
        "language": row.language or source.language,
        "url": row.url,
        "license": license,
        "collected_at": source.collected_at,
        "consent": source.consent,
        "synthetic": source.synthetic if row.synthetic is None else row.synthetic,
        "generator": row.generator or source.generator,
        "parents": list(row.parents) if row.parents is not None else None,
        "metadata": _json(metadata),
    }
    unheld = _lone_surrogate(made)
    if unheld:
        return Rejected(row.position, f"{unheld} holds a lone surrogate, which UTF-8 can't carry", prefix)
    return made | {"doc_id": document_id(source.name, row.key)}


def _unless_taken(made: Document, file: str, position: str, taken: dict[str, str]) -> Document | Rejected:
    """A document, or its rejection where another row of the source has its key."""
    doc_id = str(made["doc_id"])
    first = taken.setdefault(doc_id, place := f"{position} of {file}")
    if first is place:
        return made
    prefix = str(made["text"])[:PREFIX_BYTES].encode()
    return Rejected(position, f"its key is taken by {first}", prefix)


def _reader(source: Source) -> Reader:
    if source.reader not in READERS:
        raise SourceError(
            f"source {source.name!r}: no reader {source.reader!r}; there are {', '.join(READERS)}"
        )
    return READERS[source.reader]


def _lone_surrogate(made: Document) -> str | None:
    """The first field that UTF-8, and so Arrow and Parquet, can't hold: JSON escapes can make half a pair."""
    held = [(name, made[name]) for name in ("key", "text", "language", "url", "generator", "metadata")]
    held += [("messages", turn["content"]) for turn in made["messages"] or ()]  # type: ignore[attr-defined]
    for name, value in held:
        try:
            if value is not None and not str(value).isascii():
                str(value).encode()
        except UnicodeEncodeError:
            return name
    return None


def _json(metadata: dict[str, object]) -> str:
    try:
        return json.dumps(metadata, sort_keys=True, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:
        return json.dumps(_finite(metadata), sort_keys=True, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    """What a columnar file can hold and JSON can't: bytes as Base64, dates and decimals as text."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _finite(value: object) -> object:
    """A value with null for the numbers that JSON doesn't know, as pandas writes them."""
    if isinstance(value, dict):
        return {name: _finite(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(held) for held in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
