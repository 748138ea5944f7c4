"""Scorers: a classifier that repeats itself, a term list that knows its limits, mentions that count."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from assets.intervals import wilson
from assets.scorers import bias, quality, scores, toxicity
from assets.scorers.metrics import ALL, METRICS, auroc, by_source, discriminate
from assets.scorers.quality import QualityModel, QualityParameters

DATA = Path(__file__).parents[2] / "shared" / "data"

PROSE = (
    "The committee met in the old hall and agreed that the river should be studied for another year before "
    "any bridge was built, because the records of earlier floods were thin and the engineers could not say "
    "how high the water had stood. Several members asked for a survey of the banks and a history of repairs."
)
JUNK = (
    "click here buy now cheap deals login register cart home menu next prev share tweet like follow free "
    "shipping discount coupon code sale hot best price subscribe newsletter cookies accept terms page 1 2 3"
)


def _document(index: int, source: str, words: str, **fields: object) -> dict[str, object]:
    text = " ".join(random.Random(f"{source}{index}").choices(words.split(), k=60))
    return {
        "doc_id": f"{source}-{index:04}",
        "source": source,
        "text": text,
        "reference": source == "books",
        "verdict": "kept",
        "reason": None,
        "cluster_id": None,
        "synthetic": False,
    } | fields


def _documents(rows: list[dict[str, object]]) -> pa.Table:
    schema = {name: pa.string() for name in ("doc_id", "source", "text", "verdict", "reason", "cluster_id")}
    return pa.Table.from_pylist(
        rows, pa.schema([*schema.items(), ("reference", pa.bool_()), ("synthetic", pa.bool_())])
    )


@pytest.fixture(scope="module")
def documents() -> pa.Table:
    """200 books, 120 pages kept, 60 pages removed as short, and rows that must stay out."""
    rows = [_document(i, "books", PROSE, cluster_id=f"c{i // 3}" if i < 30 else None) for i in range(200)]
    rows += [_document(i, "web", JUNK) for i in range(120)]
    rows += [_document(i, "crawl", JUNK, verdict="removed", reason="short_doc") for i in range(60)]
    rows += [_document(500 + i, "books", PROSE, verdict="removed", reason="duplicate") for i in range(5)]
    rows += [_document(600 + i, "books", PROSE, synthetic=True) for i in range(5)]
    rows += [_document(700, "web", PROSE, cluster_id="c1"), _document(701, "web", PROSE, text=" \n ")]
    return _documents(rows)


@pytest.fixture(scope="module")
def training(documents: pa.Table) -> pa.Table:
    return quality.training_set(documents, ["short_doc"])


@pytest.fixture(scope="module")
def model(training: pa.Table) -> QualityModel:
    return quality.train(training)


def test_the_training_set_takes_the_documents_it_says(documents: pa.Table, training: pa.Table) -> None:
    assert training.schema == quality.TRAINING
    rows = {row["doc_id"]: row for row in training.to_pylist()}
    origins = {(row["source"], row["origin"], row["label"]) for row in rows.values()}
    assert origins == {("books", "reference", True), ("web", "raw", False), ("crawl", "removed", False)}
    assert not [key for key in rows if key.startswith(("books-05", "books-06", "web-07"))]
    backwards = documents.take(pa.array(range(len(documents)))[::-1])
    assert training.equals(quality.training_set(backwards, ["short_doc"]))


def test_classes_are_equal_in_every_split_and_removed_documents_fill_half(training: pa.Table) -> None:
    for split in ("train", "calibration", "held_out"):
        origin = training.filter(pc.field("split") == split)["origin"].to_pylist()
        assert origin.count("reference") == origin.count("removed") + origin.count("raw") > 0
        assert 0 < origin.count("removed") <= (origin.count("reference") + 1) // 2


def test_a_limit_holds_a_class_in_a_split(documents: pa.Table) -> None:
    limited = quality.training_set(documents, ["short_doc"], limit=7)
    counts = limited.group_by(["split", "label"]).aggregate([([], "count_all")])["count_all"]
    assert pc.max(counts).as_py() == 7
    assert set(limited["doc_id"].to_pylist()) <= set(
        quality.training_set(documents, ["short_doc"], limit=20)["doc_id"].to_pylist()
    )


def test_no_near_duplicate_straddles_the_split() -> None:
    rows = [_document(i, "books", PROSE, cluster_id=f"c{i % 40}") for i in range(200)]
    rows += [_document(i, "web", JUNK, cluster_id=f"w{i % 40}") for i in range(200)]
    rows += [_document(900 + i, "books", PROSE, text=PROSE) for i in range(20)]
    found = quality.training_set(_documents(rows), []).to_pylist()
    cluster = {row["doc_id"]: row["cluster_id"] or row["text"] for row in rows}
    splits: dict[str, set[str]] = {}
    for row in found:
        splits.setdefault(cluster[row["doc_id"]], set()).add(row["split"])
    assert all(len(split) == 1 for split in splits.values())
    assert len(found) == len(splits), "a cluster counts once"
    assert len({split for pair in splits.values() for split in pair}) == 3


def test_a_separable_corpus_is_separated(training: pa.Table, model: QualityModel) -> None:
    metrics = quality.evaluate(model, training)
    assert metrics.schema == METRICS
    figures = {row["metric"]: row for row in metrics.to_pylist() if row["source"] == ALL}
    held_out = training.filter(pc.field("split") == "held_out")
    assert figures["auroc"]["value"] > 0.9
    assert figures["auroc"]["low"] < figures["auroc"]["value"], "a perfect figure keeps a width"
    assert figures["auroc"]["n"] == len(held_out)
    by_books = {row["metric"]: row for row in metrics.to_pylist() if row["source"] == "books"}
    assert by_books["auroc"]["value"] is None and by_books["auroc"]["n"] == 0
    assert by_books["recall"]["n"] == pc.sum(held_out["label"]).as_py()


def test_training_repeats_to_the_byte(training: pa.Table, model: QualityModel) -> None:
    shuffled = training.take(np.random.default_rng(5).permutation(len(training)))
    assert quality.train(shuffled).sha256 == model.sha256
    assert quality.train(training, QualityParameters(seed=2)).sha256 != model.sha256


def test_training_repeats_in_another_process(tmp_path: Path, training: pa.Table, model: QualityModel) -> None:
    path = tmp_path / "training.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, training.schema) as writer:
        writer.write_table(training)
    program = (
        "import sys, pyarrow as pa; from assets.scorers import quality;"
        "print(quality.train(pa.ipc.open_file(sys.argv[1]).read_all()).sha256)"
    )
    root = Path(__file__).parents[1]
    run = [sys.executable, "-c", program, str(path)]
    assert (
        subprocess.run(run, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
        == model.sha256
    )


def test_a_model_survives_its_bytes(model: QualityModel) -> None:
    again = QualityModel.from_bytes(model.to_bytes())
    assert again == model
    texts = pa.array([PROSE, JUNK.replace(" ", "\n")])
    assert np.array_equal(quality.score(again, texts), quality.score(model, texts))
    with pytest.raises(ValueError, match="no quality model"):
        QualityModel.from_bytes(b"\x00\x01")


def test_scores_are_probabilities_and_marks_of_fasttext_are_text(model: QualityModel) -> None:
    texts = pa.array([PROSE, JUNK.replace(" ", "\n"), "", "__label__yes </s> \x00 \n\u2028", "한국어 문장"])
    found = quality.score(model, texts)
    assert found.dtype == np.float32 and ((found > 0) & (found < 1)).all()
    assert found[0] > 0.9 and found[1] < 0.1
    marked = pa.array([f"__label__no </s> {PROSE}"])
    assert quality.score(model, marked)[0] == quality.score(model, pa.array([f"no {PROSE}"]))[0]


def test_probabilities_mean_what_they_say() -> None:
    """Where words leave the class open, four in five of the texts scored 0.8 are positive."""
    chance = random.Random(3)
    rows = []
    for i in range(1500):
        kind = chance.random() < 0.5
        words = PROSE if (chance.random() < 0.8) == kind else JUNK
        rows.append(_document(i, "books" if kind else "web", words))
    training = quality.training_set(_documents(rows), [])
    model = quality.train(training)
    held_out = training.filter(pc.field("split") == "held_out")
    found = quality.score(model, held_out["text"])
    high = held_out["label"].to_numpy()[found >= 0.5]
    truth = wilson(int(high.sum()), len(high))
    assert truth.low <= found[found >= 0.5].mean() <= truth.high


def test_one_class_alone_is_refused(training: pa.Table) -> None:
    with pytest.raises(ValueError, match="both classes: 0 positive"):
        quality.train(training.filter(~pc.field("label")))


@pytest.mark.parametrize(
    "text",
    [
        "Use kill -9 to kill the process, then execute the job again.",
        "The master/slave replica aborts and the child process dies.",
        "The patient presented with breast cancer; sexual history and anal fissure were noted.",
        "Scunthorpe, Essex: an assessment of class, cockpit and Dickens for assassins of grammar.",
        "Retardation of growth and a fire retardant niggle the niggardly analyst.",
        "You can trash the file, kill the server and hang up.",
        "The dummy variable is degenerate and the matrix is singular.",
        "시작점에서 출발하는 병원 신문",
        "",
    ],
)
def test_plain_words_are_not_toxic(text: str) -> None:
    assert toxicity.score(pa.array([text]))[0] < 0.25, toxicity.explain(text)


@pytest.mark.parametrize(
    "text",
    [
        "You are such an idiot",
        "you're a complete\nMORON and everybody knows",
        "I will kill you",
        "i'm gonna hurt him badly",
        "Go kill yourself",
        "What a piece of shit",
        "people like you are scum, you worthless fool",
        "야 이 병신아 꺼져",
        "(씨발) 진짜",
    ],
)
def test_insults_and_threats_are_toxic(text: str) -> None:
    assert toxicity.score(pa.array([text]))[0] >= toxicity.TOXIC, toxicity.explain(text)


def test_a_mild_word_on_a_long_page_stays_low_and_abuse_throughout_does_not() -> None:
    page = "The survey of the river went on through the winter. " * 100
    found = toxicity.score(
        pa.array([page + "damn", "damn", page + "you fucking idiot. ", "you idiot. " * 500])
    )
    assert found[0] < 0.1 < found[1] and found[2] < 0.5 < found[3]


def test_distinct_terms_add_up_and_repeats_do_not() -> None:
    one, twice, two = toxicity.score(pa.array(["shit", "shit shit", "shit, bastards"]))
    assert one == twice < two
    assert two == pytest.approx(1 - (1 - one) ** 2, abs=1e-6)


def test_rows_keep_their_place() -> None:
    texts = pa.chunked_array([["fine", "you idiot"], [], ["also fine", "shit"]])
    found = toxicity.score(texts)
    assert found.dtype == np.float32
    assert (found > 0).tolist() == [False, True, False, True]
    assert toxicity.score(pa.array([], pa.string())).shape == (0,)


def test_every_term_of_the_list_finds_itself() -> None:
    listed = [term for term in toxicity.terms() if term.match != "phrase"]
    found = toxicity.score(pa.array([term.term.upper() for term in listed]))
    assert found.tolist() == pytest.approx([term.weight for term in listed])


def test_mentions_are_whole_words_in_any_case() -> None:
    texts = pa.array(
        [
            "A MUSLIM family and two Muslims",
            "muslin cloth",
            "the black box and white paper",
            "Black people and white women",
            "African-American history",
            "womanly",
        ]
    )
    table = pa.table(
        {"doc_id": list("abcdef"), "source": ["s"] * 6, "text": texts, "toxicity": [0.9] + [0.0] * 5}
    )
    rows = {(row["axis"], row["group"]): row for row in bias.profile(table).to_pylist()}
    assert rows["religion", "muslim"]["mentioning"] == 1
    assert rows["race and ethnicity", "black"]["mentioning"] == 2
    assert rows["race and ethnicity", "white"]["mentioning"] == 1
    assert rows["gender", "women"]["mentioning"] == 1
    assert rows["gender", "men"]["mentioning"] == 0


def test_a_profile_carries_intervals_and_the_ratio_to_all() -> None:
    texts = ["the elderly"] * 10 + ["nothing"] * 30
    table = pa.table(
        {
            "text": texts,
            "toxicity": pa.array([0.9] * 4 + [0.1] * 5 + [None] + [0.9] * 4 + [0.1] * 26, pa.float32()),
        }
    )
    found = bias.profile(table)
    assert found.schema == bias.BIAS_PROFILE and len(found) == len(bias.groups())
    row = next(row for row in found.to_pylist() if row["group"] == "old")
    rate = wilson(4, 10)
    assert (row["documents"], row["mentioning"], row["toxic"]) == (40, 10, 4)
    assert (row["share"], row["toxic_rate"], row["toxic_ratio"]) == (0.25, 0.4, pytest.approx(2.0))
    assert (row["toxic_low"], row["toxic_high"]) == (rate.low, rate.high)
    assert row["toxic_ratio_low"] == pytest.approx(rate.low / 0.2)
    unmentioned = next(row for row in found.to_pylist() if row["group"] == "deaf")
    assert unmentioned["toxic_rate"] is None and unmentioned["toxic_ratio"] is None
    assert bias.profile(table.slice(0, 0))["share"].null_count == len(found)


def test_every_identity_term_finds_itself_and_names_a_cited_list() -> None:
    for terms in bias.groups().values():
        for term in terms:
            text = pa.chunked_array([[f"an {term.replace('<person>', 'people').upper()}."]])
            assert bias.mentions(text, (term,))[0], term
    lines = bias.TERMS.read_text().splitlines()[1:]
    assert {line.split("\t")[3] for line in lines} == {"dixon2018", "holisticbias2022", "both"}
    assert len({line.split("\t")[2] for line in lines}) == len(lines)


def test_scores_have_a_column_a_scorer_and_say_their_versions(model: QualityModel) -> None:
    table = pa.table({"doc_id": ["a", "b"], "source": ["s", "s"], "text": [PROSE, "you idiot"]})
    found = scores.score(table, {"quality": model.to_bytes()})
    assert found.schema == scores.SCORES
    assert found["quality"].to_pylist()[0] > 0.9 and found["toxicity"].to_pylist()[1] > 0.8
    said = json.loads(found["scorer_versions"][0].as_py())
    assert said == {"quality": f"fasttext-1-{model.sha256[:16]}", "toxicity": toxicity.version()}


def test_without_a_model_quality_is_null_and_says_so() -> None:
    found = scores.score(pa.table({"doc_id": ["a"], "source": ["s"], "text": ["fine"]}), {})
    assert found["quality"].to_pylist() == [None] and found["toxicity"].to_pylist() == [0.0]
    assert json.loads(found["scorer_versions"][0].as_py())["quality"] is None
    with pytest.raises(ValueError, match="no trained scorer is called qualty"):
        scores.score(pa.table({"doc_id": ["a"], "source": ["s"], "text": ["x"]}), {"qualty": b""})


def test_auroc_counts_ties_half_and_brackets_the_value() -> None:
    positive = np.array([True, True, False, False])
    assert auroc(np.array([0.9, 0.5, 0.5, 0.1]), positive).value == 7 / 8
    assert auroc(np.array([0.1, 0.1, 0.9, 0.9]), positive).value == 0
    assert auroc(np.ones(4), np.ones(4, dtype=bool)).n == 0
    perfect = auroc(np.arange(40.0), np.arange(40) >= 20)
    assert perfect.value == perfect.high == 1 and 0.7 < perfect.low < 1


@pytest.mark.slow
def test_auroc_intervals_cover() -> None:
    random_state = np.random.default_rng(0)
    labels = np.arange(60) < 30
    truth = 0.7602  # P(N(1, 1) > N(0, 1))
    covered = 0
    for _ in range(500):
        figure = auroc(random_state.normal(size=60) + labels, labels)
        covered += figure.low <= truth <= figure.high
    assert covered / 500 > 0.93


def test_f1_is_the_harmonic_mean() -> None:
    found = discriminate(np.array([0.9, 0.8, 0.7, 0.1, 0.2]), np.array([True, True, False, True, False]))
    assert found.f1.value == pytest.approx(2 / 3) and found.f1.low < 2 / 3 < found.f1.high
    assert found.precision.n == 3 and found.recall.n == 3
    empty = by_source(pa.chunked_array([pa.array([], pa.string())]), np.array([]), np.array([], dtype=bool))
    assert set(empty["n"].to_pylist()) == {0}


def _rows(path: str) -> list[dict[str, str]]:
    file = DATA / path
    if not file.exists():
        pytest.skip(f"../shared/data/{path} is not there")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "field", "toxic", "floors"),
    [
        ("safety/davidson-hate.jsonl.gz", "tweet", lambda r: r["class"] != "2", (0.95, 0.7, 0.9)),
        # Every prompt of this file is toxic: it has a recall and nothing else.
        (
            "safety/toxicity-rtp-scored.jsonl.gz",
            "text",
            lambda r: float(r["toxicity"]) >= 0.5,
            (0.95, 0.5, None),
        ),
        # The Korean list is precise and short: most Korean hate is contempt without a listed word.
        ("safety/korean-unsmile-train.jsonl.gz", "문장", lambda r: r["clean"] == "0", (0.9, 0.2, 0.6)),
        ("safety/kocohub-hate-train.jsonl.gz", "comments", lambda r: r["hate"] != "none", (0.85, 0.02, 0.5)),
    ],
)
def test_toxicity_on_labelled_text(
    path: str, field: str, toxic: Callable[[dict[str, str]], bool], floors: tuple[float | None, ...]
) -> None:
    rows = _rows(path)
    texts = pa.array([row[field] for row in rows])
    start = time.process_time()
    found = toxicity.score(texts)
    speed = pc.sum(pc.binary_length(texts)).as_py() / 1e6 / (time.process_time() - start)
    figures = discriminate(found, np.array([toxic(row) for row in rows]), toxicity.TOXIC)
    print(f"\n{path}: {speed:.1f} MB a CPU second")
    for name, figure in vars(figures).items():
        print(f"  {name}: {figure.number()}")
    for figure, floor in zip((figures.precision, figures.recall, figures.auroc), floors, strict=True):
        assert floor is None or figure.low > floor


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wikitext2-valid-test", "pubmedqa", "botocore-docs", "movie-reviews"])
def test_clean_pages_are_rarely_called_toxic(name: str) -> None:
    texts = pa.array([row["text"] for row in _rows(f"corpora/{name}.jsonl.gz")])
    start = time.process_time()
    found = toxicity.score(texts)
    speed = pc.sum(pc.binary_length(texts)).as_py() / 1e6 / (time.process_time() - start)
    rate = wilson(int((found >= toxicity.TOXIC).sum()), len(found))
    print(f"\n{name}: {rate.percent()} called toxic; {speed:.1f} MB a CPU second")
    assert rate.high < 0.05


@pytest.mark.slow
def test_quality_on_real_text() -> None:
    """Wikipedia and legal summaries against documentation fragments, reviews and questions."""
    kinds = [("boolq-wikipedia", True), ("multilexsum", True), ("movie-reviews", False)]
    kinds += [("botocore-docs", False), ("quac-wikipedia", False)]
    rows = []
    for name, reference in kinds:
        for i, row in enumerate(_rows(f"corpora/{name}.jsonl.gz")[:800]):
            rows.append(_document(i, name, JUNK, text=row["text"], reference=reference))
    training = quality.training_set(_documents(rows), [])
    start = time.process_time()
    model = quality.train(training)
    megabytes = pc.sum(pc.binary_length(training["text"])).as_py() / 1e6
    print(f"\ntrained in {time.process_time() - start:.1f} CPU s, {len(model.to_bytes()) / 1e6:.1f} MB")
    start = time.process_time()
    quality.score(model, training["text"])
    print(f"scored at {megabytes / (time.process_time() - start):.1f} MB a CPU second")
    figures = {r["metric"]: r for r in quality.evaluate(model, training).to_pylist() if r["source"] == ALL}
    for name, row in figures.items():
        print(f"  {name}: {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}] n={row['n']}")
    assert figures["auroc"]["low"] > 0.9 and figures["brier"]["high"] < 0.1


@pytest.mark.slow
def test_a_bias_profile_reads_megabytes_a_second() -> None:
    rows = _rows("corpora/bold-wikipedia.jsonl.gz") + _rows("corpora/movie-reviews.jsonl.gz")
    texts = pa.array([row["text"] for row in rows])
    table = pa.table(
        {"doc_id": [str(i) for i in range(len(rows))], "source": ["s"] * len(rows), "text": texts}
    )
    table = table.append_column("toxicity", pa.array(toxicity.score(texts)))
    start = time.process_time()
    found = bias.profile(table)
    speed = pc.sum(pc.binary_length(texts)).as_py() / 1e6 / (time.process_time() - start)
    print(f"\n{speed:.1f} MB a CPU second")
    assert found.equals(bias.profile(table)) and speed > 0.5
