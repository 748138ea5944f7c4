"""The filter stage on any files, without the lake: what `winnow filter`, `dedup` and `decontaminate` do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console

from assets import engine
from assets.filters import plan as plans
from assets.filters.plan import Plan
from assets.intervals import wilson
from assets.rules import KEEP, Rule, held
from assets.sources.inputs import TEXT, Reading

SHOWN = 20

# Columns of few different values; a dictionary of any other would be as long as the column.
CATEGORIES = ["verdict", "reason", "language", "benchmark"]


@dataclass(frozen=True)
class Outcome:
    """What a plan did to some files: documents, those that each rule dropped first, rows not read."""

    rules: tuple[Rule, ...]
    not_held: tuple[Rule, ...]
    documents: int
    dropped: Counter[str]
    refused: pa.Table
    without: tuple[str, ...]


def run(
    reading: Reading,
    plan: Plan,
    out: Path,
    *,
    format: str = "parquet",
    runner: str = "native",
    workers: int = 1,
) -> Outcome:
    """Takes documents through a plan and writes `decisions`, `kept` and `quarantine` into a folder.

    Decisions are in the order of the input, one row a document. The files appear when all is done; those of
    an earlier run are replaced.
    """
    out.mkdir(parents=True, exist_ok=True)
    dropped: Counter[str] = Counter()
    documents = 0
    known: set[str] = set()
    map_batches = partial(engine.map_batches, runner=runner, workers=workers)
    # Files without a document in them leave tables with columns and no rows.
    batches = chain([TEXT.empty_table()], reading)
    with ExitStack() as files:
        spool = files.enter_context(_temporary(out / ".texts.arrow"))
        decisions, kept, quarantine = (
            files.enter_context(FORMATS[format](out / f"{name}.{format}"))
            for name in ("decisions", "kept", "quarantine")
        )
        for batch, decided in plans.decisions(batches, plan, map_batches, spool):
            decisions(decided)
            kept(batch.filter(pc.equal(decided["verdict"], KEEP)))
            documents += decided.num_rows
            known.update(decided.column_names)
            dropped.update(reason for reason in decided["reason"].to_pylist() if reason)
        quarantine(reading.quarantine)
    return Outcome(
        rules=held(plan.rules, known),
        not_held=tuple(rule for rule in plan.rules if rule.signal not in known),
        documents=documents,
        dropped=dropped,
        refused=reading.quarantine,
        without=tuple(name for name, count in reading.documents.items() if not count),
    )


def report(console: Console, outcome: Outcome) -> None:
    """Prints what happened: each rule with how many of the documents that came to it it dropped."""
    say = plainly(console)
    rules = [rule for rule in outcome.rules if rule.action == "drop"]
    limits = [f"{rule.name}: {rule.fails_if}" for rule in rules]
    width = max(map(len, limits), default=0)
    left = outcome.documents
    for rule, limit in zip(rules, limits, strict=True):
        count = outcome.dropped[rule.name]
        say(f"{limit:{width}} {count:>9,}  {wilson(count, left).percent()}")
        left -= count
    say(f"Kept {left:,} of {outcome.documents:,} documents: {wilson(left, outcome.documents).percent()}")
    if outcome.not_held:
        names = ", ".join(sorted({rule.name for rule in outcome.not_held}))
        say(f"Not held, their signal was not asked for or is not known here: {names}")
    for name in outcome.without:
        say(f"{name}: no documents in it")
    report_refused(console, outcome.refused, "see quarantine")


def plainly(console: Console) -> Callable[[str], None]:
    """Prints a line as it is: names and errors are no markup, and a terminal's width breaks nothing."""
    return partial(console.print, markup=False, highlight=False, soft_wrap=True)


def report_refused(console: Console, refused: pa.Table, where: str) -> None:
    """Prints the first of the rows that could not be read, and how many there are."""
    say = plainly(console)
    for row in refused.slice(0, SHOWN).to_pylist():
        say(f"{row['file']}, {row['position']}: {row['error']}")
    if refused.num_rows:
        say(f"{refused.num_rows:,} rows could not be read: {where}")


Write = Callable[[pa.Table], None]


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    """Tables into one Parquet file, which is there when all are written."""
    writer: pq.ParquetWriter | None = None

    def write(table: pa.Table) -> None:
        nonlocal writer
        # The fastest level halves the bytes of snappy's for a twentieth of a second in 80 MB of text.
        writer = writer or pq.ParquetWriter(
            unfinished, table.schema, compression="zstd", compression_level=1, use_dictionary=CATEGORIES
        )
        writer.write_table(table)

    with _replacing(path) as unfinished:
        yield write
        if writer:
            writer.close()


@contextmanager
def _jsonl(path: Path) -> Iterator[Write]:
    """Tables into one file of JSON Lines, which is there when all are written; bytes are read as UTF-8."""
    with _replacing(path) as unfinished, unfinished.open("w", encoding="utf-8") as file:

        def write(table: pa.Table) -> None:
            for row in table.to_pylist():
                file.write(json.dumps(row, ensure_ascii=False, default=_as_text) + "\n")

        yield write


def _as_text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    with _temporary(path.with_name(f".{path.name}")) as written:
        yield written
        if written.exists():
            written.replace(path)


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


FORMATS: Mapping[str, Callable[[Path], AbstractContextManager[Write]]] = {
    "parquet": _parquet,
    "jsonl": _jsonl,
}
