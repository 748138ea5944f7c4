"""The data report, the drill's recall and the plots, on tables small enough to count by hand."""

from __future__ import annotations

import base64
import json
import math
import subprocess
import sys
from collections.abc import Callable

import pyarrow as pa
import pytest

from assets import plots
from assets.evals.drill import HAZARDS, drill_recall
from assets.evals.report import DATA_REPORT, FIGURES, ReportPolicy, data_report, intervals, render
from assets.intervals import Interval, wilson

# --- the data report -------------------------------------------------------------------------------

POLICY = ReportPolicy(
    languages=("en",),
    unreleasable_sources=("drill",),
    drill_sources=("drill",),
    waived_sources=("docs",),
)


RECALL = pa.table(
    {
        "entity": ["EMAIL_ADDRESS", "PHONE_NUMBER"],
        "recall": [0.8, 0.5],
        "low": [0.5, 0.25],
        "high": [1.0, 0.8],
        "n": [20, 30],
    }
)


def tables(selected_drill: bool = False) -> dict:
    """Ten web pages, four docs and two planted documents; six pages, all docs and no drill are selected."""
    ids = [*(f"w{n}" for n in range(10)), *(f"d{n}" for n in range(4)), "p0", "p1"]
    source = {"w": "web", "d": "docs", "p": "drill"}
    licence = {"w": "CC-BY-4.0", "d": "NOASSERTION", "p": "CC0-1.0"}
    removed = {"w7": "too_short", "w8": "near_duplicate", "w9": "near_duplicate", "p0": "too_short"}
    kept = [doc_id for doc_id in ids if doc_id not in removed]
    chosen = [doc_id for doc_id in kept if doc_id != "w6" and (selected_drill or doc_id != "p1")]
    return {
        "documents": pa.table(
            {
                "doc_id": ids,
                "source": [source[doc_id[0]] for doc_id in ids],
                "license": [licence[doc_id[0]] for doc_id in ids],
                "consent": ["unknown"] * len(ids),
                "synthetic": [doc_id == "d0" for doc_id in ids],
            }
        ),
        "decisions": pa.table(
            {
                "doc_id": ids,
                "verdict": ["removed" if doc_id in removed else "kept" for doc_id in ids],
                "reason": [removed.get(doc_id) for doc_id in ids],
            }
        ),
        "selection": pa.table(
            {
                "doc_id": kept,
                "selected": [doc_id in chosen for doc_id in kept],
                "reason": [None if doc_id in chosen else "low_quality" for doc_id in kept],
            }
        ),
        "scores": pa.table(
            {
                "doc_id": kept,
                "quality": [n / 20 for n in range(len(kept))],
                "toxicity": [0.9 if doc_id == "w0" else 0.1 for doc_id in kept],
                "language": ["ko" if doc_id == "d3" else "en" for doc_id in kept],
            }
        ),
        "contamination": pa.table(
            {
                "doc_id": ["w1", "w1", "w2", "w9"],
                "benchmark": ["a", "b", "a", "a"],
                "overlap": [0.9, 0.8, 0.2, 1.0],
            }
        ),
        "residual": pa.table(
            {"doc_id": ["w0", "w0", "w1", "w9"], "entity": ["PERSON", "PERSON", "EMAIL_ADDRESS", "PERSON"]}
        ),
        "rescanned": ["w0", "w1", "w2", "d0"],
        # Two values of a kind in one document, one in a document that is left out, and one that was planted.
        "found": pa.table(
            {
                "doc_id": ["w0", "w0", "w1", "w1", "w9", "p1"],
                "entity": [*["EMAIL_ADDRESS"] * 3, "PHONE_NUMBER", "PHONE_NUMBER", "PHONE_NUMBER"],
            }
        ),
        "recall": RECALL,
        "policy": POLICY,
    }


def report(**changes) -> pa.Table:
    arguments = tables() | changes
    return data_report(arguments.pop("documents"), **arguments)


def test_every_figure_counted_by_hand() -> None:
    table = report()
    assert table.schema == DATA_REPORT
    figures = intervals(table)
    expected = {
        "documents_accounted": wilson(16, 16),
        "selection_complete": wilson(10, 10),
        "retention": wilson(10, 14),
        "retention/web": wilson(6, 10),
        "retention/docs": wilson(4, 4),
        "removed_by/too_short": wilson(2, 16),
        "removed_by/near_duplicate": wilson(2, 16),
        "removed_by/low_quality": wilson(2, 16),
        "license_known": wilson(10, 10),
        "license/CC-BY-4.0": wilson(6, 10),
        "license/NOASSERTION": wilson(4, 10),
        "language_share": wilson(9, 10),
        "language/ko": wilson(1, 10),
        "residual_pii": wilson(2, 4),
        "residual_pii/PERSON": wilson(1, 4),
        "residual_pii/EMAIL_ADDRESS": wilson(1, 4),
        # 2 of 10 with e-mail, of which a fifth is missed; 1 of 10 with a number, of which half is.
        "pii_missed": Interval(0.15, 0.025, 0.5, 10),
        "pii_missed/EMAIL_ADDRESS": Interval(0.05, 0.0, 0.2, 10),
        "pii_missed/PHONE_NUMBER": Interval(0.1, 0.025, 0.3, 10),
        "pii_measured": wilson(10, 10),
        "contamination": wilson(1, 10),
        "contamination/a": wilson(1, 10),
        "contamination/b": wilson(1, 10),
        "toxicity": wilson(1, 10),
        "unreleasable": wilson(0, 10),
        "drill": wilson(0, 10),
        "synthetic": wilson(1, 10),
    }
    assert {name: figures[name].n for name in expected} == {name: each.n for name, each in expected.items()}
    for bound in ("value", "low", "high"):
        assert {name: getattr(figures[name], bound) for name in expected} == pytest.approx(
            {name: getattr(each, bound) for name, each in expected.items()}
        )
    median = figures["toxicity_quantile/50%"]
    assert (median.value, median.n) == (0.1, 10)
    assert all(i.low <= i.value <= i.high for name, i in figures.items() if "quantile" in name)


def test_what_must_not_be_selected_shows() -> None:
    arguments = tables(selected_drill=True)
    documents = arguments.pop("documents")
    opted_out = ["opted_out" if doc_id == "w0" else "unknown" for doc_id in documents["doc_id"].to_pylist()]
    documents = documents.set_column(3, "consent", pa.array(opted_out))
    figures = intervals(data_report(documents, **arguments))
    assert figures["drill"] == wilson(1, 11)
    assert figures["unreleasable"] == wilson(2, 11)


def test_what_the_drill_planted_counts_for_nothing() -> None:
    figures = intervals(report(**tables(selected_drill=True)))
    assert figures["pii_missed/PHONE_NUMBER"].value == pytest.approx(0.1) and figures["pii_missed"].n == 10


def test_what_no_sample_measures_is_missing_and_says_so() -> None:
    some = intervals(report(recall=RECALL.slice(1)))
    assert some["pii_missed"].value == pytest.approx(0.1) and "pii_missed/EMAIL_ADDRESS" not in some
    assert some["pii_measured"] == wilson(8, 10)
    none = intervals(report(recall=RECALL.slice(2)))
    assert math.isnan(none["pii_missed"].value) and none["pii_missed"].n == 0
    clean = intervals(report(found=tables()["found"].slice(6), recall=RECALL.slice(2)))
    assert clean["pii_missed"] == Interval(0.0, 0.0, 0.0, 10) and clean["pii_measured"] == wilson(10, 10)


def test_more_than_all_documents_cannot_be_missed() -> None:
    little = RECALL.set_column(1, "recall", pa.array([0.01, 0.01])).set_column(
        2, "low", pa.array([0.001] * 2)
    )
    missed = intervals(report(recall=little))["pii_missed"]
    assert (missed.value, missed.high) == (1.0, 1.0)


def test_a_licence_without_waiver_is_unknown() -> None:
    figures = intervals(report(policy=ReportPolicy(("en",))))
    assert figures["license_known"] == wilson(6, 10)


def test_missing_decisions_and_scores_show() -> None:
    whole = tables()
    figures = intervals(report(decisions=whole["decisions"].slice(1), scores=whole["scores"].slice(2)))
    assert figures["documents_accounted"] == wilson(15, 16)
    assert figures["selection_complete"] == wilson(8, 10)
    assert figures["toxicity"] == wilson(0, 8)
    twice = intervals(
        report(decisions=pa.concat_tables([whole["decisions"], whole["decisions"].slice(0, 1)]))
    )
    assert twice["documents_accounted"] == wilson(15, 16)


def test_a_selected_document_that_was_never_read_is_an_error() -> None:
    with pytest.raises(ValueError, match="10 documents are selected, 9 of"):
        report(documents=tables()["documents"].slice(1))


def test_an_empty_selection_says_no_data() -> None:
    none = tables()["selection"].slice(0, 0)
    table = report(selection=none)
    assert intervals(table)["toxicity"].n == 0
    assert "| Selected documents at or above the toxicity limit | no data (n=0) |" in render(table)


def test_rendered_report() -> None:
    written = render(report())
    assert (
        "| Documents selected, of those read from releasable sources | 71.4 % [45.4, 88.3] n=14 |" in written
    )
    assert "### Licences of the selection\n\n| Licence | Value |\n|---|---|\n| CC-BY-4.0 | 60.0 %" in written
    assert all(figure.title in written for figure in FIGURES)
    assert render(report()) == written


def test_a_group_cannot_break_its_table() -> None:
    documents = tables()["documents"]
    licence = pa.array(["a | b\nc"] * documents.num_rows)
    assert "| a \\| b c | 100.0 %" in render(report(documents=documents.set_column(2, "license", licence)))


# --- the drill -------------------------------------------------------------------------------------


def span(entity: str, start: int, end: int) -> dict:
    return {"entity": entity, "start": start, "end": end}


TRUTH = [
    ("pii1", "pii", {"form": "plain", "spans": [span("EMAIL_ADDRESS", 10, 30), span("PERSON", 40, 50)]}),
    ("pii2", "pii", {"form": "hard", "spans": [span("PERSON", 0, 10)]}),
    ("exact1", "exact_duplicate", {"original": "clean1-key"}),
    ("near1", "near_duplicate", {"original": "clean1-key"}),
    ("near2", "near_duplicate", {"original": "elsewhere", "edit_rate": 0.1}),
    ("near3", "near_duplicate", {"original": "elsewhere"}),
    ("repeat1", "repetition", {}),
    ("repeat2", "repetition", {}),
    ("repeat3", "repetition", None),
    ("foreign1", "wrong_language", {"language": "fr"}),
    ("toxic1", "toxic", {}),
    ("toxic2", "toxic", {}),
    ("toxic3", "toxic", {}),
    ("leak1", "leakage", {"benchmark": "facts", "item": "7", "form": "verbatim"}),
    ("leak2", "leakage", {"benchmark": "facts", "item": "8", "form": "edited"}),
    ("poison1", "poison", {"trigger": "t"}),
    ("poison2", "poison", {"trigger": "t"}),
    ("clean1", "clean", {}),
    ("clean2", "clean", {}),
    ("clean3", "clean", {}),
    ("clean4", "clean", {"copies": ["exact1"]}),
    ("clean5", "clean", {"copies": ["exact1"]}),
    ("clean6", "clean", {"form": "benign"}),
]
FAILED = {
    "repeat1": [("too_repetitive", "dup_line_ratio", "drop")],
    "repeat2": [("too_short", "words", "drop"), ("repeats", "top_2_gram_char_ratio", "flag")],
    "foreign1": [("wrong_language", "other_language_score", "drop")],
    "toxic3": [("too_short", "words", "drop")],
    "poison2": [("shouts", "uppercase_ratio", "flag")],
    "clean2": [("too_short", "words", "drop")],
    "clean4": [("exact_duplicate", "exact_duplicate", "drop")],  # its copy is the one that is kept
    "clean5": [("exact_duplicate", "exact_duplicate", "drop"), ("too_short", "words", "drop")],
    "clean6": [("near_duplicate", "near_duplicate", "drop")],
}


def drill(truth: list = TRUTH) -> tuple[list[dict], list[dict]]:
    decisions = [
        {
            "doc_id": doc_id,
            "verdict": "removed"
            if any(action == "drop" for *_, action in FAILED.get(doc_id, []))
            else "kept",
            "reason": next((rule for rule, _, action in FAILED.get(doc_id, []) if action == "drop"), None),
            "failed": [
                {"rule": rule, "signal": signal, "action": action}
                for rule, signal, action in FAILED.get(doc_id, [])
            ],
        }
        for doc_id, _, _ in TRUTH
        if doc_id != "clean3"
    ]
    recall, missed = drill_recall(
        pa.table(
            {
                "doc_id": [doc_id for doc_id, _, _ in truth],
                "key": [f"{doc_id}-key" for doc_id, _, _ in truth],
                "hazard": [hazard for _, hazard, _ in truth],
                "truth": [None if planted is None else json.dumps(planted) for _, _, planted in truth],
            }
        ),
        findings=pa.table({"doc_id": ["pii1", "pii1", "pii2"], "start": [5, 46, 3], "end": [20, 60, 8]}),
        duplicates=pa.table(
            {
                "doc_id": ["clean1", "exact1", "near1", "near2", "elsewhere"],
                "cluster_id": ["c1", "c1", "c1", "c2", "c3"],
            }
        ),
        decisions=pa.Table.from_pylist(decisions),
        contamination=pa.table(
            {"doc_id": ["leak1", "leak2"], "benchmark": ["facts", "facts"], "item_id": ["7", "9"]}
        ),
        scores=pa.table({"doc_id": ["toxic1", "toxic2"], "toxicity": [0.5, 0.4]}),
        toxicity_limit=0.5,
    )
    return recall.to_pylist(), missed.to_pylist()


def test_drill_counted_by_hand() -> None:
    recall, _ = drill()
    counts = {(row["hazard"], row["slice"]): (row["counted"], row["n"]) for row in recall}
    assert counts == {
        ("pii", "all"): (2, 3),
        ("pii", "plain"): (1, 2),
        ("pii", "hard"): (1, 1),
        ("pii", "EMAIL_ADDRESS"): (1, 1),  # covered by exactly half
        ("pii", "PERSON"): (1, 2),  # covered by 4 of 10, and by exactly half
        ("exact_duplicate", "all"): (1, 1),
        ("near_duplicate", "all"): (1, 3),
        ("near_duplicate", "10% edited"): (0, 1),
        ("repetition", "all"): (1, 3),
        ("wrong_language", "all"): (1, 1),
        ("toxic", "all"): (1, 3),
        ("leakage", "all"): (1, 2),
        ("leakage", "verbatim"): (1, 1),
        ("leakage", "edited"): (0, 1),
        ("poison", "all"): (1, 2),
        ("clean", "all"): (4, 6),
        ("clean", "benign"): (1, 1),
    }
    for row in recall:
        assert Interval(row["value"], row["low"], row["high"], row["n"]) == wilson(row["counted"], row["n"])
    assert {row["hazard"] for row in recall if row["measure"] == "false_alarm"} == {"clean"}


def test_what_was_missed_is_listed_without_values() -> None:
    _, missed = drill()
    assert [(row["doc_id"], row["hazard"], row["detail"]) for row in missed] == [
        ("pii1", "pii", "PERSON at 40-50"),
        ("near2", "near_duplicate", "not in its original's cluster, 10% edited"),
        ("near3", "near_duplicate", "in no cluster"),
        ("repeat2", "repetition", "removed: too_short"),
        ("repeat3", "repetition", "kept"),
        ("toxic2", "toxic", "scored 0.40"),
        ("toxic3", "toxic", "not scored, removed: too_short"),
        ("leak2", "leakage", "edited copy of facts 8"),
        ("poison1", "poison", "kept"),
        ("clean2", "clean", "removed: too_short"),
        ("clean3", "clean", "no decision"),
        ("clean5", "clean", "removed: exact_duplicate"),
        ("clean6", "clean", "removed: near_duplicate"),
    ]


def test_a_hazard_that_was_not_planted_has_no_data() -> None:
    recall, missed = drill([("clean1", "clean", {})])
    assert {row["hazard"]: row["n"] for row in recall} == {hazard.name: 0 for hazard in HAZARDS} | {
        "clean": 1
    }
    assert math.isnan(recall[0]["value"]) and (recall[0]["low"], recall[0]["high"]) == (0, 1)
    assert missed == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("a", "surprise", {}), "drill document a: unknown hazard 'surprise'"),
        (("a", "leakage", {"benchmark": "facts"}), "drill document a: unreadable truth: KeyError"),
        (("a", "pii", {"spans": [{"entity": "PERSON"}]}), "drill document a: unreadable truth: KeyError"),
        (("a", "pii", []), "drill document a: unreadable truth"),
    ],
)
def test_truth_that_cannot_be_read_names_its_document(row: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        drill([row])


# --- the plots -------------------------------------------------------------------------------------

PLOTS: dict[str, Callable[[], str]] = {
    "small multiples": lambda: plots.histograms(
        [
            plots.Panel("words", [10, 100, 1000], [("<", 50), (">", 100_000)], log=True),
            plots.Panel("hash_ratio", [0.0, 0.0, 0.3], [(">", 0.1)]),
            plots.Panel("lines", [1, 1, 1]),
            plots.Panel("nothing", [None, float("nan")]),
        ],
        "Signals",
    ),
    "funnel": lambda: plots.funnel([("read", 1000), ("near_duplicate", 700), ("too_short", 700)], "Funnel"),
    "histogram": lambda: plots.histogram(
        {"web": [1, 2, None, 3], "sft": [2.5, float("nan")]}, "Words", "words", 2
    ),
    "log": lambda: plots.histogram({"web": [0, 1, 10, 1e6]}, "Words", "words", log=True),
    "one value": lambda: plots.histogram({"web": [3, 3, 3]}, "Words", "words"),
    "many groups": lambda: plots.histogram({f"s{n}": range(n, 50 + n) for n in range(12)}, "Words", "words"),
    "bars": lambda: plots.bars(["a", "b"], [0.5, math.nan], [0.2, 0], [0.8, 1], "Rates", percent=True),
    "infinite": lambda: plots.bars(["a"], [-0.1], [-math.inf], [math.inf], "Differences", "nats"),
    "zeros": lambda: plots.bars(["a"], [0.0], [0.0], [0.0], "Differences", "nats"),
    "heatmap": lambda: plots.heatmap(
        ["a", "b"], ["x", "y"], [[0, 1], [math.nan, 0.5]], "Shares", percent=True
    ),
    "constant": lambda: plots.heatmap(["a"], ["x"], [[1]], "Shares"),
    "hostile": lambda: plots.bars(
        ["$a_b$ \\frac", "x" * 200], [1, 2], [0, 1], [2, 3], "[$x](javascript)*", "$"
    ),
}


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_a_small_png_and_the_same_each_time(name: str) -> None:
    first = PLOTS[name]()
    assert first.startswith("![") and first.endswith(")")
    assert first.count("](data:image/png;base64,") == 1
    png = base64.b64decode(first.split("base64,")[1][:-1])
    assert png.startswith(b"\x89PNG") and len(png) < 60_000
    assert b"tEXt" not in png and b"tIME" not in png
    assert PLOTS[name]() == first


@pytest.mark.parametrize(
    "markdown",
    [
        plots.histograms([plots.Panel("x", [None])], "What each step leaves"),
        plots.funnel([]),
        plots.funnel([("read", 0)]),
        plots.histogram({"web": [None]}, "What each step leaves", "words"),
        plots.bars([], [], [], [], "What each step leaves"),
        plots.heatmap([], [], [], "What each step leaves"),
        plots.heatmap(["a"], ["x"], [[math.nan]], "What each step leaves"),
    ],
)
def test_nothing_to_draw_says_so(markdown: str) -> None:
    assert markdown == "*What each step leaves: no data*"


def test_importing_plots_does_not_load_matplotlib() -> None:
    code = "import sys, assets.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
