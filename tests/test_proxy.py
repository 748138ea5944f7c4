"""The n-gram model against an independent reckoning, and the proxy against the traps of such comparisons."""

from __future__ import annotations

import gzip
import json
import random
import time
from collections import Counter, defaultdict
from dataclasses import astuple
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from assets.evals import ngram, proxy
from assets.evals.proxy import ProxyPolicy, intervals, resampled_mean, run_proxy, summarise
from assets.intervals import paired_mean

CORPORA = Path(__file__).parents[2] / "shared" / "data" / "corpora"


def joined(documents: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *map(len, documents)])
    return np.array([word for document in documents for word in document], np.int32), offsets


def zipf_documents(count: int, length: int, vocabulary: int, seed: int) -> list[list[int]]:
    """Word ids with some order in them: each word leans towards its predecessor's double."""
    generator = random.Random(seed)
    documents = []
    for _ in range(count):
        document = [0]
        while len(document) < length:
            follow = generator.random() < 0.5
            document.append(
                (2 * document[-1] + 1 if follow else int(generator.paretovariate(0.8))) % vocabulary
            )
        documents.append(document)
    return documents


class Reckoning:
    """Modified Kneser-Ney written from the paper with dictionaries, one n-gram at a time."""

    def __init__(self, documents: list[list[int]], vocabulary: int, order: int) -> None:
        self.vocabulary, self.order = vocabulary, order
        raw: list[Counter] = [Counter() for _ in range(order + 1)]
        lefts: list[dict] = [defaultdict(set) for _ in range(order + 1)]
        for document in documents:
            words = ["<s>", *document]
            for end in range(1, len(words)):
                for length in range(1, min(order, end + 1) + 1):
                    gram = tuple(words[end - length + 1 : end + 1])
                    raw[length][gram] += 1
                    if end - length >= 0:
                        lefts[length][gram].add(words[end - length])
        self.counts = [
            {
                gram: count if length == order or gram[0] == "<s>" else len(lefts[length][gram])
                for gram, count in c.items()
            }
            for length, c in enumerate(raw)
        ]
        self.discounts = [self._discounts(counts.values()) for counts in self.counts]

    @staticmethod
    def _discounts(counts) -> tuple[float, ...]:
        n1, n2, n3, n4 = (sum(count == k for count in counts) for k in (1, 2, 3, 4))
        if 0 in (n1, n2, n3, n4):
            return (0, 0.5, 1.0, 1.5)
        y = n1 / (n1 + 2 * n2)
        estimated = (1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        fits = all(0 < d <= k for k, d in enumerate(estimated, 1))
        return (0, *estimated) if fits else (0, 0.5, 1.0, 1.5)

    def probability(self, context: tuple, word: int) -> float:
        length = len(context) + 1
        followers = {g: c for g, c in self.counts[length].items() if g[:-1] == context}
        lower = self.probability(context[1:], word) if context else 1 / self.vocabulary
        if not followers:
            return lower
        d = self.discounts[length]
        total = sum(followers.values())
        freed = sum(d[min(count, 3)] for count in followers.values())
        count = followers.get((*context, word), 0)
        return (count - d[min(count, 3)]) / total + freed / total * lower

    def surprise(self, document: list[int]) -> list[float]:
        words = ["<s>", *document]
        return [
            -np.log(self.probability(tuple(words[max(0, end - self.order + 1) : end]), words[end]))
            for end in range(1, len(words))
        ]


@pytest.mark.parametrize("order", [2, 3, 5])
def test_model_equals_a_reckoning_from_the_paper(order: int) -> None:
    documents = zipf_documents(12, 30, 20, seed=1)
    held_out = [*zipf_documents(3, 25, 20, seed=2), [7], [19] * 6]
    model = ngram.train(*joined(documents), vocabulary_size=20, order=order)
    expected = [
        value for document in held_out for value in Reckoning(documents, 20, order).surprise(document)
    ]
    np.testing.assert_allclose(ngram.negative_log_likelihood(model, *joined(held_out)), expected, rtol=1e-12)


def test_probabilities_sum_to_one_after_any_context() -> None:
    documents = zipf_documents(60, 80, 150, seed=3)
    model = ngram.train(*joined(documents), vocabulary_size=200)
    assert model.order == 5
    for context in ([], documents[0][:1], documents[0][:4], documents[5][40:44], [199, 198, 3, 4], [150] * 6):
        following = [[*context, word] for word in range(200)]
        nll = ngram.negative_log_likelihood(model, *joined(following)).reshape(200, len(context) + 1)
        assert np.exp(-nll[:, -1]).sum() == pytest.approx(1, abs=1e-12)


def test_no_ngram_crosses_from_one_document_to_the_next() -> None:
    documents = zipf_documents(20, 30, 40, seed=4)
    together = ngram.train(*joined(documents), vocabulary_size=40)
    shuffled = ngram.train(*joined(documents[::-1]), vocabulary_size=40)
    held_out = joined(zipf_documents(4, 30, 40, seed=5))
    np.testing.assert_allclose(
        ngram.negative_log_likelihood(together, *held_out), ngram.negative_log_likelihood(shuffled, *held_out)
    )


def test_documents_shorter_than_the_order_give_a_shorter_model() -> None:
    model = ngram.train(*joined([[1], [2], [1]]), vocabulary_size=4)
    assert model.order == 2
    nll = ngram.negative_log_likelihood(model, *joined([[1, 2, 1, 2, 3, 1], [3]]))
    assert np.isfinite(nll).all()
    assert nll[0] < nll[-1]


@pytest.mark.parametrize(
    ("documents", "order", "message"),
    [([[0, 5]], 5, "word ids"), ([[-1]], 5, "word ids"), ([[]], 5, "0 tokens"), ([[0]], 1, "order 1")],
)
def test_what_the_model_refuses(documents: list[list[int]], order: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ngram.train(*joined(documents), vocabulary_size=5, order=order)


def test_training_speed() -> None:
    tokens, offsets = joined(zipf_documents(1000, 300, 20_000, seed=6))
    began = time.process_time()
    ngram.train(tokens, offsets, vocabulary_size=20_000)
    assert len(tokens) / (time.process_time() - began) > 300_000


def test_tokeniser() -> None:
    assert ngram.tokenise("Don’t PANIC, naïve!") == ngram.tokenise("don’t panic, nai\u0308ve!")
    assert ngram.tokenise("It's 한국어.") == ["it", "'", "s", "한국어", "."]


# --- the proxy -------------------------------------------------------------------------------------

GOOD = zipf_documents(700, 60, 300, seed=11)
OTHER = zipf_documents(120, 60, 300, seed=12)
NOISE = np.random.default_rng(13).integers(0, 300, (500, 60)).tolist()
STRANGE = [[(3 * word + 7) % 300 for word in document] for document in zipf_documents(300, 60, 300, seed=13)]


def rows(source: str, documents: list[list[int]], selected: bool | list[bool]) -> list[dict]:
    flags = selected if isinstance(selected, list) else [selected] * len(documents)
    return [
        {
            "doc_id": f"{source}-{number:04}",
            "source": source,
            "text": " ".join(f"w{word}" for word in document),
            "selected": flag,
            "synthetic": False,
        }
        for number, (document, flag) in enumerate(zip(documents, flags, strict=True))
    ]


POLICY = ProxyPolicy(("good",), ("other",), exempt_slices=("noise",), budget_tokens=12_000)


def compared(table: list[dict], policy: ProxyPolicy = POLICY) -> tuple[dict[str, str], dict]:
    summary = summarise(run_proxy(pa.Table.from_pylist(table), policy), policy)
    return dict(zip(summary["comparison"].to_pylist(), summary["claim"].to_pylist(), strict=True)), intervals(
        summary
    )


def test_dropping_noise_gives_a_lower_nll_and_the_control_none() -> None:
    claims, figures = compared(
        [*rows("good", GOOD, True), *rows("noise", NOISE, False), *rows("other", OTHER, False)]
    )
    wording = "lower held-out NLL for a KN-5 proxy at 12,000 tokens"
    assert claims == {
        "selected - raw": wording,
        "selected - random": wording,
        "random - raw": "no difference shown",
    }
    assert figures["proxy/selected - random/independent"].high < 0


def test_keeping_only_noise_gives_a_higher_nll() -> None:
    claims, _ = compared(
        [*rows("good", GOOD, False), *rows("noise", NOISE, True), *rows("other", OTHER, False)]
    )
    assert claims["selected - random"] == "higher held-out NLL for a KN-5 proxy at 12,000 tokens"


def test_a_selection_that_only_resembles_its_holdout_earns_no_claim() -> None:
    """The trap: what looks like the reference is kept, another kind of good text is lost."""
    table = [*rows("good", GOOD, True), *rows("strange", STRANGE, False), *rows("other", OTHER, False)]
    claims, figures = compared(table)
    assert figures["proxy/selected - raw/reference"].high < 0
    assert figures["proxy/selected - raw/raw"].low > 0
    assert claims["selected - raw"].startswith("lower held-out NLL on some sets and higher on others")


def test_without_an_independent_target_there_is_no_claim() -> None:
    table = [*rows("good", GOOD, True), *rows("noise", NOISE, False)]
    policy = ProxyPolicy(("good",), exempt_slices=("noise",), budget_tokens=12_000)
    summary = summarise(run_proxy(pa.Table.from_pylist(table), policy), policy).to_pylist()
    assert {row["claim"] for row in summary} == {"no difference shown"}
    assert "no independent target" in summary[0]["reason"]


def test_too_few_seeds_make_no_claim() -> None:
    policy = ProxyPolicy(("good",), ("other",), exempt_slices=("noise",), budget_tokens=12_000, seeds=4)
    claims, _ = compared(
        [*rows("good", GOOD, True), *rows("noise", NOISE, False), *rows("other", OTHER, False)], policy
    )
    assert set(claims.values()) == {"no difference shown"}


@pytest.mark.slow
def test_random_selections_seldom_earn_a_claim() -> None:
    """With nothing to find, an interval excludes 0 about one time in twenty, and claims are rarer still."""
    everything = [*GOOD, *NOISE]
    excluded = claimed = 0
    for seed in range(30):
        draw = np.random.default_rng(seed).random(len(everything)) < 0.25
        table = [*rows("good", everything, draw.tolist()), *rows("other", OTHER, False)]
        claims, figures = compared(table, ProxyPolicy(("good",), ("other",), budget_tokens=12_000))
        figure = figures["proxy/selected - random/reference"]
        excluded += figure.high < 0 or figure.low > 0
        claimed += claims["selected - random"].startswith("lower")
    assert excluded <= 5  # the chance of 6 or more among 30 at a rate of 5 % is 0.3 %
    assert claimed <= 1


def test_arms_share_budget_and_vocabulary_and_the_note_tells_of_a_small_arm() -> None:
    table = [*rows("good", GOOD[:200], True), *rows("noise", NOISE, False), *rows("other", OTHER, False)]
    runs = run_proxy(pa.Table.from_pylist(table), ProxyPolicy(("good",), ("other",)))
    assert runs.schema == proxy.PROXY_RUNS
    budget = runs["budget_tokens"].unique().to_pylist()
    assert len(budget) == 1 and budget[0] < 200 * 60
    assert len(runs["vocab_sha"].unique()) == 1
    assert set(runs["arm"].to_pylist()) == set(proxy.ARMS) and set(runs["seed"].to_pylist()) == set(range(5))
    assert f"budget {budget[0]:,} of 200,000 tokens" in runs["note"][0].as_py()


def test_the_holdouts_do_not_depend_on_the_selection() -> None:
    """The same documents are held out; which of their tokens are known or trained on differs by a few."""
    sizes = []
    for flag in (True, False):
        table = [*rows("good", GOOD, flag), *rows("noise", NOISE, not flag), *rows("other", OTHER, False)]
        runs = run_proxy(pa.Table.from_pylist(table), POLICY).to_pylist()
        sizes.append({(row["holdout"], row["slice"]): row["scored_tokens"] for row in runs})
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


def test_runs_are_the_same_whatever_order_documents_come_in() -> None:
    table = [
        *rows("good", GOOD[:200], True),
        *rows("noise", NOISE[:100], False),
        *rows("other", OTHER, False),
    ]
    first = run_proxy(pa.Table.from_pylist(table), POLICY)
    random.Random(0).shuffle(table)
    assert run_proxy(pa.Table.from_pylist(table), POLICY).equals(first)


def test_what_arms_train_on_is_never_scored() -> None:
    """Trained-on text behind one new word is no exact copy, and would reward having memorised it."""
    copies = [[number, *document] for number, document in enumerate(GOOD)]
    sizes = {}
    for source, documents in (("other", zipf_documents(len(GOOD), 61, 300, seed=14)), ("copies", copies)):
        table = [*rows("good", GOOD, True), *rows(source, documents, False)]
        policy = ProxyPolicy(("good",), (source,), holdout_tokens=10**9)
        runs = run_proxy(pa.Table.from_pylist(table), policy).to_pylist()
        sizes[source] = next(row["scored_tokens"] for row in runs if row["holdout"] == "independent")
    # What is left of the copies is the tenth whose original is itself held out.
    assert sizes["other"] > 0.95 * len(GOOD) * 61
    assert sizes["copies"] < 0.2 * sizes["other"]


def test_near_duplicates_stay_on_one_side() -> None:
    table = rows("good", GOOD, True) + rows("noise", NOISE, False) + rows("other", OTHER, False)
    for row in table:
        row["cluster_id"] = "one" if row["source"] == "good" else None
    with pytest.raises(ValueError, match="nothing to train on"):
        run_proxy(pa.Table.from_pylist(table), ProxyPolicy(("good",), ("other",), holdout_share=1.0))
    runs = run_proxy(pa.Table.from_pylist(table), POLICY).to_pylist()
    # All of "good" is one cluster and lies in the arms, so nothing of it is left to hold out.
    assert "reference" not in {row["holdout"] for row in runs}
    assert "reference" in runs[0]["note"]
    assert {r["unique_tokens"] for r in runs if r["arm"] == "selected"} == {60}


def test_a_named_split_decides_instead_of_the_hash() -> None:
    table = rows("good", GOOD, True) + rows("other", OTHER, False)
    for number, row in enumerate(table):
        row["split"] = "holdout" if number < 50 else "train"
    runs = run_proxy(pa.Table.from_pylist(table), POLICY).to_pylist()
    assert max(r["scored_tokens"] for r in runs if r["holdout"] == "reference") <= 50 * 60


def test_planted_text_is_no_target() -> None:
    table = rows("good", GOOD, True) + rows("other", OTHER, False)
    for row in table:
        row["synthetic"] = row["source"] == "other"
    runs = run_proxy(pa.Table.from_pylist(table), POLICY).to_pylist()
    assert "independent" not in {row["holdout"] for row in runs}


@pytest.mark.parametrize(
    ("selected", "policy", "message"),
    [
        (True, ProxyPolicy(()), "reference"),
        (True, ProxyPolicy(("absent",)), "absent"),
        (True, ProxyPolicy(("good",), ("gone",)), "gone"),
        (False, ProxyPolicy(("good",)), "no selected document"),
        (True, ProxyPolicy(("good",), subsample=0), "too few selected documents"),
        (True, ProxyPolicy(("good",), minimum_tokens=10**6), "no held-out set has 1,000,000 tokens"),
        (True, ProxyPolicy(("good",), holdout_share=0), "no held-out set"),
    ],
)
def test_what_the_proxy_refuses(selected: bool, policy: ProxyPolicy, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_proxy(pa.Table.from_pylist(rows("good", GOOD[:50], selected)), policy)


@pytest.mark.slow
def test_default_budget_on_real_text_takes_seconds() -> None:
    """Wikipedia paragraphs against API reference fragments, with medical abstracts as the other family."""
    if not CORPORA.is_dir():
        pytest.skip(f"no corpora at {CORPORA}")
    table = []
    for source, name, selected in (
        ("wikipedia", "boolq-wikipedia", True),
        ("fragments", "botocore-docs", False),
        ("abstracts", "pubmedqa", False),
    ):
        with gzip.open(CORPORA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            texts = [json.loads(line)["text"] for line in islice(lines, 5000)]
        table += [
            {
                "doc_id": f"{source}-{number:05}",
                "source": source,
                "text": text,
                "selected": selected,
                "synthetic": False,
            }
            for number, text in enumerate(texts)
        ]
    policy = ProxyPolicy(("wikipedia",), ("abstracts",), exempt_slices=("fragments",))
    began = time.process_time()
    claims, figures = compared(table, policy)
    assert time.process_time() - began < 30
    assert figures["proxy/selected - random/reference"].high < 0
    assert claims["random - raw"] == "no difference shown"


def test_overlapping_resamplings_widen_the_interval() -> None:
    differences = [-0.10, -0.12, -0.09, -0.11, -0.10]
    plain, shared = paired_mean(differences), resampled_mean(differences, 0.5)
    assert astuple(resampled_mean(differences, 0)) == pytest.approx(astuple(plain))
    assert shared.high - shared.low == pytest.approx((plain.high - plain.low) * 6**0.5)
    assert (shared.value, shared.n) == (plain.value, 5)
