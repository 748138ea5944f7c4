"""raw: what the sources hold, as documents; what can't be read, in quarantine; a sample to look at."""

import hashlib
from collections.abc import Iterator
from itertools import chain

import dagster as dg
import pyarrow as pa

from assets import settings
from assets.documents import DOCUMENT
from assets.lake import Lake
from assets.privacy.names import version as names_version
from assets.sources.ingest import Ingestion, fingerprint, ingest
from assets.sources.inspection import INSPECTED, inspection_sample
from assets.sources.registry import Source
from assets.sources.rows import SourceError
from assets.stage import BY_SOURCE, CURATION, SOURCES, code_version, markdown_table, result

FILES = dg.AssetKey(["source", "files"])

source_files = dg.AssetSpec(
    FILES,
    group_name="source",
    partitions_def=BY_SOURCE,
    owners=[CURATION],
    kinds={"file"},
    description=(
        "The files of each source, outside this system. Their names, sizes and times are observed before a "
        "run: a source whose files and settings are as they were is not read again."
    ),
)


def source_fingerprint(source: Source) -> str:
    """What `source/files` observes of a source: its files and its entry, as far as they show unread."""
    entry = hashlib.blake2b(str(source.facts().to_pylist()).encode(), digest_size=6).hexdigest()
    return f"{fingerprint(source, settings.sources_file().parent)}-{entry}"


@dg.multi_asset(
    name="raw_documents",
    group_name="raw",
    partitions_def=BY_SOURCE,
    specs=[
        dg.AssetSpec(
            ["raw", "documents"],
            deps=[FILES],
            owners=[CURATION],
            kinds={"duckdb", "parquet"},
            code_version=code_version("sources", "documents.py"),
            description="Every document of the source as it was read, one row each, with licence and origin.",
        ),
        dg.AssetSpec(
            ["raw", "quarantine"],
            deps=[FILES],
            owners=[CURATION],
            kinds={"duckdb", "parquet"},
            code_version=code_version("sources", "documents.py"),
            description=(
                "What could not be read, with file, position, error and the first bytes: nothing is lost. "
                "Rows in = documents + quarantined."
            ),
        ),
        dg.AssetSpec(
            ["raw", "sources"],
            deps=[FILES],
            owners=[CURATION],
            kinds={"duckdb", "yaml"},
            code_version=code_version("sources/registry.py"),
            description="The source's entry in sources.yaml as it was when its documents were read.",
        ),
    ],
)
def raw_documents(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.MaterializeResult]:
    from assets.privacy.tombstones import load_tombstones

    source = SOURCES[context.partition_key]
    try:
        erased = load_tombstones(lake, settings.tombstone_key_file())
        ingestion = ingest(source, settings.sources_file().parent, erased)
        writes = lake.replace_all(
            {
                # A source may hold no document at all; the table is written all the same.
                "raw.documents": chain([DOCUMENT.empty_table()], ingestion),
                "raw.quarantine": _after(ingestion, "quarantine"),
                "raw.ingestions": _after(ingestion, "files"),
                "raw.sources": source.facts(),
            },
            run_id=context.run_id,
            source=source.name,
        )
    except SourceError as error:
        # The message says which source, file and place; it shall stand first in the UI, above any trace.
        raise dg.Failure(str(error)) from error
    files = ingestion.files.to_pylist()
    yield result(
        lake,
        writes["raw.documents"],
        rows_in=sum(file["rows_in"] for file in files),
        quarantined=writes["raw.quarantine"].rows,
        skipped=sum(file["skipped"] for file in files),
        held_back_as_erased=sum(file["erased"] for file in files),
        files=markdown_table(files[:50]),
    )
    errors = ingestion.quarantine.select(["file", "position", "error"])
    yield result(lake, writes["raw.quarantine"], errors=markdown_table(errors.slice(0, 50).to_pylist()))
    yield result(lake, writes["raw.sources"], entry=markdown_table(source.facts().to_pylist()))


def _after(ingestion: Ingestion, table: str) -> Iterator[pa.Table]:
    # What a source refused is known once its documents have been read, and so written, to the end.
    yield getattr(ingestion, table)


@dg.asset(
    key=["raw", "inspection"],
    deps=[["raw", "documents"]],
    group_name="raw",
    partitions_def=BY_SOURCE,
    owners=[CURATION],
    kinds={"duckdb"},
    code_version=code_version("sources/inspection.py", "privacy", str(settings.recognizers_file()))
    + f"-{names_version(settings.ner())}",
)
def raw_inspection(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """A seeded sample to look at, even across kind, language and length; personal data is masked."""
    from assets.privacy.findings import PiiPolicy, find_pii
    from assets.privacy.keys import load_key
    from assets.privacy.redaction import redact

    source = context.partition_key
    sample = inspection_sample(lake.query("FROM raw.documents WHERE source = ?", [source]))
    policy = PiiPolicy(ner=settings.ner())
    masked = redact(sample, find_pii(sample, load_key(settings.pii_key_file()), policy))
    sample = sample.set_column(sample.schema.get_field_index("text"), "text", masked["text"])
    sample = sample.select(INSPECTED)
    write = lake.replace("raw.inspection", sample, run_id=context.run_id, source=source)
    shown = [{**row, "text": row["text"][:300]} for row in sample.drop(["source"]).to_pylist()]
    return result(lake, write, sample=markdown_table(shown))
