"""Personal data in any files, without the lake: what `winnow pii` does."""

from __future__ import annotations

import os
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from rich.console import Console

from assets import settings
from assets.documents import MESSAGES
from assets.intervals import wilson
from assets.privacy.actions import ANY, actions_for, load_actions
from assets.privacy.findings import PiiPolicy, find_pii
from assets.privacy.keys import VARIABLE, PiiKey, load_key
from assets.privacy.redaction import redact
from assets.sources.inputs import Reading
from orchestration.standalone import FORMATS, plainly, report_refused

FINDINGS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("entity", pa.string(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("recognizer", pa.string(), nullable=False),
    ]
)
"""A finding: its place counts code points of the text as it was read; the value is never written."""

REDACTED = pa.schema([pa.field("id", pa.string(), nullable=False), pa.field("text", pa.string())])


@dataclass(frozen=True)
class Outcome:
    """What was found in some files."""

    documents: int
    with_findings: int
    findings: Counter[str]
    documents_by_entity: Counter[str]
    refused: pa.Table


def run(reading: Reading, out: Path, redacted: Path | None, language: str | None, ner: str) -> Outcome:
    """Writes the findings of every document into a file and, if asked, the redacted documents into a folder.

    The format follows the file's name: `.parquet` or `.jsonl`. Files appear when all is done.

    Raises:
        ValueError: The name tells no format, or names are to be found and their model is not installed.
    """
    format = out.suffix.removeprefix(".")
    if format not in FORMATS:
        raise ValueError(f"{out.name}: findings are written as .parquet or .jsonl")
    out.parent.mkdir(parents=True, exist_ok=True)
    findings: Counter[str] = Counter()
    affected: Counter[str] = Counter()
    documents = some = 0
    actions = actions_for(load_actions(settings.redaction_file()), ANY, ANY)
    policy = PiiPolicy(ner=ner)
    # Drawn anew without one: keyed hashes then tell equal values of this run alone.
    key = load_key() if VARIABLE in os.environ else PiiKey(secrets.token_bytes(32))
    with ExitStack() as files:
        write = files.enter_context(FORMATS[format](out))
        write(FINDINGS.empty_table())
        write_text = None
        if redacted is not None:
            redacted.mkdir(parents=True, exist_ok=True)
            write_text = files.enter_context(FORMATS[format](redacted / f"documents.{format}"))
            write_text(REDACTED.empty_table())
        for batch in _prepared(reading, language):
            found = find_pii(batch, key, policy)
            write(found.rename_columns(["id", *found.column_names[1:]]).select(FINDINGS.names).cast(FINDINGS))
            if write_text is not None:
                texts = redact(batch, found, actions)
                write_text(pa.table([texts["doc_id"], texts["text"]], schema=REDACTED))
            rows = set(zip(found["doc_id"].to_pylist(), found["entity"].to_pylist(), strict=True))
            documents += batch.num_rows
            some += len({id for id, _ in rows})
            affected.update(entity for _, entity in rows)
            findings.update(found["entity"].to_pylist())
    return Outcome(documents, some, findings, affected, reading.quarantine)


def report(console: Console, outcome: Outcome) -> None:
    """Prints what was found, by entity, and never a value."""
    say = plainly(console)
    for entity, count in outcome.findings.most_common():
        share = wilson(outcome.documents_by_entity[entity], outcome.documents)
        say(f"{entity:16} {count:>9,}  in {share.percent()} of the documents")
    share = wilson(outcome.with_findings, outcome.documents)
    say(f"Personal data in {outcome.with_findings:,} documents: {share.percent()}")
    report_refused(console, outcome.refused, "they are not searched")


def _prepared(reading: Reading, language: str | None) -> Iterator[pa.Table]:
    """Batches with the columns that finding and redaction ask for."""
    for batch in reading:
        rows = batch.num_rows
        yield pa.table(
            {
                "doc_id": batch["id"],
                "source": pa.repeat("input", rows),
                "content_hash": pa.repeat("", rows),
                "text": batch["text"],
                "messages": pa.nulls(rows, MESSAGES),
                "language": pa.array([language] * rows, pa.string()),
            }
        )
