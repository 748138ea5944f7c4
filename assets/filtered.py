"""filtered: measure every document once; what to do about it is decided in SQL (see dbt.py)."""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets import plots, settings
from assets.examined import examination
from assets.lake import Lake
from assets.privacy.names import version as names_version
from assets.rules import load_rules
from assets.spool import Spool
from assets.stage import (
    BY_SOURCE,
    CURATION,
    EVALUATION,
    PRIVACY,
    SOURCES,
    code_version,
    markdown_table,
    require_validated,
    result,
)

PARITY_SIGNALS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("signal", pa.string(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
)
# A plot of more documents looks the same.
DRAWN = 100_000

DOCUMENTS = dg.AssetKey(["raw", "documents"])
KEY = dg.AssetKey(["source", "pii_key"])


# Observable, and not a bare spec as the files are: where there are no partitions Dagster compares no others.
@dg.multi_observable_source_asset(
    name="pii_key",
    specs=[
        dg.AssetSpec(
            KEY,
            group_name="source",
            owners=[PRIVACY],
            kinds={"file"},
            description=(
                "The key that personal values are hashed with, outside this system. Its id, and nothing else of "
                "it, is observed before a run: under another key every source is examined anew."
            ),
        )
    ],
)
def pii_key() -> dg.ObserveResult:
    return dg.ObserveResult(KEY, data_version=present_key())


def present_key() -> dg.DataVersion:
    """What is observed of the key, which is made where there is none yet; one that can't be read is another one."""
    from assets.privacy.keys import load_key

    try:
        return dg.DataVersion(load_key(settings.pii_key_file()).id)
    except (ValueError, OSError):
        # The sources' own runs say why.
        return dg.DataVersion("unreadable")


# Everything in this stage that reads text reads it through these.
TEXT_CODE = ("filters/buffers.py", "filters/characters.py", "filters/kernels.py")
# What lines are told by, and datatrove's reading of a text: signals count what an editor would do.
LINE_CODE = (
    "filters/english_words.py",
    "filters/parity.py",
    "filters/parity_kernels.py",
    "filters/phrases.py",
    "filters/phrases.tsv",
    *TEXT_CODE,
)
POLICY_CODE = ("filters/policies.py", str(settings.policies_file()))
# Everything that compares documents folds them first.
COMPARING_CODE = ("filters/folding.py", *POLICY_CODE, *TEXT_CODE)
EDITING_CODE = ("filters/edits.py", *POLICY_CODE, *LINE_CODE)
FINDING_CODE = ("privacy", str(settings.recognizers_file()))
PRIVACY_CODE = (*FINDING_CODE, str(settings.redaction_file()), *EDITING_CODE)
NER = names_version(settings.ner())


@dg.asset(
    key=["filtered", "signals"],
    deps=[DOCUMENTS],
    group_name="filtered",
    partitions_def=BY_SOURCE,
    owners=[CURATION],
    kinds={"numba", "fasttext", "duckdb"},
    code_version=code_version(
        "filters/fasttext_inference.py",
        "filters/language.py",
        "filters/measured.py",
        "filters/signals.py",
        *LINE_CODE,
    ),
)
def signals(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """What is measured of each document: length, words, lines, symbols, repetition, language.

    Only texts that are new to the lake are measured, and only by what was not measured on them before.
    """
    from assets.filters.measured import Measurement

    source = context.partition_key
    measurement = Measurement(lake, source, settings.engine(), settings.workers())
    tables = {"filtered.signals": measurement, "filtered.parity_signals": _parity_signals(lake, source)}
    write = lake.replace_all(tables, run_id=context.run_id, source=source)["filtered.signals"]
    languages = lake.query(
        "SELECT language, count(*) AS documents FROM filtered.signals WHERE source = ? "
        "GROUP BY language ORDER BY documents DESC, language LIMIT 10",
        [source],
    )
    return result(
        lake,
        write,
        taken_over=measurement.taken_over,
        texts_measured=markdown_table(
            [{"group": g, "texts": n} for g, n in sorted(measurement.texts.items())]
        ),
        distributions=dg.MetadataValue.md(_distributions(lake, source)),
        languages=markdown_table(languages.to_pylist()),
    )


def _parity_signals(lake: Lake, source: str) -> Iterator[pa.Table]:
    """What datatrove measures of a source that is held to its rules, a row a signal; of others nothing."""
    from assets.filters import parity

    yield PARITY_SIGNALS.empty_table()
    if SOURCES[source].profile != "parity":
        return
    for documents in lake.stream("SELECT doc_id, source, text FROM raw.documents WHERE source = ?", [source]):
        measured = parity.measure(documents["text"])
        for signal in parity.SIGNALS:
            value = measured[signal.name].cast(pa.float64())
            name = pa.repeat(signal.name, len(value))
            yield pa.table([documents["doc_id"], documents["source"], name, value], schema=PARITY_SIGNALS)


def _distributions(lake: Lake, source: str) -> str:
    """Each signal that a rule of the profile asks for, with the rule's threshold as it stands today."""
    from assets.filters.signals import SIGNALS

    profile = SOURCES[source].profile
    limits: dict[str, list[tuple[str, float]]] = {each.name: [] for each in SIGNALS}
    for rule in load_rules():
        if rule.applies_to(profile) and rule.signal in limits:
            limits[rule.signal].append((rule.comparison, rule.threshold))
    asked = [signal for signal, found in limits.items() if found]
    if not asked:
        return "*no rule of the profile asks for a signal*"
    measured = lake.query(
        f"SELECT {', '.join(asked)} FROM (FROM filtered.signals WHERE source = ?) "
        f"USING SAMPLE reservoir({DRAWN} ROWS) REPEATABLE (1)",
        [source],
    )
    panels = [
        plots.Panel(
            signal, measured[signal].to_pylist(), limits[signal], log=signal in ("words", "characters")
        )
        for signal in asked
    ]
    return plots.histograms(panels, f"Signals, and where the rules of {profile} draw the line")


@dg.multi_asset(
    name="pii",
    group_name="filtered",
    partitions_def=BY_SOURCE,
    specs=[
        dg.AssetSpec(
            ["filtered", "pii_findings"],
            deps=[DOCUMENTS, KEY],
            owners=[PRIVACY],
            kinds={"presidio", "duckdb"},
            code_version=f"{code_version(*FINDING_CODE)}-{NER}",
            description=(
                "Each span of personal data found: entity, place, score, recogniser and a keyed hash; "
                "never the value."
            ),
        ),
        dg.AssetSpec(
            ["filtered", "redacted"],
            deps=[DOCUMENTS, KEY],
            owners=[PRIVACY],
            kinds={"presidio", "duckdb"},
            code_version=f"{code_version(*PRIVACY_CODE)}-{NER}",
            description=(
                "Each document's text and turns with personal data replaced as the actions of its source say, by "
                "default by typed placeholders, and without the lines that the editor of its profile removes, "
                "where there is one."
            ),
        ),
    ],
)
def pii(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> Iterator[dg.MaterializeResult]:
    from assets.filters.edits import EDITS, edit_documents, editor_of
    from assets.privacy.actions import actions_for, load_actions
    from assets.privacy.findings import FINDING, PiiPolicy, find_pii
    from assets.privacy.keys import load_key
    from assets.privacy.redaction import REDACTED, redact, residual

    source = context.partition_key
    key = load_key(settings.pii_key_file())
    editor = editor_of(SOURCES[source].profile, settings.policies_file())
    actions = actions_for(load_actions(settings.redaction_file()), SOURCES[source].profile, source)
    policy = PiiPolicy(ner=settings.ner())
    version = f"{code_version(*PRIVACY_CODE)}-{key.id}-{NER}-{editor}"
    schemas = {
        "filtered.pii_findings": FINDING,
        "filtered.pii_residual": FINDING,
        "filtered.edits": EDITS,
        "filtered.redacted": REDACTED,
    }
    with (
        examination(lake, "filtered.pii_examined", source, version) as seen,
        TemporaryDirectory(prefix="winnow-") as folder,
    ):
        made = {table: Spool(Path(folder) / table, schema) for table, schema in schemas.items()}
        for documents in seen.to_examine():
            findings = find_pii(documents, key, policy)
            redacted = redact(documents, findings, actions)
            # A text without findings is as it was: only a changed text can say something new.
            left = residual(redacted.filter(pc.field("n_findings") > 0), key, actions)
            redacted, edits = edit_documents(redacted, editor)
            for table, rows in zip(schemas, (findings, left, edits, redacted), strict=True):
                made[table].write(rows)
        tables: dict[str, Iterable[pa.Table]] = {
            table: chain(seen.taken_over(table, schema), made[table]) for table, schema in schemas.items()
        }
        tables["filtered.pii_examined"] = seen.record(version)
        writes = lake.replace_all(tables, run_id=context.run_id, source=source)
    entities = lake.query(
        "SELECT entity, count(*) AS findings, count(DISTINCT doc_id) AS documents "
        "FROM filtered.pii_findings WHERE source = ? GROUP BY entity ORDER BY findings DESC, entity",
        [source],
    )
    yield result(
        lake,
        writes["filtered.pii_findings"],
        taken_over=seen.documents - seen.fresh,
        entities=markdown_table(entities.to_pylist()),
    )
    by_rule = lake.query(
        "SELECT rule, count(*) AS edits, count(DISTINCT doc_id) AS documents, sum(characters)::BIGINT AS characters "
        "FROM filtered.edits WHERE source = ? GROUP BY rule ORDER BY edits DESC, rule",
        [source],
    )
    yield result(
        lake, writes["filtered.redacted"], editor=editor or "none", edits=markdown_table(by_rule.to_pylist())
    )


def contamination_code() -> tuple[str, ...]:
    """What the findings depend on besides the text: the code, its numbers and the benchmarks themselves."""
    files = map(str, settings.benchmark_files())
    return ("filters/contamination.py", "filters/benchmarks", *files, *COMPARING_CODE)


@dg.asset(
    key=["filtered", "contamination"],
    deps=[DOCUMENTS],
    group_name="filtered",
    partitions_def=BY_SOURCE,
    owners=[EVALUATION],
    kinds={"numba", "duckdb"},
    code_version=code_version(*contamination_code()),
)
def contamination(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Benchmark items found in documents, copied or lightly edited: what would flatter an evaluation."""
    from assets.filters.contamination import (
        SCHEMA,
        ContaminationPolicy,
        find_contamination,
        load_benchmark,
        packaged_benchmarks,
        report,
    )
    from assets.filters.policies import load_policy

    source = context.partition_key
    benchmarks = [load_benchmark(path) for path in (*packaged_benchmarks(), *settings.benchmark_files())]
    policy = load_policy(ContaminationPolicy, "contamination", settings.policies_file())
    version = code_version(*contamination_code())
    with examination(lake, "filtered.contamination_examined", source, version) as seen:
        new = find_contamination(seen.to_examine(), benchmarks, policy)
        found = pa.concat_tables([*seen.taken_over("filtered.contamination", SCHEMA), new])
        by_benchmark = report(found, source, seen.documents, benchmarks, policy)
        writes = lake.replace_all(
            {
                "filtered.contamination_report": by_benchmark,
                "filtered.contamination": found,
                "filtered.contamination_examined": seen.record(version),
            },
            run_id=context.run_id,
            source=source,
        )
    return result(
        lake,
        writes["filtered.contamination"],
        taken_over=seen.documents - seen.fresh,
        report=markdown_table(by_benchmark.drop(["source"]).to_pylist()),
        hits=markdown_table(found.drop(["source"]).slice(0, 50).to_pylist()),
    )


RELEASABLE = (
    "SELECT documents.*, sources.releasable FROM raw.documents AS documents "
    "JOIN raw.sources AS sources USING (source) WHERE source = ?"
)
DISTINCT = (
    "SELECT doc_id, documents.source, documents.text, coalesce(duplicates.is_keeper, true) AS counted "
    "FROM raw.documents AS documents LEFT JOIN filtered.duplicates AS duplicates USING (doc_id) "
    "WHERE documents.source = ?"
)


def _by_source(lake: Lake, query: str) -> Iterator[pa.Table]:
    """What a query about one source says of each, one table after the other."""
    for row in lake.query("SELECT source FROM raw.sources ORDER BY source").to_pylist():
        yield lake.query(query, [row["source"]])


@dg.asset(
    key=["filtered", "duplicates"],
    deps=[DOCUMENTS],
    group_name="filtered",
    owners=[CURATION],
    kinds={"daft", "duckdb"},
    code_version=code_version("filters/duplicates.py", "engine.py", *COMPARING_CODE),
)
def duplicates(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """Clusters of equal and nearly equal documents across all sources, each with the one that is kept."""
    from assets.filters.duplicates import NearDuplicatePolicy, find_duplicates
    from assets.filters.policies import load_policy

    require_validated(lake, ["raw/documents"])
    policy = load_policy(NearDuplicatePolicy, "near_duplicates", settings.policies_file())
    clusters = find_duplicates(_by_source(lake, RELEASABLE), policy)
    write = lake.replace("filtered.duplicates", clusters, run_id=context.run_id)
    by_relation = lake.query(
        "SELECT relation, count(DISTINCT cluster_id) AS clusters, count(*) AS documents, "
        "count_if(NOT is_keeper)::BIGINT AS removable FROM filtered.duplicates GROUP BY ALL ORDER BY ALL"
    )
    return result(lake, write, relations=markdown_table(by_relation.to_pylist()))


@dg.asset(
    key=["filtered", "boilerplate"],
    deps=[DOCUMENTS, dg.AssetKey(["filtered", "duplicates"])],
    group_name="filtered",
    owners=[CURATION],
    kinds={"numba", "duckdb"},
    code_version=code_version("filters/boilerplate.py", *COMPARING_CODE),
)
def boilerplate(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> dg.MaterializeResult:
    """How much of each document is lines and paragraphs that many documents share; duplicates don't count."""
    from assets.filters.boilerplate import BoilerplatePolicy, find_boilerplate
    from assets.filters.policies import load_policy

    policy = load_policy(BoilerplatePolicy, "boilerplate", settings.policies_file())
    signals, passages = find_boilerplate(_by_source(lake, DISTINCT), policy)
    writes = lake.replace_all(
        {"filtered.boilerplate_passages": passages, "filtered.boilerplate": signals}, run_id=context.run_id
    )
    shares: dict[str, list[float]] = {}
    for row in signals.select(["source", "boilerplate_char_ratio"]).to_pylist():
        shares.setdefault(row["source"], []).append(row["boilerplate_char_ratio"])
    return result(
        lake,
        writes["filtered.boilerplate"],
        shares=dg.MetadataValue.md(
            plots.histogram(shares, "Boilerplate per document", "share of characters")
        ),
        passages=markdown_table(passages.slice(0, 20).to_pylist()),
    )
