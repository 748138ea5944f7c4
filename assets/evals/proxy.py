"""The retraining proxy, tier 0: does a model trained on the selection predict held-out text better?

Same token budget, same vocabulary and same held-out sets for every arm, an n-gram model (`ngram.py`) for
each arm and seed. What it can show is a lower or higher held-out negative log-likelihood for this proxy
at this budget, and the claims say no more than that.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from assets.documents import content_hash
from assets.evals import ngram
from assets.intervals import Interval, paired_mean

ARMS = ("raw", "selected", "random")
# The last one is the run's own check: two arms that differ by chance alone should show no difference.
COMPARISONS = (("selected", "raw"), ("selected", "random"), ("random", "raw"))
HOLDOUTS = ("reference", "independent", "raw", "source")
TARGETS = ("reference", "independent")

LOWER = "lower held-out NLL for a KN-5 proxy at {budget:,} tokens"
HIGHER = "higher held-out NLL for a KN-5 proxy at {budget:,} tokens"
MIXED = "lower held-out NLL on some sets and higher on others for a KN-5 proxy at {budget:,} tokens"
NONE = "no difference shown"

TIER = 0
ORDER = 5
MINIMUM_SEEDS = 5
DECONTAMINATION_NGRAM = 13
UNKNOWN = 0

PROXY_RUNS = pa.schema(
    [
        ("arm", pa.string()),
        ("tier", pa.int64()),
        ("seed", pa.int64()),
        ("budget_tokens", pa.int64()),
        ("unique_tokens", pa.int64()),
        ("pool_share", pa.float64()),
        ("vocab_sha", pa.string()),
        ("holdout", pa.string()),
        ("slice", pa.string()),
        ("scored_tokens", pa.int64()),
        ("nll", pa.float64()),
        ("ppl", pa.float64()),
        ("note", pa.string()),
    ]
)

PROXY_SUMMARY = pa.schema(
    [
        ("comparison", pa.string()),
        ("holdout", pa.string()),
        ("slice", pa.string()),
        ("difference", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("n", pa.int64()),
        ("claim", pa.string()),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class ProxyPolicy:
    """What the proxy trains on and is held to.

    Attributes:
        reference_sources: Sources of clean text chosen by people; target (a) is their held-out part.
        independent_sources: Sources of another family, in no arm at all: target (b), which a selection
            cannot win merely by resembling its own holdout. Without one no claim of "lower" is made.
        exempt_slices: Sources that a selection may get worse at, because it means to drop them.
        budget_tokens: Training tokens of every arm; fewer where the smallest arm has no more.
        seeds: Resamplings of the training documents; 5 at least for a claim.
        subsample: Share of an arm's documents in each resampling.
        holdout_share: Share of document groups held out, by hash, before anything is selected.
        holdout_tokens, slice_tokens: At most about so many tokens of a holdout, or of one source's slice.
        document_tokens: Of a held-out document its first tokens count, so that no book outweighs the rest.
        minimum_tokens: A holdout with fewer scored tokens is left out, and the note says so.
        slice_margin: How much worse, in nats a token, a source's slice may be.
    """

    reference_sources: tuple[str, ...]
    independent_sources: tuple[str, ...] = ()
    exempt_slices: tuple[str, ...] = ()
    budget_tokens: int = 200_000
    seeds: int = 5
    subsample: float = 0.8
    holdout_share: float = 0.1
    holdout_tokens: int = 30_000
    slice_tokens: int = 10_000
    document_tokens: int = 2_000
    minimum_tokens: int = 500
    slice_margin: float = 0.1


def run_proxy(documents: pa.Table, policy: ProxyPolicy) -> pa.Table:
    """Trains every arm with every seed and scores the held-out sets: one row each, as PROXY_RUNS.

    Which documents are held out doesn't depend on the selection: the hash of a document's group (its
    duplicate cluster, else its content) decides, so no near-duplicate lies on both sides. Held-out tokens
    inside a 13-gram that any arm trains on are not scored for any, and neither are unknown words.

    Args:
        documents: doc_id, source, text, selected (bool), synthetic (bool); `cluster_id` (null where a
            document is in no duplicate cluster) and `split`, which where it is given decides instead
            of the hash ("holdout" holds a document and its group out).
        policy: Sources, budget and seeds.

    Raises:
        ValueError: A source of the policy is missing, or there is too little to train on or to score.
    """
    corpus = _Corpus.of(documents)
    missing = {*policy.reference_sources, *policy.independent_sources} - set(corpus.source)
    if missing or not policy.reference_sources:
        raise ValueError(f"proxy: no documents of the reference or independent sources {sorted(missing)}")
    independent = np.isin(corpus.source, policy.independent_sources)
    held = corpus.held_out(policy.holdout_share) & ~independent
    pool = ~held & ~independent
    if not (pool & corpus.selected).any():
        raise ValueError("proxy: no selected document outside the holdouts, so there is nothing to train on")

    samples = [_sample(corpus, arm, seed, pool, policy) for seed in range(policy.seeds) for arm in ARMS]
    budget = min(policy.budget_tokens, *(sample.tokens for sample in samples))
    if budget == 0:
        raise ValueError("proxy: too few selected documents: a resampling of them is empty")
    holdouts = _holdouts(corpus, held, independent, pool, policy)
    trained_on = sorted({row for sample in samples for row in sample.rows})
    vocabulary = _Vocabulary.of(corpus, trained_on)
    test = _Test.of(corpus, holdouts, trained_on, vocabulary, policy)
    if not test.sets:
        raise ValueError(f"proxy: no held-out set has {policy.minimum_tokens:,} tokens to score")
    note = _note(budget, set(holdouts) - set(test.sets), policy)

    rows = []
    for sample in samples:
        tokens, offsets = _concatenate([corpus.tokens(row) for row in sample.rows])
        words, offsets = vocabulary.ids[tokens[:budget]], np.minimum(offsets, budget)
        model = ngram.train(words, offsets, vocabulary_size=vocabulary.size, order=ORDER)
        rows += [
            {
                "arm": sample.arm,
                "tier": TIER,
                "seed": sample.seed,
                "budget_tokens": budget,
                "unique_tokens": _unique_tokens(corpus, sample, offsets),
                "pool_share": sample.pool_share * budget / sample.tokens,
                "vocab_sha": vocabulary.sha,
                "holdout": holdout,
                "slice": part,
                "scored_tokens": scored,
                "nll": nll,
                "ppl": math.exp(nll),
                "note": note,
            }
            for (holdout, part), scored, nll in test.score(model)
        ]
    return pa.Table.from_pylist(rows, PROXY_RUNS)


def summarise(runs: pa.Table, policy: ProxyPolicy) -> pa.Table:
    """The paired differences between arms and the one claim each comparison allows, as PROXY_SUMMARY.

    "Lower" needs an interval below 0 on both targets and no source's slice that may be worse by more than
    the margin. The interval covers the choice of training documents, not that of the held-out ones.
    """
    nll: dict[tuple[str, str, str], dict[int, float]] = defaultdict(dict)
    shares: dict[str, list[float]] = defaultdict(list)
    for row in runs.to_pylist():
        nll[row["arm"], row["holdout"], row["slice"]][row["seed"]] = row["nll"]
        shares[row["arm"]].append(row["pool_share"])
    budget, note = runs["budget_tokens"][0].as_py(), runs["note"][0].as_py()
    parts = sorted({(h, s) for _, h, s in nll}, key=lambda part: (HOLDOUTS.index(part[0]), part[1]))

    rows = []
    for arm, baseline in COMPARISONS:
        overlap = (float(np.mean(shares[arm])) + float(np.mean(shares[baseline]))) / 2
        differences = {
            part: resampled_mean(
                [nll[arm, *part][seed] - nll[baseline, *part][seed] for seed in sorted(nll[arm, *part])],
                overlap,
            )
            for part in parts
        }
        claim, reason = _claim(differences, policy)
        for (holdout, part), interval in differences.items():
            rows.append(
                {
                    "comparison": f"{arm} - {baseline}",
                    "holdout": holdout,
                    "slice": part,
                    "difference": interval.value,
                    "low": interval.low,
                    "high": interval.high,
                    "n": interval.n,
                    "claim": claim.format(budget=budget),
                    "reason": "; ".join(filter(None, (reason, note))),
                }
            )
    return pa.Table.from_pylist(rows, PROXY_SUMMARY)


def intervals(summary: pa.Table) -> dict[str, Interval]:
    """The differences by name, `proxy/selected - random/reference`, as gates ask for them."""
    return {
        f"proxy/{row['comparison']}/{row['holdout']}": Interval(
            row["difference"], row["low"], row["high"], row["n"]
        )
        for row in summary.to_pylist()
        if row["holdout"] != "source"
    }


def resampled_mean(differences: Sequence[float], overlap: float) -> Interval:
    """The mean of paired differences between resamplings that share documents, with its t interval.

    Resamplings of one pool look more alike than new data would, and the plain interval is too narrow:
    the variance is multiplied by 1 + n x overlap / (1 - overlap) (Nadeau & Bengio 2003), where `overlap`
    is the share of documents that two resamplings have in common. With 150 selections drawn at random, so
    that there was nothing to find, the plain interval excluded 0 in 15, 9 and 11 % of them (reference,
    independent and raw holdout), this one in 3, 1 and 4 %.
    """
    plain = paired_mean(differences)
    overlap = min(overlap, 0.99)
    widening = np.sqrt(1 + plain.n * overlap / (1 - overlap))
    return Interval(
        plain.value,
        plain.value - float((plain.value - plain.low) * widening),
        plain.value + float((plain.high - plain.value) * widening),
        plain.n,
    )


def _claim(differences: dict[tuple[str, str], Interval], policy: ProxyPolicy) -> tuple[str, str]:
    """The one wording that all held-out sets together allow, and what stood in the way of a better one."""
    seeds = min(interval.n for interval in differences.values())
    if seeds < MINIMUM_SEEDS:
        return NONE, f"{seeds} seeds, {MINIMUM_SEEDS} are needed"
    targets = {target: differences.get((target, "all")) for target in TARGETS}
    slices = {
        part: interval
        for (holdout, part), interval in differences.items()
        if holdout == "source" and part not in policy.exempt_slices
    }
    lower = [target for target, interval in targets.items() if interval and interval.high < 0]
    higher = [target for target, interval in targets.items() if interval and interval.low > 0]
    worse = [part for part, interval in slices.items() if interval.low > policy.slice_margin]
    unclear = [part for part, interval in slices.items() if interval.high > policy.slice_margin]
    if lower and (higher or worse):
        return MIXED, f"higher on {', '.join(higher + worse)}"
    if higher:
        return HIGHER, f"higher on {', '.join(higher)}"
    reasons = [f"no {target} target" for target, interval in targets.items() if interval is None]
    reasons += [
        f"{target}: the interval holds 0" for target in TARGETS if targets[target] and target not in lower
    ]
    if unclear:
        reasons.append(f"not shown to be no worse on {', '.join(unclear)}")
    return (NONE, "; ".join(reasons)) if reasons else (LOWER, "")


@dataclass(frozen=True)
class _Sample:
    """What one arm trains on with one seed: rows, their tokens, their share of the arm's pool."""

    arm: str
    seed: int
    rows: list[int]
    tokens: int
    pool_share: float


@dataclass(frozen=True)
class _Corpus:
    """The documents as columns, sorted by id so that a seed draws the same whatever order they came in."""

    source: npt.NDArray[np.str_]
    text: list[str]
    selected: npt.NDArray[np.bool_]
    synthetic: npt.NDArray[np.bool_]
    group: list[str]
    split: list[str | None] | None
    types: dict[str, int]
    encoded: dict[int, npt.NDArray[np.int32]]

    @classmethod
    def of(cls, documents: pa.Table) -> _Corpus:
        documents = documents.sort_by("doc_id")
        text = documents["text"].to_pylist()
        names = documents.column_names
        clusters = documents["cluster_id"].to_pylist() if "cluster_id" in names else [None] * len(text)
        return cls(
            source=np.array(documents["source"].to_pylist(), dtype=np.str_),
            text=text,
            selected=np.array(documents["selected"].to_pylist(), dtype=bool),
            synthetic=np.array(documents["synthetic"].to_pylist(), dtype=bool),
            group=[cluster or content_hash(body) for cluster, body in zip(clusters, text, strict=True)],
            split=documents["split"].to_pylist() if "split" in names else None,
            types=defaultdict(count().__next__),
            encoded={},
        )

    def held_out(self, share: float) -> npt.NDArray[np.bool_]:
        """Which documents no arm may train on: fixed by group, never by the selection."""
        if self.split is not None:
            named = {group for group, split in zip(self.group, self.split, strict=True) if split == "holdout"}
            return np.array([group in named for group in self.group], dtype=bool)
        return np.array([_uniform(group) < share for group in self.group], dtype=bool)

    def tokens(self, row: int) -> npt.NDArray[np.int32]:
        """A document's tokens as type ids; each document is tokenised once."""
        if row not in self.encoded:
            words = ngram.tokenise(self.text[row])
            self.encoded[row] = np.fromiter(map(self.types.__getitem__, words), np.int32, len(words))
        return self.encoded[row]

    def take(self, rows: Iterable[int], tokens: int, longest: float = math.inf) -> Iterator[int]:
        """Rows in the order given until they hold so many tokens, of each at most its `longest` first.

        The last row may reach beyond.
        """
        for row in rows:
            if tokens <= 0:
                return
            tokens -= int(min(len(self.tokens(row)), longest))
            yield row


@dataclass(frozen=True)
class _Vocabulary:
    """Words seen at least twice in what the arms train on together, so that it favours none of them.

    `ids` maps a corpus type to its word id; 0 is the unknown word.
    """

    ids: npt.NDArray[np.int64]
    size: int
    sha: str

    @classmethod
    def of(cls, corpus: _Corpus, rows: list[int]) -> _Vocabulary:
        counts = np.bincount(
            np.concatenate([corpus.tokens(row) for row in rows]), minlength=len(corpus.types)
        )
        words = sorted(word for word, index in corpus.types.items() if counts[index] >= 2)
        ids = np.zeros(len(corpus.types), np.int64)
        ids[[corpus.types[word] for word in words]] = np.arange(1, len(words) + 1)
        return cls(ids, len(words) + 1, hashlib.sha256("\n".join(words).encode()).hexdigest())


@dataclass(frozen=True)
class _Test:
    """The held-out documents as word ids, which of their tokens count, and the documents of each set."""

    words: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    scored: npt.NDArray[np.bool_]
    sets: dict[tuple[str, str], list[int]]

    @classmethod
    def of(
        cls,
        corpus: _Corpus,
        holdouts: dict[tuple[str, str], list[int]],
        trained_on: list[int],
        vocabulary: _Vocabulary,
        policy: ProxyPolicy,
    ) -> _Test:
        """Known and uncontaminated tokens count; a set with too few of them is left out."""
        rows = sorted({row for members in holdouts.values() for row in members})
        tokens, offsets = _concatenate([corpus.tokens(row)[: policy.document_tokens] for row in rows])
        words = vocabulary.ids[tokens]
        training = _concatenate([corpus.tokens(row) for row in trained_on])
        scored = (words != UNKNOWN) & ~_contaminated(tokens, offsets, *training)
        counts = _per_document(scored, offsets)
        place = {row: document for document, row in enumerate(rows)}
        sets = {name: [place[row] for row in members] for name, members in holdouts.items()}
        enough = {
            name: members for name, members in sets.items() if counts[members].sum() >= policy.minimum_tokens
        }
        return cls(words, offsets, scored, enough)

    def score(self, model: ngram.KneserNey) -> Iterator[tuple[tuple[str, str], int, float]]:
        """Of each set its name, how many tokens count, and their mean negative log-likelihood in nats."""
        nll = ngram.negative_log_likelihood(model, self.words, self.offsets)
        sums = _per_document(np.where(self.scored, nll, 0.0), self.offsets)
        counts = _per_document(self.scored, self.offsets)
        for name, members in self.sets.items():
            size = int(counts[members].sum())
            yield name, size, float(sums[members].sum()) / size


def _sample(
    corpus: _Corpus, arm: str, seed: int, pool: npt.NDArray[np.bool_], policy: ProxyPolicy
) -> _Sample:
    """One arm's resampling. A document's draw depends on the seed alone, which pairs the arms."""
    generator = np.random.default_rng(seed)
    kept, place, control = generator.random((3, len(pool)))
    members = {"raw": pool, "selected": pool & corpus.selected, "random": pool}[arm]
    candidates = np.flatnonzero(members)
    if arm == "random":
        candidates = candidates[np.argsort(control[candidates])][: int((pool & corpus.selected).sum())]
    candidates = candidates[kept[candidates] < policy.subsample]
    rows = list(corpus.take(candidates[np.argsort(place[candidates])].tolist(), policy.budget_tokens))
    characters = sum(len(corpus.text[row]) for row in rows)
    return _Sample(
        arm,
        seed,
        rows,
        tokens=sum(len(corpus.tokens(row)) for row in rows),
        pool_share=characters / max(1, sum(len(corpus.text[row]) for row in np.flatnonzero(members))),
    )


def _holdouts(
    corpus: _Corpus,
    held: npt.NDArray[np.bool_],
    independent: npt.NDArray[np.bool_],
    pool: npt.NDArray[np.bool_],
    policy: ProxyPolicy,
) -> dict[tuple[str, str], list[int]]:
    """The rows of each held-out set and slice, in the order of their groups' hashes."""
    trained = {corpus.group[row] for row in np.flatnonzero(pool)}
    unseen = np.array([group not in trained for group in corpus.group], dtype=bool)
    members = {
        ("reference", "all"): held & ~corpus.synthetic & np.isin(corpus.source, policy.reference_sources),
        ("independent", "all"): independent & ~corpus.synthetic & unseen,
        ("raw", "all"): held,
    }
    members |= {
        ("source", source): held & (corpus.source == source) for source in np.unique(corpus.source[held])
    }
    holdouts = {}
    for (holdout, part), rows in members.items():
        ordered = sorted(np.flatnonzero(rows).tolist(), key=lambda row: (_uniform(corpus.group[row]), row))
        most = policy.slice_tokens if holdout == "source" else policy.holdout_tokens
        holdouts[holdout, str(part)] = list(corpus.take(ordered, most, policy.document_tokens))
    return holdouts


def _contaminated(
    tokens: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    trained_on: npt.NDArray[np.int32],
    trained_offsets: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    """Which held-out tokens lie in a 13-gram that some arm trains on."""
    hashes, inside = _ngram_hashes(tokens, offsets)
    trained_hashes, trained_inside = _ngram_hashes(trained_on, trained_offsets)
    hit = inside & np.isin(hashes, trained_hashes[trained_inside])
    covered = np.zeros(len(tokens) + 1, np.int64)
    starts = np.flatnonzero(hit)
    np.add.at(covered, starts, 1)
    np.add.at(covered, starts + DECONTAMINATION_NGRAM, -1)
    return np.cumsum(covered)[:-1] > 0


def _ngram_hashes(
    tokens: npt.NDArray[np.int32], offsets: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """A polynomial hash of the 13-gram at each token, and whether it ends inside the token's document."""
    hashes = np.zeros(len(tokens), np.uint64)
    mixed = np.concatenate([tokens, np.zeros(DECONTAMINATION_NGRAM, tokens.dtype)]).astype(np.uint64)
    mixed = (mixed + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    for ahead in range(DECONTAMINATION_NGRAM):
        hashes = hashes * np.uint64(0x100000001B3) + (mixed[ahead : ahead + len(tokens)] >> np.uint64(7))
    ends = np.repeat(offsets[1:], np.diff(offsets))
    return hashes, np.arange(len(tokens)) + DECONTAMINATION_NGRAM <= ends


def _unique_tokens(corpus: _Corpus, sample: _Sample, bounds: npt.NDArray[np.int64]) -> int:
    """The tokens trained on, counting one document of each duplicate group."""
    first: dict[str, int] = {}
    for row, tokens in zip(sample.rows, np.diff(bounds).tolist(), strict=True):
        first.setdefault(corpus.group[row], tokens)
    return sum(first.values())


def _note(budget: int, short: set[tuple[str, str]], policy: ProxyPolicy) -> str:
    """Where a run fell short of its policy, in words; empty where it didn't."""
    notes = []
    if budget < policy.budget_tokens:
        notes.append(f"budget {budget:,} of {policy.budget_tokens:,} tokens: an arm's resampling has no more")
    if short:
        names = ", ".join(sorted(holdout if part == "all" else part for holdout, part in short))
        notes.append(f"fewer than {policy.minimum_tokens:,} tokens to score, so left out: {names}")
    return "; ".join(notes)


def _uniform(group: str) -> float:
    """A number in [0, 1) that a group's name alone decides."""
    digest = hashlib.blake2b(f"holdout\x1f{group}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def _concatenate(
    parts: Sequence[npt.NDArray[np.int32]],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Documents one after the other, and where each begins and the last ends."""
    offsets = np.cumsum([0, *map(len, parts)], dtype=np.int64)
    return np.concatenate([np.empty(0, np.int32), *parts]), offsets


def _per_document(values: npt.NDArray, offsets: npt.NDArray[np.int64]) -> npt.NDArray:
    """Sums of per-token values over each document."""
    running = np.concatenate([[0], np.cumsum(values)])
    return running[offsets[1:]] - running[offsets[:-1]]
