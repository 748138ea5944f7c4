"""scored: what models say of each kept document, and who is spoken of in what is selected."""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets import plots
from assets.lake import Lake
from assets.stage import (
    EVALUATION,
    SOURCES,
    code_version,
    markdown_table,
    result,
)

# The reasons of the filter stage that speak of a text's quality, rather than of its origin or its copies.
NOT_QUALITY = (
    "opted_out",
    "exact_duplicate",
    "near_duplicate",
    "contaminated",
    "wrong_language",
    "not_measured",
)

MODEL = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("parameters", pa.string(), nullable=False),
        pa.field("positives", pa.int64(), nullable=False),
        pa.field("negatives", pa.int64(), nullable=False),
        pa.field("model", pa.binary(), nullable=False),
    ]
)


@dg.multi_asset(
    name="quality_model",
    group_name="scored",
    specs=[
        dg.AssetSpec(
            ["scored", "quality_training"],
            deps=[
                ["filtered", "redacted"],
                ["filtered", "decisions"],
                ["filtered", "duplicates"],
                ["raw", "sources"],
            ],
            owners=[EVALUATION],
            kinds={"duckdb"},
            code_version=code_version("scorers/quality.py"),
            description=(
                "What the quality classifier learns from: kept reference documents against documents removed "
                "for their quality and raw text; split so that no near duplicate is on both sides."
            ),
        ),
        dg.AssetSpec(
            ["scored", "quality_model"],
            deps=[["filtered", "redacted"], ["filtered", "decisions"]],
            owners=[EVALUATION],
            kinds={"fasttext", "duckdb"},
            code_version=code_version("scorers/quality.py"),
            description="The trained classifier itself, with its parameters, seed and hash.",
        ),
        dg.AssetSpec(
            ["scored", "quality_metrics"],
            deps=[["filtered", "redacted"], ["filtered", "decisions"]],
            owners=[EVALUATION],
            kinds={"fasttext", "duckdb"},
            code_version=code_version("scorers/quality.py", "scorers/metrics.py"),
            description="Held-out precision, recall and AUROC of the classifier, each with n and interval.",
        ),
    ],
)
def quality_model(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.MaterializeResult]:
    from assets.scorers import quality

    documents = lake.query(
        "SELECT redacted.doc_id, redacted.source, redacted.text, documents.synthetic, decisions.verdict, "
        "decisions.reason, duplicates.cluster_id, sources.reference "
        "FROM filtered.redacted AS redacted JOIN raw.documents AS documents USING (doc_id) "
        "JOIN filtered.decisions AS decisions USING (doc_id) JOIN raw.sources AS sources "
        "ON sources.source = redacted.source LEFT JOIN filtered.duplicates AS duplicates USING (doc_id) "
        "ORDER BY redacted.source, redacted.doc_id"
    )
    reasons = set(documents["reason"].unique().to_pylist()) - {None, *NOT_QUALITY}
    training = quality.training_set(documents, reasons)
    model = quality.train(training)
    metrics = quality.evaluate(model, training)
    stored = pa.table(
        {
            "name": ["quality"],
            "sha256": [model.sha256],
            "parameters": [json.dumps(asdict(model.parameters), sort_keys=True)],
            "positives": [model.positives],
            "negatives": [model.negatives],
            "model": [model.to_bytes()],
        },
        schema=MODEL,
    )
    writes = lake.replace_all(
        {
            # The text stays where it is: an erasure must not have to look for it here.
            "scored.quality_training": training.drop(["text"]),
            "scored.quality_model": stored,
            "scored.quality_metrics": metrics,
        },
        run_id=context.run_id,
    )
    counted = training.group_by(["split", "origin", "label"]).aggregate([("doc_id", "count")])
    counted = counted.sort_by([("split", "ascending"), ("origin", "ascending")]).to_pylist()
    yield result(lake, writes["scored.quality_training"], examples=markdown_table(counted))
    yield result(
        lake, writes["scored.quality_model"], sha256=model.sha256, parameters=asdict(model.parameters)
    )
    yield result(lake, writes["scored.quality_metrics"], held_out=markdown_table(metrics.to_pylist()))


@dg.asset(
    key=["scored", "scores"],
    deps=[["scored", "quality_model"], ["filtered", "documents"]],
    group_name="scored",
    owners=[EVALUATION],
    kinds={"fasttext", "duckdb"},
    code_version=code_version("scorers"),
)
def scores(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Quality, toxicity and language of each kept document, by id: scores lie beside the text, not in it."""
    from assets.scorers.scores import SCORERS, score

    models = {row["name"]: row["model"] for row in lake.query("FROM scored.quality_model").to_pylist()}
    for source in sorted(SOURCES):
        documents = lake.query(
            "SELECT documents.doc_id, documents.source, documents.text, signals.language, "
            "signals.language_score FROM filtered.documents AS documents "
            "JOIN filtered.signals AS signals USING (doc_id) WHERE documents.source = ? ORDER BY doc_id",
            [source],
        )
        table = score(documents, models)
        for name in ("language", "language_score"):
            table = table.append_column(name, documents[name])
        write = lake.replace("scored.scores", table, run_id=context.run_id, source=source)
    plotted = lake.query(
        f"SELECT source, {', '.join(scorer.name for scorer in SCORERS)} FROM scored.scores ORDER BY doc_id"
    )
    quality = {
        source: plotted.filter(pc.field("source") == source)["quality"].to_pylist() for source in SOURCES
    }
    return result(
        lake,
        replace(write, rows=plotted.num_rows, data_version=lake.data_version("scored.scores")),
        quality=dg.MetadataValue.md(plots.histogram(quality, "Quality of kept documents", "probability")),
    )


@dg.asset(
    key=["scored", "bias_profile"],
    deps=[["scored", "selection"], ["scored", "scores"], ["filtered", "documents"]],
    group_name="scored",
    owners=[EVALUATION],
    kinds={"duckdb"},
    code_version=code_version("scorers/bias.py", "scorers/identity_terms.tsv"),
)
def bias_profile(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Who is mentioned in what is selected, and how often in toxic company: rates by group with intervals."""
    from assets.scorers.bias import profile

    selected = lake.query(
        "SELECT documents.doc_id, documents.source, documents.text, selection.toxicity "
        "FROM filtered.documents AS documents JOIN scored.selection AS selection USING (doc_id) "
        "WHERE selection.selected ORDER BY documents.source, documents.doc_id"
    )
    table = profile(selected)
    write = lake.replace("scored.bias_profile", table, run_id=context.run_id)
    shown = sorted(table.to_pylist(), key=lambda row: (-row["mentioning"], row["axis"], row["group"]))[:20]
    plot = plots.bars(
        [f"{row['axis']}: {row['group']}" for row in shown],
        [row["share"] or 0.0 for row in shown],
        [row["share_low"] for row in shown],
        [row["share_high"] for row in shown],
        "Selected documents that mention a group",
        percent=True,
    )
    return result(lake, write, mentions=dg.MetadataValue.md(plot), profile=markdown_table(shown))
