"""Which of Presidio's pattern recognisers are in use, and what a text must hold before one can fire."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from assets import settings
from assets.privacy.credentials import CREDENTIALS
from assets.privacy.names import NAMES
from assets.privacy.phones import GAP

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine, EntityRecognizer
    from presidio_analyzer.nlp_engine import NlpEngine

FILE = Path(__file__).with_name("recognizers.yaml")

OTHER, KOREAN = "en", "ko"
"""What text is searched as whose language has no recogniser of its own, and what text with Hangul in it is."""

PHONE_DIGITS = 5
"""No valid number has fewer: a Korean one has five at least, one written with its country code six."""

DIGITS = r"\p{Nd}(?:" + GAP + r"\p{Nd}){" + f"{PHONE_DIGITS - 1}" + "}"
"""As many digits near each other as the shortest telephone number has; every longer number has them too."""

ANYTHING = r"\p{Nd}|@|::|(?:[0-9A-Fa-f]{1,4}[:-]){5}|(?:[0-9A-Fa-f]{4}\.){2}"
"""What every text matches that any of this project's candidates matches; most texts don't."""

NO_ADDRESS = r"[!#$%&'*+\-/=?^_`{|}~\.\w]++(?!@\w+([-.]\w+)*\.\w)(*SKIP)(*FAIL)"


@dataclass(frozen=True)
class Recognizer:
    """One of Presidio's recognisers and the RE2 pattern that every text it can fire on matches.

    The pattern only ever lets too much through: it is the recogniser's own with look-around, word boundaries
    and everything optional taken out, so a text that fails it holds no finding. `sign` is one that is faster
    searched for in a row with the others' and lets more through still. Without languages it is for all.
    """

    entity: str
    name: str
    candidate: str = r"\p{Nd}"
    languages: tuple[str, ...] = ()
    sign: str = ""

    def reads(self, language: str) -> bool:
        """Whether it is for text of a language."""
        return not self.languages or language in self.languages


class RecognizerError(ValueError):
    """A file of recognisers that can't be read; names the file and the line of the list."""


@dataclass(frozen=True)
class Configuration:
    """A file of recognisers: the recognisers, and whose national telephone numbers are known, by language."""

    recognizers: tuple[Recognizer, ...]
    phone_regions: Mapping[str, tuple[str, ...]]

    @property
    def languages(self) -> tuple[str, ...]:
        """Those that have something of their own."""
        own = {language for each in self.recognizers for language in each.languages}
        return tuple(sorted({OTHER, KOREAN} | own | self.phone_regions.keys() - {"all"}))

    def regions(self, language: str) -> tuple[str, ...]:
        """Whose national telephone numbers are known in text of a language."""
        own = self.phone_regions.get(language, ())
        return tuple(dict.fromkeys((*self.phone_regions.get("all", ()), *own)))


@cache
def load_recognizers(path: Path = FILE) -> Configuration:
    """The recognisers that a file names.

    Raises:
        RecognizerError: It isn't such a file, an entity is named twice, or a pattern isn't RE2's.
    """
    found: dict[str, Recognizer] = {}
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        regions = {language: tuple(names) for language, names in raw["phone_regions"].items()}
        for number, row in enumerate(raw["recognizers"], 1):
            where = f"{path.name}, recogniser {number}"
            fields = {"entity", "recognizer"} - row.keys() or row.keys() - FIELDS
            if fields:
                raise RecognizerError(f"{where}: {', '.join(sorted(fields))} missing or unknown")
            patterns = {name: row[name] for name in ("candidate", "sign") if name in row}
            patterns = {name: DIGITS if each == "digits" else each for name, each in patterns.items()}
            # This project's own are tested; trying them on import would bring pandas with it.
            for pattern in patterns.values() if path != FILE else ():
                pc.match_substring_regex(pa.array([""]), pattern)
            if row["entity"] in found:
                raise RecognizerError(f"{where}: {row['entity']} has a recogniser already")
            languages = tuple(row.get("languages", ()))
            found[row["entity"]] = Recognizer(
                row["entity"], row["recognizer"], languages=languages, **patterns
            )
    except pa.ArrowInvalid as error:
        raise RecognizerError(f"{where}: {error}") from error
    except (yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise RecognizerError(f"{path.name}: {type(error).__name__}: {error}") from error
    return Configuration(tuple(found.values()), regions)


FIELDS = frozenset({"entity", "recognizer", "candidate", "sign", "languages"})

CONFIGURATION = load_recognizers(settings.recognizers_file())
RECOGNIZERS, LANGUAGES = CONFIGURATION.recognizers, CONFIGURATION.languages


def anything(recognizers: Iterable[Recognizer]) -> str:
    """The RE2 pattern that is asked of every text: most hold nothing that it matches."""
    others = [each.candidate for each in recognizers if each not in load_recognizers().recognizers]
    return "|".join([ANYTHING, *others])


def signs(recognizers: Iterable[Recognizer]) -> str:
    """The RE2 pattern of every text that one of some recognisers can fire on."""
    return "|".join(dict.fromkeys(f"(?:{each.sign or each.candidate})" for each in recognizers))


PATTERNED = tuple(recognizer.entity for recognizer in RECOGNIZERS)
ENTITIES = (*PATTERNED, *CREDENTIALS, *NAMES)
"""What Presidio's patterns find, and with that everything that can be found."""


@cache
def analyzer() -> AnalyzerEngine:
    """Presidio over `RECOGNIZERS` and a bare tokeniser: no model, no network; one a process.

    The import takes about 3 s.
    """
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry

    languages = list(LANGUAGES)
    registry = RecognizerRegistry(
        recognizers=[
            _build(recognizer.name, language)
            for recognizer in RECOGNIZERS
            for language in languages
            if recognizer.reads(language)
        ],
        supported_languages=languages,
    )
    return AnalyzerEngine(registry=registry, nlp_engine=_tokenizer(), supported_languages=languages)


@cache
def recognizer_of(entity: str, language: str) -> EntityRecognizer:
    """The recogniser of an entity in one language, as the analyzer has it."""
    (found,) = analyzer().registry.get_recognizers(language=language, entities=[entity])
    return found


def _build(name: str, language: str) -> EntityRecognizer:
    from presidio_analyzer import predefined_recognizers

    builders: dict[str, Callable[[str], EntityRecognizer]] = {
        "EmailRecognizer": _email_recognizer,
        "KrBrnRecognizer": _business_recognizer,
        "KrDriverLicenseRecognizer": _driver_recognizer,
        "IpRecognizer": _ip_recognizer,
        "PhoneRecognizer": _phone_recognizer,
    }
    if name in builders:
        return builders[name](language)
    if not hasattr(predefined_recognizers, name):
        raise RecognizerError(f"{settings.recognizers_file().name}: Presidio has no recogniser {name}")
    return getattr(predefined_recognizers, name)(supported_language=language)


def _phone_recognizer(language: str) -> EntityRecognizer:
    from presidio_analyzer.predefined_recognizers import PhoneRecognizer

    return PhoneRecognizer(supported_language=language, supported_regions=CONFIGURATION.regions(language))


def _email_recognizer(language: str) -> EntityRecognizer:
    """Presidio's, offline and in linear time.

    Its own downloads a public-suffix list; this one reads the one inside the `tldextract` wheel. On a long
    path or blob Presidio's pattern takes quadratic time, and after a minute Presidio drops the search with no
    more than a log line; here a run of address characters with no domain behind it is stepped over whole.
    """
    from presidio_analyzer import Pattern
    from presidio_analyzer.predefined_recognizers import EmailRecognizer
    from tldextract import TLDExtract

    snapshot = TLDExtract(suffix_list_urls=(), cache_dir=None)

    class OfflineEmailRecognizer(EmailRecognizer):
        def validate_result(self, pattern_text: str) -> bool:
            return snapshot(pattern_text).fqdn != ""

    return OfflineEmailRecognizer(
        patterns=[
            Pattern(pattern.name, NO_ADDRESS + "|" + pattern.regex, pattern.score)
            for pattern in EmailRecognizer.PATTERNS
        ],
        supported_language=language,
        name="EmailRecognizer",
    )


def _business_recognizer(language: str) -> EntityRecognizer:
    """Presidio's of Korean business numbers, as they are written; of any ten digits one in ten passes the
    check digit."""
    from presidio_analyzer.predefined_recognizers import KrBrnRecognizer

    written = [pattern for pattern in KrBrnRecognizer.PATTERNS if "-" in pattern.regex]
    return KrBrnRecognizer(patterns=written, supported_language=language)


def _driver_recognizer(language: str) -> EntityRecognizer:
    """Presidio's of Korean driving licences, as they are written: it takes any twelve digits that begin with
    the number of a region, which is one in six, for sure."""
    from presidio_analyzer import Pattern
    from presidio_analyzer.predefined_recognizers import KrDriverLicenseRecognizer

    written = Pattern("Driver License", r"(?<!\d)\d{2}-\d{2}-\d{6}-\d{2}(?!\d)", 0.05)
    return KrDriverLicenseRecognizer(patterns=[written], supported_language=language)


def _ip_recognizer(language: str) -> EntityRecognizer:
    """Presidio's, without the bare `::`: the unspecified address is nobody's, and `std::vector` is code."""
    from presidio_analyzer.predefined_recognizers import IpRecognizer

    class SpecifiedIpRecognizer(IpRecognizer):
        def invalidate_result(self, pattern_text: str) -> bool:
            return pattern_text == "::" or bool(super().invalidate_result(pattern_text))

    return SpecifiedIpRecognizer(supported_language=language, name="IpRecognizer")


def _tokenizer() -> NlpEngine:
    """A spaCy tokeniser as Presidio's NLP engine, for the words around a match that raise its score.

    A text is tokenised when its first match asks for context, so most never are. Words are lower-cased in
    place of lemmas: Presidio looks for context words inside them, and `card` is in `cards`.
    """
    import spacy
    from presidio_analyzer.nlp_engine import NlpArtifacts, SpacyNlpEngine

    pipeline = spacy.blank("en")

    class LazyArtifacts:
        def __init__(self, text: str, language: str, nlp_engine: NlpEngine) -> None:
            self.text, self.language, self.nlp_engine = text, language, nlp_engine

        @cached_property
        def tokens(self) -> Any:
            return pipeline.make_doc(self.text)

        @cached_property
        def tokens_indices(self) -> list[int]:
            return [token.idx for token in self.tokens]

        @cached_property
        def lemmas(self) -> list[str]:
            return [token.lower_ for token in self.tokens]

        @cached_property
        def keywords(self) -> list[str]:
            return NlpArtifacts.set_keywords(self.nlp_engine, self.lemmas, self.language)

    class Tokenizer(SpacyNlpEngine):
        nlp: Any

        def load(self) -> None:
            self.nlp = dict.fromkeys(LANGUAGES, pipeline)

        def process_text(self, text: str, language: str) -> NlpArtifacts:
            return cast("NlpArtifacts", LazyArtifacts(text, language, self))

    return Tokenizer()
