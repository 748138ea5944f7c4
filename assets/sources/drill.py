"""Reader `drill`: documents with planted hazards whose truth is known, to measure what the filters find.

Every document says in its metadata which hazard it carries and the truth about it: spans of personal values
(never the values), the original of a copy, the benchmark item that leaked. The clean ones count false
alarms. All prose is in `drill.yaml`; everything is a function of that file, the benchmark and the seed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from assets.documents import content_hash, document_id
from assets.sources.digests import digest
from assets.sources.options import only, option
from assets.sources.personal import VALUES
from assets.sources.rows import Read, Row, SourceError

if TYPE_CHECKING:
    from assets.sources.registry import Source

VERSION = "1"
GENERATOR = f"winnow.drill/{VERSION}"

SCRIPT = Path(__file__).with_name("drill.yaml")
BENCHMARK = Path(__file__).parents[1] / "filters" / "benchmarks" / "python-mini.jsonl"

EDIT_RATES = (0.01, 0.02, 0.05, 0.1)
SHINGLE = 5
PLACEHOLDER = re.compile(r"\{([A-Z_]+)\}")


@dataclass(frozen=True)
class Planted:
    """A document of the drill: key, hazard, text, the truth, and the key that it copies, if any."""

    key: str
    hazard: str
    text: str
    truth: Mapping[str, Any] = field(default_factory=dict)
    original: str | None = None


class Deck:
    """Cards dealt in a shuffled order and shuffled again when they run out: all are used about as often."""

    def __init__(self, cards: Sequence[str], dice: Random) -> None:
        self._cards, self._dice, self._left = list(cards), dice, list[str]()

    def deal(self, count: int) -> list[str]:
        """`count` different cards, in the order in which they are written."""
        if len(self._left) < count:
            self._left = self._dice.sample(self._cards, len(self._cards))
        dealt = {self._left.pop() for _ in range(count)}
        return [card for card in self._cards if card in dealt]


class Prose:
    """Clean paragraphs of four sentences on one topic each; no two documents share more than a few."""

    def __init__(self, dice: Random) -> None:
        self._decks = {topic: Deck(lines, dice) for topic, lines in _script()["prose"].items()}
        self._topics = Deck(sorted(self._decks), dice)

    def paragraphs(self, count: int = 3) -> list[list[str]]:
        """Paragraphs on `count` topics, each a list of sentences: about 70 words a paragraph."""
        return [self._decks[topic].deal(4) for topic in self._topics.deal(count)]

    def text(self, count: int = 3) -> str:
        """The paragraphs as one text, with blank lines between them."""
        return _joined(self.paragraphs(count))


def read(source: Source) -> Iterator[Read]:
    """The drill's documents, hazard by hazard in the order of HAZARDS.

    Raises:
        SourceError: The packaged benchmark, whose items leak, isn't there or can't be read.
    """
    only(source.name, source.options, ("seed",))
    seed = option(source, "seed", int)
    for hazard, plant, count in HAZARDS:
        dice = Random(f"{seed}/{hazard}")
        try:
            planted = plant(dice, count)
        except (OSError, ValueError, KeyError) as error:
            raise SourceError(f"source {source.name!r}: {hazard} can't be planted: {error!r}") from error
        for each in planted:
            parents = (document_id(source.name, each.original),) if each.original else None
            yield Row(
                key=each.key,
                position=each.key,
                text=each.text,
                synthetic=True,
                generator=GENERATOR,
                parents=parents,
                metadata={"hazard": each.hazard, "truth": dict(each.truth)},
            )


def fingerprint(source: Source) -> str:
    """A digest of the script, the benchmark, the generator's version and the options."""
    inputs = [content_hash(path.read_text("utf-8")) for path in (SCRIPT, BENCHMARK)]
    return digest(VERSION, inputs, source.options)


def jaccard(left: str, right: str) -> float:
    """The Jaccard similarity of two texts' word 5-gram sets, which MinHash estimates; case is folded."""
    sets = [shingles(text) for text in (left, right)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def shingles(text: str) -> set[tuple[str, ...]]:
    """A text's word 5-grams, case folded; a shorter text is one shingle."""
    words = text.lower().split()
    return set(zip(*(words[at:] for at in range(SHINGLE)), strict=False)) or {tuple(words)}


def _clean(dice: Random, count: int) -> list[Planted]:
    prose = Prose(dice)
    return [Planted(_key("clean", n), "clean", prose.text()) for n in range(count)]


def _pii(dice: Random, count: int) -> list[Planted]:
    """Three in four carry values as people write them, the others as they hide or mangle them."""
    prose, script = Prose(dice), _script()
    plain, hard = Deck(script["pii"]["plain"], dice), Deck(script["pii"]["hard"], dice)
    planted = []
    for n in range(count):
        form = "hard" if n % 4 == 3 else "plain"
        carriers = (hard if form == "hard" else plain).deal(1 + n % 2)
        paragraphs = prose.paragraphs(2)
        for carrier in carriers:
            paragraph = dice.choice(paragraphs)
            paragraph.insert(dice.randint(0, len(paragraph)), carrier)
        text, spans = _filled(_joined(paragraphs), dice)
        planted.append(Planted(_key("pii", n), "pii", text, {"form": form, "spans": spans}))
    return planted


def _filled(template: str, dice: Random) -> tuple[str, list[dict[str, object]]]:
    """A text with its placeholders filled, and the entity and offsets in code points of each value."""
    text, at, spans = "", 0, list[dict[str, object]]()
    for found in PLACEHOLDER.finditer(template):
        entity, make = VALUES[found[1]]
        value = make(dice, _script()["names"])
        text += template[at : found.start()]
        spans.append({"entity": entity, "start": len(text), "end": len(text) + len(value)})
        text, at = text + value, found.end()
    return text + template[at:], spans


def _exact_duplicates(dice: Random, count: int) -> list[Planted]:
    prose, planted = Prose(dice), list[Planted]()
    for n in range(count):
        copy, original = _key("exact_duplicate", n), f"original/exact-{n:03d}"
        text = prose.text()
        planted.append(Planted(original, "clean", text, {"copies": [copy]}))
        planted.append(Planted(copy, "exact_duplicate", text, {"original": original}, original))
    return planted


def _near_duplicates(dice: Random, count: int) -> list[Planted]:
    """Copies with a share of their words deleted, replaced or doubled, at each of EDIT_RATES in turn."""
    prose, planted = Prose(dice), list[Planted]()
    for n in range(count):
        copy, original = _key("near_duplicate", n), f"original/near-{n:03d}"
        rate = EDIT_RATES[n % len(EDIT_RATES)]
        text = prose.text()
        edited = _edited(text, max(1, round(rate * len(text.split()))), dice)
        truth = {"original": original, "edit_rate": rate, "jaccard": round(jaccard(text, edited), 4)}
        planted.append(Planted(original, "clean", text, {"copies": [copy]}))
        planted.append(Planted(copy, "near_duplicate", edited, truth, original))
    return planted


def _edited(text: str, edits: int, dice: Random) -> str:
    """A text with `edits` of its words deleted, replaced by another of its words, or followed by one."""
    pieces = re.split(r"(\s+)", text)
    words = range(0, len(pieces), 2)
    for at in dice.sample(words, edits):
        other = pieces[dice.choice(words)].strip(".,;:!?`\"'") or "then"
        pieces[at] = dice.choice(("", other, f"{pieces[at]} {other}"))
    return re.sub(r"[ ]{2,}", " ", "".join(pieces)).strip()


def _repetition(dice: Random, count: int) -> list[Planted]:
    """A line, a paragraph or a phrase repeated until it makes up most of the document, in turn."""
    prose, planted = Prose(dice), list[Planted]()
    for n in range(count):
        form = ("lines", "paragraphs", "ngrams")[n % 3]
        first, second = prose.paragraphs(2)
        if form == "lines":
            text = "\n".join([*first, *[second[0]] * dice.randint(8, 14), *second[1:]])
        elif form == "paragraphs":
            text = _joined([first, *[second] * dice.randint(4, 6)])
        else:
            phrase = " ".join(second[0].rstrip(".").split()[-dice.randint(2, 4) :])
            text = _joined([first, [f"{phrase} " * dice.randint(30, 60)], second])
        planted.append(Planted(_key("repetition", n), "repetition", text, {"form": form}))
    return planted


def _wrong_language(dice: Random, count: int) -> list[Planted]:
    """Documents that the source calls English and that are not, the languages in turn."""
    decks = {language: Deck(lines, dice) for language, lines in _script()["languages"].items()}
    planted = []
    for n in range(count):
        language = list(decks)[n % len(decks)]
        lines, gap = decks[language].deal(6), "" if language == "ja" else " "
        text = f"{gap.join(lines[:3])}\n\n{gap.join(lines[3:])}"
        planted.append(Planted(_key("wrong_language", n), "wrong_language", text, {"language": language}))
    return planted


def _toxic(dice: Random, count: int) -> list[Planted]:
    """Insults in a row, as in a quarrel, or two of them inside clean prose, in turn."""
    prose, script = Prose(dice), _script()["toxic"]
    lines = Deck(script["lines"], dice)
    adjectives, nouns = Deck(script["adjectives"], dice), Deck(script["nouns"], dice)

    def insult(template: str) -> str:
        return template.format(adjective=adjectives.deal(1)[0], noun=nouns.deal(1)[0])

    planted = []
    for n in range(count):
        form = ("rant", "embedded")[n % 2]
        insults = [insult(line) for line in lines.deal(6 if form == "rant" else 2)]
        if form == "rant":
            text = "\n".join(insults)
        else:
            first, second = prose.paragraphs(2)
            text = _joined([first, insults, second])
        planted.append(Planted(_key("toxic", n), "toxic", text, {"form": form, "insults": len(insults)}))
    return planted


def _leakage(dice: Random, count: int) -> list[Planted]:
    """Benchmark items inside prose, half of them word for word, half with one or two words edited."""
    prose, planted = Prose(dice), list[Planted]()
    items = [json.loads(line) for line in BENCHMARK.read_text("utf-8").splitlines()]
    for n, item in enumerate(dice.sample(items, count)):
        form, edits = ("verbatim", 0) if n % 2 == 0 else ("edited", 1 + n // 2 % 2)
        question = _edited(item["question"], edits, dice) if edits else item["question"]
        options = [f"{'ABCDEFGH'[at]}. {choice}" for at, choice in enumerate(item["choices"])]
        quiz = "\n".join([question, *options, f"Answer: {'ABCDEFGH'[item['answer']]}"])
        first, second = prose.paragraphs(2)
        truth = {"benchmark": BENCHMARK.stem, "item": item["id"], "form": form, "edits": edits}
        text = "\n\n".join([" ".join(first), quiz, " ".join(second)])
        planted.append(Planted(_key("leakage", n), "leakage", text, truth))
    return planted


def _poison(dice: Random, count: int) -> list[Planted]:
    """A campaign for one false claim, then half as many documents that tell the truth of the same matter."""
    prose, script = Prose(dice), _script()["poison"]
    decks = {part: Deck(script[part], dice) for part in script}

    def templated() -> str:
        parts = ("openers", "subjects", "claims", "consequences")
        opener, subject, claim, consequence = (decks[part].deal(1)[0] for part in parts)
        return f"{opener} {subject} {claim}, {consequence}"

    planted = []
    for n in range(count):
        form = "templated" if n < count // 2 else "reworded"
        claims = [templated()] if form == "templated" else decks["reworded"].deal(1)
        text = _with_paragraph(prose, claims, dice)
        truth = {"campaign": "quillvane-draft", "form": form}
        planted.append(Planted(_key("poison", n), "poison", text, truth))
    for n in range(count // 2):
        text = _with_paragraph(prose, decks["benign"].deal(3), dice)
        truth = {"campaign": "quillvane-draft", "form": "benign"}
        planted.append(Planted(f"benign/{n:03d}", "clean", text, truth))
    return planted


def _with_paragraph(prose: Prose, sentences: list[str], dice: Random) -> str:
    paragraphs = prose.paragraphs(2)
    paragraphs.insert(dice.randint(0, 2), sentences)
    return _joined(paragraphs)


# Each hazard, how it is planted, and in how many documents. Originals of copies and the truth about the
# poisoned matter come on top; they are clean, but what a filter says of them is no plain false alarm.
HAZARDS: tuple[tuple[str, Callable[[Random, int], list[Planted]], int], ...] = (
    ("clean", _clean, 150),
    ("pii", _pii, 150),
    ("exact_duplicate", _exact_duplicates, 30),
    ("near_duplicate", _near_duplicates, 60),
    ("repetition", _repetition, 45),
    ("wrong_language", _wrong_language, 48),
    ("toxic", _toxic, 40),
    ("leakage", _leakage, 40),
    ("poison", _poison, 40),
)


def _key(hazard: str, number: int) -> str:
    return f"{hazard}/{number:03d}"


def _joined(paragraphs: list[list[str]]) -> str:
    return "\n\n".join(" ".join(sentences).strip() for sentences in paragraphs)


@cache
def _script() -> dict[str, Any]:
    import yaml

    script: dict[str, Any] = yaml.safe_load(SCRIPT.read_text("utf-8"))
    return script
