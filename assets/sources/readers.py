"""READERS: every format a source may have, by the name that its entry gives."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from assets.sources import pages, records, texts
from assets.sources.rows import Read, SourceFile

if TYPE_CHECKING:
    from assets.sources.registry import Source

COMPRESSIONS = ("", ".gz", ".zst")


@dataclass(frozen=True)
class FileReader:
    """A format of files: how one file is read, and what a source's entry may say about it.

    Of a whole folder, only files with one of `suffixes` are read. `columns` tells whether fields are
    mapped to columns, `options` which settings the format takes.
    """

    read: Callable[[SourceFile, Source], Iterator[Read]]
    suffixes: tuple[str, ...]
    columns: bool = False
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Generator:
    """A source made of installed packages instead of files: a module with `read` and `fingerprint`.

    The module is imported on first use; some pull in heavy libraries.
    """

    module: str

    def read(self, source: Source) -> Iterator[Read]:
        """Every row that the source generates."""
        rows: Iterator[Read] = importlib.import_module(self.module).read(source)
        return rows

    def fingerprint(self, source: Source) -> str:
        """A digest of everything that the rows are a function of."""
        return str(importlib.import_module(self.module).fingerprint(source))


Reader = FileReader | Generator


def _suffixes(*names: str) -> tuple[str, ...]:
    return tuple(name + compression for name in names for compression in COMPRESSIONS)


READERS: dict[str, Reader] = {
    "jsonl": FileReader(records.jsonl, _suffixes(".jsonl", ".ndjson", ".json"), columns=True),
    "parquet": FileReader(records.parquet, (".parquet",), columns=True),
    "csv": FileReader(
        partial(records.delimited, delimiter=","),
        _suffixes(".csv"),
        columns=True,
        options=("delimiter", "encoding"),
    ),
    "tsv": FileReader(
        partial(records.delimited, delimiter="\t"), _suffixes(".tsv"), columns=True, options=("encoding",)
    ),
    "text": FileReader(texts.text, _suffixes(".txt", ".md", ".markdown", ".rst"), options=("encoding",)),
    "html": FileReader(pages.html, _suffixes(".html", ".htm", ".xhtml"), options=("encoding",)),
    "warc": FileReader(pages.warc, _suffixes(".warc", ".arc")),
    "wet": FileReader(pages.wet, _suffixes(".wet")),
    "python-docs": Generator("assets.sources.installed"),
    "aws-api-docs": Generator("assets.sources.botocore_docs"),
    "python-qa": Generator("assets.sources.docstring_qa"),
    "drill": Generator("assets.sources.drill"),
}
