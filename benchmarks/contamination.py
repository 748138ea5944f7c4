"""How good and how fast benchmark items are found: planted items, clean documents, other ways of looking.

    .venv/bin/python benchmarks/contamination.py [--json FILE]

It plants items of five public benchmarks, and Korean instructions, in the middle of real documents of
`../shared/data`, verbatim and lightly edited; it prints, and writes to `docs/measured/contamination.json`,

- recall by edit: the share of planted items that are found in their document, over all and by benchmark;
- false alarms: clean documents in which an item is said to be, by corpus. A few do quote an item's source;
- the same for other policies, and for two n-gram rules of the field written here in plain Python: half of an
  item's 8-grams (as in Gao et al. 2021), and any of its 13-grams (Brown et al. 2020);
- MB of text a CPU second, the index of items made anew each time.

Every share has n and its 95 % interval (Wilson). Everything is drawn from one seed.
"""

from __future__ import annotations

import argparse
import logging
import random
import re
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from reports import DATA, MEASURED, machine, records, save, share

from assets.filters.contamination import (
    Benchmark,
    ContaminationPolicy,
    Item,
    find_contamination,
    load_benchmark,
    packaged_benchmarks,
)
from assets.filters.folding import fold

BENCHMARKS = ("gsm8k-test", "mmlu-2850", "hellaswag-3000", "truthfulqa-817", "humaneval-164")
KOREAN = "sft/ko-alpaca-11k.jsonl.gz"
PLANTED = 300  # of each benchmark, at most
HOST_WORDS = 150
# One document in so many is read of the large corpora.
SPARSE = {"windows-powershell-docs": 20, "botocore-docs": 4, "boolq-wikipedia": 3}
POLICIES = {
    "default": ContaminationPolicy(),
    "runs of 4 words": ContaminationPolicy(ngram=4),
    "runs of 6 words": ContaminationPolicy(ngram=6),
    "three quarters of a short item": ContaminationPolicy(short_overlap=0.75),
    "nine tenths of a short item": ContaminationPolicy(short_overlap=0.9),
    "four fifths of every item": ContaminationPolicy(overlap=0.8),
}

Edit = Callable[[str, random.Random], str]


def clean_documents() -> pa.Table:
    ids, sources, texts = [], [], []
    for path in sorted((DATA / "corpora").glob("*.jsonl.gz")):
        corpus = path.name.removesuffix(".jsonl.gz")
        for number, row in enumerate(records(path)[:: SPARSE.get(corpus, 1)]):
            ids.append(f"{corpus}/{number}")
            sources.append(corpus)
            texts.append(row.get("text") or "")
    return pa.table({"doc_id": ids, "source": sources, "text": texts})


def korean() -> tuple[Benchmark, list[str]]:
    """Korean instructions as items, every fourth, and answers of the others as documents to plant them in."""
    rows = records(DATA / KOREAN)
    items = [Item(str(number), row["instruction"]) for number, row in enumerate(rows) if number % 4 == 0]
    answers = [row["output"] for number, row in enumerate(rows) if number % 4 and len(row["output"]) > 200]
    return Benchmark("ko-alpaca-11k", tuple(items)), answers


def words_changed(rate: float, change: Callable[[str, str], str]) -> Edit:
    """A share of the words, one at least, each made of itself and of a word from elsewhere."""

    def edit(text: str, dice: random.Random) -> str:
        pieces = re.split(r"(\s+)", text)
        words = range(0, len(pieces), 2)
        for at in dice.sample(words, max(1, round(rate * len(words)))):
            pieces[at] = change(pieces[at], dice.choice(FILLERS))
        return "".join(pieces)

    return edit


def _full_width(text: str) -> str:
    return "".join(chr(ord(each) + 0xFEE0) if "!" <= each <= "~" else each for each in text)


WORDS = "river green seventeen quietly another window became because market yellow"
FILLERS = WORDS.split()
EDITS: dict[str, Edit] = {
    "verbatim": lambda text, _: text,
    "case": lambda text, _: text.swapcase(),
    "punctuation": lambda text, _: re.sub(r"[^\w\s]", "", text).replace(" ", ", "),
    "white space": lambda text, dice: re.sub(
        r"\s", lambda _: dice.choice(["  ", "\n", "\t", "\u00a0"]), text
    ),
    "decomposed (NFD)": lambda text, _: unicodedata.normalize("NFD", text),
    "full width": lambda text, _: _full_width(text),
    "one word in twenty replaced": words_changed(0.05, lambda _, other: other),
    "one word in ten replaced": words_changed(0.1, lambda _, other: other),
    "one word in ten dropped": words_changed(0.1, lambda *_: ""),
    "one word in ten added": words_changed(0.1, lambda word, other: f"{word} {other}"),
    "one word in five replaced": words_changed(0.2, lambda _, other: other),
}


def plant(benchmark: Benchmark, hosts: list[str], edit: Edit, name: str) -> tuple[pa.Table, list[Item]]:
    """A document for each of some items: its text, with lettered choices after a short one, inside a host."""
    dice = random.Random(f"{benchmark.name} {name}")
    items = random.Random(benchmark.name).sample(benchmark.items, min(PLANTED, len(benchmark.items)))
    texts = []
    for item in items:
        quiz = [edit(item.text, dice)]
        if len(item.text.split()) < ContaminationPolicy().shortest:
            quiz += [f"{chr(ord('A') + at)}. {choice}" for at, choice in enumerate(item.choices)]
        words = dice.choice(hosts).split()[:HOST_WORDS]
        middle = len(words) // 2
        texts.append("\n\n".join([" ".join(words[:middle]), "\n".join(quiz), " ".join(words[middle:])]))
    ids = [f"{at:04}" for at in range(len(texts))]
    return pa.table({"doc_id": ids, "source": [benchmark.name] * len(ids), "text": texts}), items


Finder = Callable[[pa.Table], set[tuple[str, str, str]]]


def aligning(benchmarks: list[Benchmark], policy: ContaminationPolicy) -> Finder:
    def find(documents: pa.Table) -> set[tuple[str, str, str]]:
        rows = find_contamination(documents, benchmarks, policy).to_pylist()
        return {(row["doc_id"], row["benchmark"], row["item_id"]) for row in rows}

    return find


def counting(benchmarks: list[Benchmark], ngram: int, overlap: float) -> Finder:
    """Items of which a document has a share of the n-grams; a shorter item is one n-gram."""
    holders: dict[tuple[str, ...], list[int]] = defaultdict(list)
    named = [(benchmark.name, item) for benchmark in benchmarks for item in benchmark.items]
    sizes, widths = [], set()
    for number, folded in enumerate(fold(pa.array([item.text for _, item in named])).to_pylist()):
        words = folded.split()
        width = min(ngram, len(words))
        grams = (
            {tuple(words[at : at + width]) for at in range(len(words) - width + 1)} if width >= 4 else set()
        )
        sizes.append(len(grams))
        widths.add(width)
        for gram in grams:
            holders[gram].append(number)

    def find(documents: pa.Table) -> set[tuple[str, str, str]]:
        found = set()
        ids = documents["doc_id"].to_pylist()
        for doc_id, folded in zip(ids, fold(documents["text"].combine_chunks()).to_pylist(), strict=True):
            words = folded.split()
            held: Counter[int] = Counter()
            for width in widths:
                grams = {tuple(words[at : at + width]) for at in range(len(words) - width + 1)}
                held.update(number for gram in grams & holders.keys() for number in holders[gram])
            for number, count in held.items():
                if count >= overlap * sizes[number]:
                    found.add((doc_id, named[number][0], named[number][1].item_id))
        return found

    return find


def recall(find: Finder, planted: dict[str, dict[str, tuple[pa.Table, list[Item]]]]) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for edit, by_benchmark in planted.items():
        shares: dict[str, tuple[int, int]] = {}
        for name, (documents, items) in by_benchmark.items():
            found = find(documents)
            hits = sum((f"{at:04}", name, item.item_id) in found for at, item in enumerate(items))
            shares[name] = (hits, len(items))
        results[edit] = {
            "all": share(sum(hits for hits, _ in shares.values()), sum(n for _, n in shares.values()))
        } | {name: share(*counts) for name, counts in shares.items()}
    return results


def false_alarms(find: Finder, clean: pa.Table) -> dict[str, Any]:
    found = find(clean)
    hit = {doc_id for doc_id, _, _ in found}
    sizes = Counter(clean["source"].to_pylist())
    by_corpus = Counter(doc_id.partition("/")[0] for doc_id in hit)
    return {
        "documents": share(len(hit), len(clean)),
        "by_corpus": {corpus: share(by_corpus[corpus], n) for corpus, n in sizes.items()},
        "by_benchmark": dict(sorted(Counter(name for _, name, _ in found).items())),
    }


def speed(find: Finder, clean: pa.Table) -> float:
    """MB of text a CPU second, the best of three."""
    spent = []
    for _ in range(3):
        start = time.process_time()
        find(clean)
        spent.append(time.process_time() - start)
    return round(clean["text"].nbytes / 1e6 / min(spent), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, default=MEASURED / "contamination.json")
    arguments = parser.parse_args()
    if not DATA.is_dir():
        raise SystemExit("no ../shared/data beside the project: there is nothing to measure on")
    logging.disable(logging.WARNING)
    clean = clean_documents()
    english = [load_benchmark(DATA / "bench" / f"{name}.jsonl.gz") for name in BENCHMARKS]
    korean_items, korean_hosts = korean()
    everything = [*english, korean_items]
    hosts = [row["text"] for row in records(DATA / "corpora" / "boolq-wikipedia.jsonl.gz")]
    planted = {
        name: {
            benchmark.name: plant(benchmark, korean_hosts if benchmark is korean_items else hosts, edit, name)
            for benchmark in everything
        }
        for name, edit in EDITS.items()
    }
    finders = {name: aligning(everything, policy) for name, policy in POLICIES.items()}
    finders |= {
        "half of the 8-grams": counting(everything, 8, 0.5),
        "any 13-gram": counting(everything, 13, 1e-9),
    }
    results = {}
    for name, find in finders.items():
        results[name] = {"recall": recall(find, planted), "false_alarms": false_alarms(find, clean)}
        print(f"{name}: false alarms {results[name]['false_alarms']['documents']['text']}")
        for edit, shares in results[name]["recall"].items():
            print(f"    {edit:30} {shares['all']['text']}", flush=True)
    packaged = [load_benchmark(path) for path in packaged_benchmarks()]
    policy = ContaminationPolicy()
    rates = {
        f"{sum(len(benchmark.items) for benchmark in benchmarks)} items": speed(
            aligning(benchmarks, policy), clean
        )
        for benchmarks in (packaged, english)
    }
    print(f"MB of text a CPU second: {rates}")
    report = {
        "machine": machine(),
        "policy": vars(policy),
        "clean_documents": len(clean),
        "clean_mb": round(clean["text"].nbytes / 1e6, 2),
        "mb_per_cpu_second": rates,
        "policies": results,
    }
    save(report, arguments.json)


if __name__ == "__main__":
    main()
