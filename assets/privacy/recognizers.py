"""Which of Presidio's pattern recognisers are in use, and what a text must hold before one can fire."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, cast

from assets.privacy.credentials import CREDENTIALS
from assets.privacy.names import NAMES
from assets.privacy.phones import GAP

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine, EntityRecognizer
    from presidio_analyzer.nlp_engine import NlpEngine

LANGUAGES = ("en", "ko")
"""The registries there are: Korean text is also searched for what only Korean text holds."""

PHONE_DIGITS = 5
"""No valid number has fewer: a Korean one has five at least, one written with its country code six."""

PHONE_REGIONS = {"en": ("US", "GB", "IN"), "ko": ("US", "GB", "IN", "KR")}
"""Whose national numbers are known; `+` numbers are known of every country.

Presidio's own eight hold two that are no region (UK, FE), one that is another's double (CA) and one whose
numbers have no least length (DE): on prose it finds fourteen times what the United States' finds.
"""

NO_ADDRESS = r"[!#$%&'*+\-/=?^_`{|}~\.\w]++(?!@\w+([-.]\w+)*\.\w)(*SKIP)(*FAIL)"


@dataclass(frozen=True)
class Recognizer:
    """One of Presidio's recognisers and the RE2 pattern that every text it can fire on matches.

    The pattern only ever lets too much through: it is the recogniser's own with look-around, word boundaries
    and everything optional taken out, so a text that fails it holds no finding. `sign` is one that is faster
    searched for in a row with the others' and lets more through still.
    """

    entity: str
    name: str
    candidate: str
    languages: tuple[str, ...] = LANGUAGES
    sign: str = ""


DIGITS = r"\p{Nd}(?:" + GAP + r"\p{Nd}){" + f"{PHONE_DIGITS - 1}" + "}"
"""As many digits near each other as the shortest telephone number has; every longer number has them too."""

ANYTHING = r"\p{Nd}|@|::|(?:[0-9A-Fa-f]{1,4}[:-]){5}|(?:[0-9A-Fa-f]{4}\.){2}"
"""What every text matches that any of the recognisers' patterns matches; most texts don't."""

RECOGNIZERS = (
    Recognizer("EMAIL_ADDRESS", "EmailRecognizer", r"@[^\s@]+\."),
    Recognizer(
        "PHONE_NUMBER",
        "PhoneRecognizer",
        DIGITS,
    ),
    Recognizer(
        "CREDIT_CARD",
        "CreditCardRecognizer",
        r"[13456]\p{Nd}{3}[- ]?\p{Nd}{3,4}[- ]?\p{Nd}{3,4}[- ]?\p{Nd}{3}",
        sign=DIGITS,
    ),
    Recognizer(
        "IBAN_CODE", "IbanRecognizer", r"[A-Z]{2}[0-9]{2}(?:[ -]?[A-Z0-9]{4}){2}", sign="[A-Z]{2}[0-9]{2}"
    ),
    Recognizer(
        "IP_ADDRESS",
        "IpRecognizer",
        r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]|[0-9a-fA-F]::|::[0-9a-fA-F]"
        r"|(?:[0-9a-fA-F]{1,4}:){7}|(?i:fe80:)",
    ),
    Recognizer(
        "MAC_ADDRESS",
        "MacAddressRecognizer",
        r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}",
    ),
    Recognizer("US_SSN", "UsSsnRecognizer", r"\b[0-9]{3}[- .]?[0-9]{2}[- .]?[0-9]{4}\b", sign=DIGITS),
    Recognizer("CRYPTO", "CryptoRecognizer", r"(?i:bc1|[13])[0-9A-Za-z\x{17F}\x{212A}]{25}"),
    Recognizer("KR_RRN", "KrRrnRecognizer", r"\p{Nd}{6}-?[1-4]\p{Nd}{6}", ("ko",), DIGITS),
    Recognizer("KR_FRN", "KrFrnRecognizer", r"\p{Nd}{6}-?[5-8]\p{Nd}{6}", ("ko",), DIGITS),
    Recognizer("KR_BRN", "KrBrnRecognizer", r"\p{Nd}{3}-\p{Nd}{2}-\p{Nd}{5}", ("ko",), DIGITS),
    Recognizer(
        "KR_PASSPORT",
        "KrPassportRecognizer",
        r"[MmSsRrOoDd]\p{Nd}{3}[A-Za-z\p{Nd}]\p{Nd}{4}",
        ("ko",),
        r"[MmSsRrOoDd]\p{Nd}{3}",
    ),
    Recognizer(
        "KR_DRIVER_LICENSE",
        "KrDriverLicenseRecognizer",
        r"\p{Nd}{2}-\p{Nd}{2}-\p{Nd}{6}-\p{Nd}{2}",
        ("ko",),
        DIGITS,
    ),
)
"""The recognisers, in order.

Not among them: `UrlRecognizer` (a URL names no person, and it takes a third of all pattern time), and those
that take any number of a length for a finding (licences, bank accounts, passports of other countries). The
Korean passport counts only where the words before it say what it is.
"""


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
            for language in recognizer.languages
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
    return getattr(predefined_recognizers, name)(supported_language=language)


def _phone_recognizer(language: str) -> EntityRecognizer:
    from presidio_analyzer.predefined_recognizers import PhoneRecognizer

    return PhoneRecognizer(supported_language=language, supported_regions=PHONE_REGIONS[language])


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
