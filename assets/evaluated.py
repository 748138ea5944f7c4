"""evaluated: what the selection is made of, what it does to a model, and whether it may be released."""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa

from assets import plots, settings
from assets.evals import drill, proxy, report, verdict
from assets.lake import Lake
from assets.stage import EVALUATION, SOURCES, code_version, markdown_table, result

SELECTION = dg.AssetKey(["scored", "selection"])
SCORES = dg.AssetKey(["scored", "scores"])
DECISIONS = dg.AssetKey(["filtered", "decisions"])
CONTAMINATION = dg.AssetKey(["filtered", "contamination"])
REDACTED = dg.AssetKey(["filtered", "redacted"])
DOCUMENTS = dg.AssetKey(["raw", "documents"])
DUPLICATES = dg.AssetKey(["filtered", "duplicates"])
PII_RISK = dg.AssetKey(["filtered", "pii_risk"])

DRILLS = tuple(sorted(name for name, source in SOURCES.items() if source.reader == "drill"))
LANGUAGES = tuple(sorted({source.language for source in SOURCES.values() if source.language}))


def report_policy(lake: Lake) -> report.ReportPolicy:
    """What the data report counts as what, from the sources and the recorded waivers."""
    waived = lake.query(
        "SELECT DISTINCT subject FROM policy.waivers WHERE kind = 'license' AND expires >= current_date"
    )
    return report.ReportPolicy(
        languages=LANGUAGES,
        unreleasable_sources=tuple(sorted(n for n, source in SOURCES.items() if not source.releasable)),
        drill_sources=DRILLS,
        waived_sources=tuple(sorted(waived["subject"].to_pylist())),
    )


def proxy_policy() -> proxy.ProxyPolicy:
    """What the proxy is held to: reference sources, and text of another family that is in no arm at all."""
    return proxy.ProxyPolicy(
        reference_sources=tuple(
            sorted(n for n, source in SOURCES.items() if source.reference and not source.independent)
        ),
        independent_sources=tuple(sorted(n for n, source in SOURCES.items() if source.independent)),
        # Much held-out text and a budget well below what there is: both narrow the intervals.
        budget_tokens=250_000,
        holdout_tokens=200_000,
        seeds=6,
    )


@dg.asset(
    key=["evaluated", "data_report"],
    deps=[SELECTION, SCORES, DECISIONS, CONTAMINATION, REDACTED, PII_RISK, DOCUMENTS],
    group_name="evaluated",
    owners=[EVALUATION],
    kinds={"duckdb"},
    code_version=code_version("evals/report.py"),
)
def data_report(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Retention, licences, languages, personal data left and missed, contamination and scores, with intervals."""
    table = report.data_report(
        lake.query("SELECT doc_id, source, license, consent, synthetic FROM raw.documents ORDER BY ALL"),
        decisions=lake.query("FROM filtered.decisions"),
        selection=lake.query("FROM scored.selection"),
        scores=lake.query("FROM scored.scores"),
        contamination=lake.query("FROM filtered.contamination"),
        residual=lake.query("FROM filtered.pii_residual"),
        rescanned=lake.query("SELECT doc_id FROM filtered.redacted")["doc_id"].to_pylist(),
        found=lake.query("SELECT DISTINCT doc_id, entity FROM filtered.pii_findings"),
        recall=lake.query(
            "SELECT DISTINCT entity, recall, recall_low AS low, recall_high AS high, recall_n AS n "
            "FROM filtered.pii_risk WHERE recall IS NOT NULL"
        ),
        policy=report_policy(lake),
    )
    write = lake.replace("evaluated.data_report", table, run_id=context.run_id)
    retention = [row for row in table.to_pylist() if row["figure"] == "retention"]
    steps = lake.query(
        "SELECT step, sum(removed)::BIGINT AS removed FROM filtered.funnel "
        "GROUP BY step HAVING sum(removed) > 0 ORDER BY min(position)"
    ).to_pylist()
    scores = lake.query("SELECT quality, toxicity FROM scored.selection WHERE selected ORDER BY doc_id")
    return result(
        lake,
        write,
        report=dg.MetadataValue.md(report.render(table)),
        funnel=dg.MetadataValue.md(plots.funnel(_left(lake, steps))),
        retention=dg.MetadataValue.md(
            plots.bars(
                [row["group"] for row in retention],
                [row["value"] for row in retention],
                [row["low"] for row in retention],
                [row["high"] for row in retention],
                "Documents selected, of those read",
                percent=True,
            )
        ),
        scores=dg.MetadataValue.md(
            plots.histogram(
                {name: scores[name].to_pylist() for name in scores.column_names},
                "Scores of the selection",
                "score",
            )
        ),
    )


def _left(lake: Lake, steps: list[dict]) -> list[tuple[str, int]]:
    left = lake.query("SELECT count(*) AS n FROM raw.documents")["n"][0].as_py()
    kept = [("read", left)]
    for step in steps:
        left -= step["removed"]
        kept.append((step["step"], left))
    chosen = lake.query("SELECT count_if(selected)::BIGINT AS n FROM scored.selection")["n"][0].as_py()
    return [*kept, ("selected", chosen)]


@dg.multi_asset(
    name="proxy",
    group_name="evaluated",
    specs=[
        dg.AssetSpec(
            ["evaluated", "proxy_runs"],
            deps=[SELECTION, REDACTED, DUPLICATES],
            owners=[EVALUATION],
            kinds={"numpy", "duckdb"},
            code_version=code_version("evals/proxy.py", "evals/ngram.py"),
            description=(
                "Tier-0 retraining proxy: n-gram models trained on raw, selected and random documents with "
                "one token budget, and their held-out negative log-likelihood by arm, seed and holdout."
            ),
        ),
        dg.AssetSpec(
            ["evaluated", "proxy_summary"],
            deps=[SELECTION, REDACTED, DUPLICATES],
            owners=[EVALUATION],
            kinds={"numpy", "duckdb"},
            code_version=code_version("evals/proxy.py", "evals/ngram.py"),
            description="The paired differences between arms, and the only claim each comparison allows.",
        ),
    ],
)
def proxy_runs(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.MaterializeResult]:
    policy = proxy_policy()
    documents = lake.query(
        "SELECT redacted.doc_id, redacted.source, redacted.text, documents.synthetic, duplicates.cluster_id, "
        "coalesce(selection.selected, false) AS selected FROM filtered.redacted AS redacted "
        "JOIN raw.documents AS documents USING (doc_id) "
        "LEFT JOIN scored.selection AS selection USING (doc_id) "
        "LEFT JOIN filtered.duplicates AS duplicates USING (doc_id) "
        "JOIN raw.sources AS sources ON sources.source = redacted.source "
        # What can't be released is no candidate: leaving it out would flatter every selection.
        "WHERE sources.releasable ORDER BY redacted.source, redacted.doc_id"
    )
    runs = proxy.run_proxy(documents, policy)
    summary = proxy.summarise(runs, policy)
    writes = lake.replace_all(
        {"evaluated.proxy_runs": runs, "evaluated.proxy_summary": summary}, run_id=context.run_id
    )
    rows = [row for row in summary.to_pylist() if row["holdout"] != "source"]
    plot = plots.bars(
        [f"{row['comparison']}: {row['holdout']}" for row in rows],
        [row["difference"] for row in rows],
        [row["low"] for row in rows],
        [row["high"] for row in rows],
        "Held-out NLL, arm minus baseline",
        "nats per token; below 0 the arm predicts better",
    )
    yield result(lake, writes["evaluated.proxy_runs"])
    yield result(
        lake,
        writes["evaluated.proxy_summary"],
        differences=dg.MetadataValue.md(plot),
        claims=markdown_table(rows),
    )


@dg.multi_asset(
    name="drill_recall",
    group_name="evaluated",
    specs=[
        dg.AssetSpec(
            ["evaluated", "drill_recall"],
            deps=[DOCUMENTS, REDACTED, DUPLICATES, DECISIONS, CONTAMINATION, SCORES, SELECTION],
            owners=[EVALUATION],
            kinds={"duckdb"},
            code_version=code_version("evals/drill.py"),
            description="What share of each planted hazard the stages caught, with n and interval.",
        ),
        dg.AssetSpec(
            ["evaluated", "drill_missed"],
            deps=[DOCUMENTS, REDACTED, DUPLICATES, DECISIONS, CONTAMINATION, SCORES, SELECTION],
            owners=[EVALUATION],
            kinds={"duckdb"},
            code_version=code_version("evals/drill.py"),
            description="The planted hazards that nothing caught, and false alarms: listed, not hidden.",
        ),
    ],
)
def drill_recall(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.MaterializeResult]:
    # Removed documents have no scores in the lake; what a drill asks is what the scorer would have said.
    from assets.scorers import toxicity

    texts = lake.query(
        "SELECT redacted.doc_id, redacted.text FROM filtered.redacted AS redacted "
        "WHERE list_contains(?, redacted.source) ORDER BY doc_id",
        [list(DRILLS)],
    )
    scores = pa.table({"doc_id": texts["doc_id"], "toxicity": toxicity.score(texts["text"])})
    recall, missed = drill.drill_recall(
        lake.query(
            "SELECT doc_id, key, metadata->>'$.hazard' AS hazard, metadata->>'$.truth' AS truth "
            "FROM raw.documents WHERE list_contains(?, source)",
            [list(DRILLS)],
        ),
        findings=lake.query("FROM filtered.pii_findings"),
        duplicates=lake.query("FROM filtered.duplicates"),
        decisions=lake.query("FROM filtered.decisions"),
        contamination=lake.query("FROM filtered.contamination"),
        scores=scores,
        toxicity_limit=toxicity.TOXIC,
    )
    writes = lake.replace_all(
        {"evaluated.drill_recall": recall, "evaluated.drill_missed": missed}, run_id=context.run_id
    )
    rows = recall.to_pylist()
    plot = plots.bars(
        [f"{row['hazard']} {row['slice'] or ''}".strip() for row in rows],
        [row["value"] for row in rows],
        [row["low"] for row in rows],
        [row["high"] for row in rows],
        "Planted hazards caught (of clean documents: false alarms)",
        percent=True,
    )
    yield result(
        lake, writes["evaluated.drill_recall"], plot=dg.MetadataValue.md(plot), recall=markdown_table(rows)
    )
    yield result(
        lake, writes["evaluated.drill_missed"], missed=markdown_table(missed.slice(0, 100).to_pylist())
    )


@dg.asset(
    key=["evaluated", "verdict"],
    deps=[["evaluated", "data_report"], ["evaluated", "proxy_summary"]],
    group_name="evaluated",
    owners=[EVALUATION],
    kinds={"duckdb", "yaml"},
    code_version=code_version("evals/verdict.py", str(settings.gates_file())),
)
def verdict_(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Each gate, its figure, its limit, pass or fail: what a person reads before a release."""
    figures = {
        **report.intervals(lake.query("FROM evaluated.data_report")),
        **proxy.intervals(lake.query("FROM evaluated.proxy_summary")),
    }
    table = verdict.judge(figures, verdict.load_gates(settings.gates_file()))
    write = lake.replace("evaluated.verdict", table, run_id=context.run_id)
    rows = table.select(["gate", "figure", "value", "low", "high", "n", "comparison", "limit", "passed"])
    return result(lake, write, passed=verdict.passed(table), gates=markdown_table(rows.to_pylist()))
