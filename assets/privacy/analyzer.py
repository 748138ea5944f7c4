"""Presidio's recognisers asked one by one: its analyzer's findings, without what it does for every text.

The analyzer tokenises a whole text for the words around a match and copies every result several times. Here
a text is tokenised only where a word of a recogniser's context stands before a match, and only there.
"""

from __future__ import annotations

from functools import cache, cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from assets.privacy.hits import Hit
from assets.privacy.phones import phone_filter
from assets.privacy.recognizers import CONFIGURATION, analyzer, recognizer_of

if TYPE_CHECKING:
    from presidio_analyzer import EntityRecognizer, RecognizerResult
    from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer

# Characters before a match that are tokenised at first, and how many of the first tokens are not relied on:
# a cut text may be read differently there.
REACH, UNSURE = 400, 4


def analyze(text: str, language: str, entities: list[str], threshold: float) -> list[Hit]:
    """What Presidio's analyzer finds of some entities in a text, at a score or above."""
    from presidio_analyzer import EntityRecognizer

    results = []
    for entity in entities:
        recognizer = recognizer_of(entity, language)
        searched: str | None = text
        if entity == "PHONE_NUMBER":
            searched = phone_filter(CONFIGURATION.regions(language)).masked(text)
        if searched is None:
            continue
        for result in recognizer.analyze(searched, [entity], None):
            _enhance(result, recognizer, text, language)
            results.append(result)
    found = EntityRecognizer.remove_duplicates(results)
    return [
        Hit(
            each.entity_type,
            each.start,
            each.end,
            each.score,
            each.recognition_metadata[each.RECOGNIZER_NAME_KEY],
        )
        for each in found
        if each.score >= threshold
    ]


def _enhance(result: RecognizerResult, recognizer: EntityRecognizer, text: str, language: str) -> None:
    """Raises a result's score where a word before it belongs to the recogniser's context."""
    enhancer = _enhancer()
    # A score that is the highest already stays so.
    if not recognizer.context or result.score >= enhancer.MAX_SCORE:
        return
    words = [word.lower() for word in recognizer.context]
    # The match's own token counts as well, and may reach beyond it.
    before = text[: _token_end(text, result.end)].lower()
    if not any(word in before for word in words):
        return
    near = _words_before(text, result.start, language)
    if any(word in one for word in words for one in near):
        score = max(
            result.score + enhancer.context_similarity_factor, enhancer.min_score_with_context_similarity
        )
        result.score = min(score, enhancer.MAX_SCORE)


def _words_before(text: str, start: int, language: str) -> list[str]:
    """The keywords that Presidio takes for the context of a match at `start`: its own token's, and so many
    before it."""
    engine = analyzer().nlp_engine
    wanted = _enhancer().context_prefix_count + 1
    end, reach = _token_end(text, start + 1), REACH
    keywords = _Keywords(text, language)
    while True:
        cut = _cut(text, start - reach)
        tokens = engine.nlp[language].make_doc(text[cut:end])  # type: ignore[attr-defined]
        at = next(i for i, token in enumerate(tokens) if start - cut < token.idx + len(token))
        found: list[str] = []
        while at >= 0 and len(found) < wanted and (cut == 0 or at >= UNSURE):
            word = tokens[at].lower_
            if keywords(word):
                found.append(word)
            at -= 1
        if len(found) == wanted or cut == 0:
            return found
        reach *= 4


class _Keywords:
    """Which words of a text Presidio takes for keywords: not stop words, not marks, not words with a colon.

    The parts of a word with a colon are keywords wherever they stand in the text, be they stop words.
    """

    def __init__(self, text: str, language: str) -> None:
        self._text, self._language = text, language

    def __call__(self, word: str) -> bool:
        if ":" in word:
            return False
        if _is_keyword(word, self._language):
            return True
        beside = f":{word}" in self._lowered or f"{word}:" in self._lowered
        return beside and word in self._parts

    @cached_property
    def _lowered(self) -> str:
        return self._text.lower()

    @cached_property
    def _parts(self) -> set[str]:
        # The tokeniser takes what stands between spaces piece by piece.
        pieces = " ".join(piece for piece in self._text.split() if ":" in piece)
        tokens = analyzer().nlp_engine.nlp[self._language].make_doc(pieces)  # type: ignore[attr-defined]
        words = {token.lower_ for token in tokens if ":" in token.text}
        return {part for word in words if _is_keyword(word, self._language) for part in word.split(":")}


@lru_cache(1 << 16)
def _is_keyword(word: str, language: str) -> bool:
    from presidio_analyzer.nlp_engine import NlpArtifacts

    return bool(NlpArtifacts.set_keywords(analyzer().nlp_engine, [word], language))


@cache
def _enhancer() -> Any:
    from presidio_analyzer.context_aware_enhancers import LemmaContextAwareEnhancer

    enhancer: LemmaContextAwareEnhancer = analyzer().context_aware_enhancer  # type: ignore[assignment]
    assert isinstance(enhancer, LemmaContextAwareEnhancer) and enhancer.context_suffix_count == 0
    return enhancer


def _cut(text: str, at: int) -> int:
    """The beginning of a run of non-space at or before a place; 0 for the text's own."""
    at = max(at, 0)
    while at > 0 and not text[at - 1].isspace():
        at -= 1
    return at


def _token_end(text: str, at: int) -> int:
    """The end of the run of non-space that a place is in or behind."""
    while at < len(text) and not text[at].isspace():
        at += 1
    return at
