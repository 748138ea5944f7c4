"""The data report: what the selection is made of and what is wrong with it, each rate with its interval."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from assets.intervals import Interval, wilson

ALL = "all"
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

DATA_REPORT = pa.schema(
    [
        ("figure", pa.string()),
        ("group", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("n", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Figure:
    """A figure of the report: what it says, what its groups are called, whether it is a share."""

    name: str
    title: str
    groups: str = ""
    share: bool = True


FIGURES = (
    Figure("documents_accounted", "Documents read that have exactly one decision"),
    Figure("selection_complete", "Selected documents that were kept and have every score"),
    Figure("retention", "Documents selected, of those read from releasable sources", "source"),
    Figure("removed_by", "Documents left out of the selection, by first reason, of those read", "reason"),
    Figure("license_known", "Selected documents whose licence is known or waived"),
    Figure("license", "Licences of the selection", "licence"),
    Figure("language_share", "Selected documents in the languages meant"),
    Figure("language", "Languages of the selection", "language"),
    Figure(
        "residual_pii", "Documents with personal data found after redaction, of those scanned again", "entity"
    ),
    Figure(
        "pii_missed",
        "Selected documents estimated to hold personal data that was not found, by the measured recall",
        "entity",
    ),
    Figure("pii_measured", "Selected documents whose kinds of personal data all have a measured recall"),
    Figure("contamination", "Selected documents holding benchmark items", "benchmark"),
    Figure("toxicity", "Selected documents at or above the toxicity limit"),
    Figure("unreleasable", "Selected documents that may not be released"),
    Figure("drill", "Selected documents that were planted by the drill"),
    Figure("synthetic", "Selected documents written by a model"),
    Figure("quality_quantile", "Quality of the selection", "quantile", share=False),
    Figure("toxicity_quantile", "Toxicity of the selection", "quantile", share=False),
)


@dataclass(frozen=True)
class ReportPolicy:
    """What the report counts as what.

    Attributes:
        languages: The languages the selection is meant to be in.
        toxicity_limit: A text is toxic at this score and above.
        contamination_limit: A document holds an item when this share of the item's n-grams is in it.
        unreleasable_sources: Sources that may not be released.
        drill_sources: Sources of planted hazards.
        waived_sources: Sources whose unknown licence a recorded waiver covers.
    """

    languages: tuple[str, ...]
    toxicity_limit: float = 0.5
    contamination_limit: float = 0.5
    unreleasable_sources: tuple[str, ...] = ()
    drill_sources: tuple[str, ...] = ()
    waived_sources: tuple[str, ...] = ()


def data_report(
    documents: pa.Table,
    *,
    decisions: pa.Table,
    selection: pa.Table,
    scores: pa.Table,
    contamination: pa.Table,
    residual: pa.Table,
    rescanned: Sequence[str],
    found: pa.Table,
    recall: pa.Table,
    policy: ReportPolicy,
) -> pa.Table:
    """The figures of the data, as DATA_REPORT: one row a figure and group, in the order of FIGURES.

    Sources that may not be released are no candidates, so `retention` leaves them out.

    Args:
        documents: All that was read: doc_id, source, license, consent, synthetic.
        decisions: doc_id, verdict, reason.
        selection: doc_id, selected, reason.
        scores: doc_id, quality, toxicity, language.
        contamination: doc_id, benchmark, overlap.
        residual: Findings in redacted text: doc_id, entity.
        rescanned: The ids of the documents whose redacted text was scanned again; findings elsewhere don't
            count.
        found: Findings in the text as it was read: doc_id, entity.
        recall: What share of an entity's values is found, where that was measured: entity, recall, low, high, n.
        policy: Limits and what sources are.

    Raises:
        ValueError: A document is selected that was never read.
    """
    read = _columns(documents, "doc_id", "source", "license", "consent", "synthetic")
    selected_ids = {row["doc_id"] for row in _columns(selection, "doc_id", "selected") if row["selected"]}
    chosen = [row for row in read if row["doc_id"] in selected_ids]
    if len(chosen) != len(selected_ids):
        raise ValueError(
            f"{len(selected_ids)} documents are selected, {len(chosen)} of the documents read are among them"
        )
    decided = Counter(decisions["doc_id"].to_pylist())
    ledger = {row["doc_id"]: row for row in _columns(decisions, "doc_id", "verdict", "reason")}
    left_out = {row["doc_id"]: row["reason"] for row in _columns(selection, "doc_id", "reason")}
    score = {row["doc_id"]: row for row in _columns(scores, "doc_id", "quality", "toxicity", "language")}
    scored = [score[row["doc_id"]] for row in chosen if row["doc_id"] in score]
    toxicity = [row["toxicity"] for row in scored if row["toxicity"] is not None]
    quality = [row["quality"] for row in scored if row["quality"] is not None]
    languages = [row["language"] or "unknown" for row in scored]
    candidates = [row for row in read if row["source"] not in policy.unreleasable_sources]

    def complete(doc_id: str) -> bool:
        row = score.get(doc_id, {})
        measured = all(row.get(name) is not None for name in ("quality", "toxicity", "language"))
        return measured and ledger.get(doc_id, {}).get("verdict") == "kept"

    def reason(doc_id: str) -> str:
        decision = ledger.get(doc_id, {"verdict": None, "reason": "no decision"})
        return (left_out.get(doc_id) if decision["verdict"] == "kept" else decision["reason"]) or "unnamed"

    def barred(row: dict) -> bool:
        return row["source"] in policy.unreleasable_sources or row["consent"] == "opted_out"

    def licensed(row: dict) -> bool:
        return row["license"] != "NOASSERTION" or row["source"] in policy.waived_sources

    hits = [
        (row["doc_id"], row["benchmark"])
        for row in _columns(contamination, "doc_id", "benchmark", "overlap")
        if row["overlap"] >= policy.contamination_limit
    ]
    findings = [(row["doc_id"], row["entity"]) for row in _columns(residual, "doc_id", "entity")]
    # What the drill plants in a text says nothing of what stands in the others.
    ours = {row["doc_id"] for row in chosen if row["source"] not in policy.drill_sources}
    personal = {(row["doc_id"], row["entity"]) for row in _columns(found, "doc_id", "entity")}
    personal = {(doc_id, entity) for doc_id, entity in personal if doc_id in ours}
    recalls = {
        row["entity"]: Interval(row["recall"], row["low"], row["high"], row["n"])
        for row in _columns(recall, "entity", "recall", "low", "high", "n")
    }
    unmeasured = {doc_id for doc_id, entity in personal if entity not in recalls}
    rates: dict[str, Iterator[tuple[str, Interval]]] = {
        "documents_accounted": _share(decided[row["doc_id"]] == 1 for row in read),
        "selection_complete": _share(complete(row["doc_id"]) for row in chosen),
        "retention": _by_group((row["source"], row["doc_id"] in selected_ids) for row in candidates),
        "removed_by": _parts(
            [reason(row["doc_id"]) for row in read if row["doc_id"] not in selected_ids], len(read)
        ),
        "license_known": _share(map(licensed, chosen)),
        "license": _parts([row["license"] for row in chosen], len(chosen)),
        "language_share": _share(language in policy.languages for language in languages),
        "language": _parts(languages, len(languages)),
        "residual_pii": _touched(findings, set(rescanned)),
        "pii_missed": _missed([entity for _, entity in personal], recalls, len(ours)),
        "pii_measured": _share(doc_id not in unmeasured for doc_id in ours),
        "contamination": _touched(hits, selected_ids),
        "toxicity": _share(value >= policy.toxicity_limit for value in toxicity),
        "unreleasable": _share(map(barred, chosen)),
        "drill": _share(row["source"] in policy.drill_sources for row in chosen),
        "synthetic": _share(row["synthetic"] for row in chosen),
        "quality_quantile": _quantiles(quality),
        "toxicity_quantile": _quantiles(toxicity),
    }
    rows = [
        {"figure": figure.name, "group": group, "value": i.value, "low": i.low, "high": i.high, "n": i.n}
        for figure in FIGURES
        for group, i in rates[figure.name]
    ]
    return pa.Table.from_pylist(rows, DATA_REPORT)


def intervals(report: pa.Table) -> dict[str, Interval]:
    """The figures by name, as gates ask for them: `toxicity` overall, `retention/web` of a group."""
    return {
        row["figure"] if row["group"] == ALL else f"{row['figure']}/{row['group']}": Interval(
            row["value"], row["low"], row["high"], row["n"]
        )
        for row in report.to_pylist()
    }


def render(report: pa.Table) -> str:
    """The report as Markdown: the overall figures in one table, then a table for each figure with groups."""
    rows = report.to_pylist()
    lines = ["| Figure | Value |", "|---|---|"]
    for figure in FIGURES:
        lines += [
            f"| {figure.title} | {_written(figure, row)} |"
            for row in rows
            if row["figure"] == figure.name and row["group"] == ALL
        ]
    for figure in FIGURES:
        grouped = [row for row in rows if row["figure"] == figure.name and row["group"] != ALL]
        if grouped:
            lines += ["", f"### {figure.title}", "", f"| {figure.groups.capitalize()} | Value |", "|---|---|"]
            lines += [f"| {_cell(row['group'])} | {_written(figure, row)} |" for row in grouped]
    return "\n".join(lines) + "\n"


def _written(figure: Figure, row: dict) -> str:
    interval = Interval(row["value"], row["low"], row["high"], row["n"])
    return interval.percent() if figure.share else interval.number()


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _columns(table: pa.Table, *names: str) -> list[dict]:
    return table.select(list(names)).to_pylist()


def _share(flags: Iterable[bool]) -> Iterator[tuple[str, Interval]]:
    found = list(flags)
    yield ALL, wilson(sum(found), len(found))


def _by_group(flags: Iterable[tuple[str, bool]]) -> Iterator[tuple[str, Interval]]:
    """The share overall and in each group, groups by name."""
    totals: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    for group, flag in flags:
        totals[group] += 1
        hits[group] += flag
    yield ALL, wilson(hits.total(), totals.total())
    for group in sorted(totals):
        yield group, wilson(hits[group], totals[group])


def _parts(groups: Sequence[str], n: int) -> Iterator[tuple[str, Interval]]:
    """The share of `n` that each group makes up, largest first."""
    for group, hits in sorted(Counter(groups).items(), key=lambda item: (-item[1], item[0])):
        yield group, wilson(hits, n)


def _touched(marks: Iterable[tuple[str, str]], doc_ids: set[str]) -> Iterator[tuple[str, Interval]]:
    """The share of documents with a mark of any kind, and of each kind; a document counts once."""
    distinct = {(doc_id, kind) for doc_id, kind in marks if doc_id in doc_ids}
    yield ALL, wilson(len({doc_id for doc_id, _ in distinct}), len(doc_ids))
    yield from _parts([kind for _, kind in distinct], len(doc_ids))


def missed(affected: int, recall: float, documents: int) -> float:
    """How many of `documents` are expected to hold a value that was not found, where one was found in `affected`
    of them and a share `recall` of such values, above 0, is found; as the macro `missed` of dbt_project."""
    return min(documents, affected * (1 - recall) / recall)


def _missed(
    entities: Sequence[str], recalls: Mapping[str, Interval], documents: int
) -> Iterator[tuple[str, Interval]]:
    """The estimated share of documents with a missed value of a measured entity, and of each, largest first.

    Args:
        entities: One for each document and entity found in it.

    The bounds are what those of the recalls make of it, all at once; a document that is counted for two
    entities counts twice, so that the sum errs on the side of more.
    """
    affected = Counter(entities)
    parts = {
        entity: Interval(
            *(missed(count, each, documents) / documents for each in (rate.value, rate.high, rate.low)),
            documents,
        )
        for entity, count in affected.items()
        if (rate := recalls.get(entity))
    }
    if not documents or (affected and not parts):
        yield ALL, wilson(0, 0)
        return
    value, low, high = (
        min(1.0, math.fsum(getattr(part, name) for part in parts.values()))
        for name in ("value", "low", "high")
    )
    yield ALL, Interval(value, low, high, documents)
    yield from sorted(parts.items(), key=lambda item: (-item[1].value, item[0]))


def _quantiles(values: Sequence[float]) -> Iterator[tuple[str, Interval]]:
    """Quantiles with the distribution-free interval between two order statistics (Conover 1999, 3.2)."""
    from scipy.stats import binom

    ordered = np.sort(np.asarray(values, dtype=float))
    n = len(ordered)
    for q in QUANTILES if n else ():
        low = int(binom.ppf(0.025, n, q))
        high = int(binom.ppf(0.975, n, q))
        yield (
            f"{q:.0%}",
            Interval(
                float(np.quantile(ordered, q)),
                float(ordered[max(low - 1, 0)]),
                float(ordered[min(high, n - 1)]),
                n,
            ),
        )
