"""filtered: measure every document once; what to do about it is decided in SQL (see dbt.py)."""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets import plots, settings
from assets.lake import Lake
from assets.stage import (
    BY_SOURCE,
    CURATION,
    EVALUATION,
    PRIVACY,
    code_version,
    markdown_table,
    require_validated,
    result,
)

DOCUMENTS = dg.AssetKey(["raw", "documents"])

# Everything in this stage that reads text reads it through these.
TEXT_CODE = ("filters/buffers.py", "filters/characters.py", "filters/kernels.py")


def _documents(lake: Lake, source: str) -> pa.Table:
    return lake.query("FROM raw.documents WHERE source = ?", [source])


@dg.asset(
    key=["filtered", "signals"],
    deps=[DOCUMENTS],
    group_name="filtered",
    partitions_def=BY_SOURCE,
    owners=[CURATION],
    kinds={"numba", "fasttext", "duckdb"},
    code_version=code_version(
        "filters/fasttext_inference.py", "filters/language.py", "filters/signals.py", *TEXT_CODE
    ),
)
def signals(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """What is measured of each document: length, words, lines, symbols, repetition, language."""
    from assets.filters.language import identify
    from assets.filters.signals import SIGNAL_VERSION, measure

    documents = _documents(lake, context.partition_key)
    table = pa.table({name: documents[name] for name in ("doc_id", "source", "content_hash")})
    for measured in (measure(documents["text"]), identify(documents["text"])):
        for name in measured.column_names:
            table = table.append_column(name, measured[name])
    table = table.append_column("signal_version", pa.repeat(SIGNAL_VERSION, table.num_rows))
    write = lake.replace("filtered.signals", table, run_id=context.run_id, source=context.partition_key)
    words = {context.partition_key: table["words"].to_pylist()}
    languages = table["language"].value_counts().to_pylist()
    return result(
        lake,
        write,
        words=dg.MetadataValue.md(plots.histogram(words, "Words per document", "words", log=True)),
        languages=markdown_table(sorted(languages, key=lambda row: -row["counts"])[:10]),
    )


@dg.multi_asset(
    name="pii",
    group_name="filtered",
    partitions_def=BY_SOURCE,
    specs=[
        dg.AssetSpec(
            ["filtered", "pii_findings"],
            deps=[DOCUMENTS],
            owners=[PRIVACY],
            kinds={"presidio", "duckdb"},
            code_version=code_version("privacy"),
            description=(
                "Each span of personal data found: entity, place, score, recogniser and a keyed hash; "
                "never the value."
            ),
        ),
        dg.AssetSpec(
            ["filtered", "redacted"],
            deps=[DOCUMENTS],
            owners=[PRIVACY],
            kinds={"presidio", "duckdb"},
            code_version=code_version("privacy"),
            description="Each document's text and turns with personal data replaced by typed placeholders.",
        ),
    ],
)
def pii(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> Iterator[dg.MaterializeResult]:
    from assets.privacy.findings import find_pii
    from assets.privacy.keys import load_key
    from assets.privacy.redaction import redact, residual

    source = context.partition_key
    documents = _documents(lake, source)
    key = load_key(settings.pii_key_file())
    findings = find_pii(documents, key)
    redacted = redact(documents, findings)
    # A text without findings is as it was: only a changed text can say something new.
    left = residual(redacted.filter(pc.field("n_findings") > 0), key)
    writes = lake.replace_all(
        {"filtered.pii_findings": findings, "filtered.pii_residual": left, "filtered.redacted": redacted},
        run_id=context.run_id,
        source=source,
    )
    entities = lake.query(
        "SELECT entity, count(*) AS findings, count(DISTINCT doc_id) AS documents "
        "FROM filtered.pii_findings WHERE source = ? GROUP BY entity ORDER BY findings DESC, entity",
        [source],
    )
    yield result(lake, writes["filtered.pii_findings"], entities=markdown_table(entities.to_pylist()))
    yield result(lake, writes["filtered.redacted"])


@dg.asset(
    key=["filtered", "contamination"],
    deps=[DOCUMENTS],
    group_name="filtered",
    partitions_def=BY_SOURCE,
    owners=[EVALUATION],
    kinds={"numba", "duckdb"},
    code_version=code_version(
        "filters/contamination.py", "filters/folding.py", "filters/benchmarks", *TEXT_CODE
    ),
)
def contamination(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Benchmark items found in documents, by word n-grams: what would make an evaluation look too good."""
    from assets.filters.contamination import find_contamination, load_benchmark, packaged_benchmarks

    benchmarks = [load_benchmark(path) for path in packaged_benchmarks()]
    found = find_contamination(_documents(lake, context.partition_key), benchmarks)
    write = lake.replace("filtered.contamination", found, run_id=context.run_id, source=context.partition_key)
    return result(lake, write, hits=markdown_table(found.drop(["source"]).slice(0, 50).to_pylist()))


@dg.asset(
    key=["filtered", "duplicates"],
    deps=[DOCUMENTS],
    group_name="filtered",
    owners=[CURATION],
    kinds={"daft", "duckdb"},
    code_version=code_version("filters/duplicates.py", "filters/folding.py", "engine.py", *TEXT_CODE),
)
def duplicates(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Clusters of equal and nearly equal documents across all sources, each with the one that is kept."""
    from assets.filters.duplicates import find_duplicates

    require_validated(lake, ["raw/documents"])
    documents = lake.query(
        "SELECT documents.*, sources.releasable FROM raw.documents AS documents "
        "JOIN raw.sources AS sources USING (source) ORDER BY documents.source, documents.doc_id"
    )
    clusters = find_duplicates(documents)
    write = lake.replace("filtered.duplicates", clusters, run_id=context.run_id)
    by_relation = lake.query(
        "SELECT relation, count(DISTINCT cluster_id) AS clusters, count(*) AS documents, "
        "count_if(NOT is_keeper)::BIGINT AS removable FROM filtered.duplicates GROUP BY ALL ORDER BY ALL"
    )
    return result(lake, write, relations=markdown_table(by_relation.to_pylist()))
