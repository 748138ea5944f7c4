"""Every signal and every edit of a line once more, in plain Python from the definitions, slow and obvious."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator

import pyarrow as pa

from assets.filters import characters
from assets.filters.kernels import STOP_WORDS, LineRule
from assets.filters.phrases import Mark, Match, Phrase, phrases
from assets.filters.signals import COMPRESSION

TERMINALS = {chr(point) for point in characters.code_points(characters.SENTENCE_TERMINALS)}
UNSPACED = {chr(point) for point in characters.code_points(characters.UNSPACED_SCRIPTS)}
EMOJIS = {chr(point) for point in characters.code_points(characters.EMOJIS)}
INVISIBLES = {chr(point) for point in characters.code_points(characters.INVISIBLES)}
CITATION = re.compile(r"\[[0-9]*\]|\[edit\]|\[citation needed\]", re.IGNORECASE | re.ASCII)

_continuations = re.escape("".join(map(chr, range(0x80, 0xC0))) + characters.WINDOWS_1252)
_sure = f"(?![{characters.QUOTINGS}])[{_continuations}]"
MOJIBAKE = re.compile(
    f"[\xc2\xc3][{_continuations}]|[\xe0-\xef]{_sure}[{_continuations}]"
    f"|[\xc4-\xdf]{_sure}[\xc2-\xdf][{_continuations}]"
)


def reference(text: str) -> dict[str, float]:
    """Every signal of a text, by name."""
    spans = list(word_spans(text))
    words = [text[start:end] for start, end in spans]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    blocks = paragraphs(text)
    letters = [c for c in text if is_letter(c)]
    scripts = Counter(map(script, letters))
    found = [Line(line) for line in lines]
    c4 = [line.c4_rule(LineRule) for line in found]
    refinedweb = [line.refinedweb_rule(LineRule) for line in found]
    urls = [word for word in words if holds_url(word)]
    spelled = {"".join(c for c in word if is_letter(c)).lower() for word in words}
    removed = [line for line, rule in zip(found, c4, strict=True) if rule]
    kept = [line for line, rule in zip(found, c4, strict=True) if not rule]
    values: dict[str, float] = {
        "characters": len(text),
        "words": len(words),
        "lines": len(lines),
        "paragraphs": len(blocks),
        "sentences": sum(map(sentences, lines)),
        "longest_word": max(map(len, words), default=0),
        "longest_line": max(map(len, lines), default=0),
        "non_alpha_ratio": ratio(sum(not is_letter(c) and not c.isspace() for c in text), len(text)),
        "uppercase_ratio": ratio(sum(c.isupper() for c in text), len(letters)),
        "digit_ratio": ratio(sum(c.isdecimal() for c in text), len(text)),
        "whitespace_ratio": ratio(sum(c.isspace() for c in text), len(text)),
        "symbol_ratio": ratio(sum(unicodedata.category(c)[0] in "PS" for c in text), len(text)),
        "latin_ratio": ratio(scripts["LATIN"], len(letters)),
        "han_ratio": ratio(scripts["HAN"], len(letters)),
        "kana_ratio": ratio(scripts["KANA"], len(letters)),
        "hangul_ratio": ratio(scripts["HANGUL"], len(letters)),
        "cyrillic_ratio": ratio(scripts["CYRILLIC"], len(letters)),
        "arabic_ratio": ratio(scripts["ARABIC"], len(letters)),
        "main_script_ratio": ratio(main_script(scripts), len(letters)),
        "emoji_ratio": ratio(sum(c in EMOJIS for c in text), len(text)),
        "invisible_char_count": sum(c in INVISIBLES for c in text),
        "unassigned_char_count": sum(
            unicodedata.category(c) in ("Cn", "Co") and c not in EMOJIS and c not in INVISIBLES for c in text
        ),
        "mojibake_count": len(MOJIBAKE.findall(text)),
        "replacement_char_count": text.count("\ufffd"),
        "control_char_count": sum(unicodedata.category(c) == "Cc" and not c.isspace() for c in text),
        "mean_word_length": ratio(sum(map(len, words)), len(words)),
        "hash_ratio": ratio(text.count("#"), len(words)),
        "ellipsis_ratio": ratio(text.count("...") + text.count("…"), len(words)),
        "alpha_word_ratio": ratio(
            sum(any(map(is_letter, word)) for word in words),
            sum(any(unicodedata.category(c)[0] not in "PS" for c in word) for word in words),
        ),
        "stop_word_count": len(spelled & set(STOP_WORDS)),
        "unique_word_ratio": ratio(len(set(words)), len(words)),
        "url_count": len(urls),
        "url_ratio": ratio(len(urls), len(words)),
        "bullet_line_ratio": ratio(sum(map(opens_item, lines)), len(lines)),
        "ellipsis_line_ratio": ratio(sum(line.endswith(("...", "…")) for line in lines), len(lines)),
        "terminal_punct_line_ratio": ratio(sum(map(ends_sentence, lines)), len(lines)),
        "short_line_ratio": ratio(sum(len(line) <= 30 for line in lines), len(lines)),
        "mean_line_length": ratio(sum(map(len, lines)), len(lines)),
        "list_ratio": ratio(text.count("\n"), len(words)),
    }
    for name, pieces in (("line", lines), ("para", blocks)):
        repeated = duplicated(pieces)
        values[f"dup_{name}_ratio"] = ratio(len(repeated), len(pieces))
        values[f"dup_{name}_char_ratio"] = ratio(sum(map(len, repeated)), len(text))
    for n in (2, 3, 4):
        values[f"top_{n}_gram_char_ratio"] = ratio(top_gram(words, spans, n), len(text))
    for n in range(5, 11):
        values[f"dup_{n}_gram_char_ratio"] = ratio(duplicated_grams(words, n), len(text))
    values |= {
        "curly_brace_count": text.count("{"),
        "lorem_ipsum": sum(
            text[start : start + len("lorem ipsum")].translate(ASCII_LOWER) == "lorem ipsum"
            for start, _ in spans
        ),
        "javascript_line_ratio": ratio(sum(line.has(Mark.JAVASCRIPT) for line in found), len(lines)),
        "policy_line_ratio": ratio(sum(line.has(Mark.POLICY) for line in found), len(lines)),
        "boilerplate_phrase_line_ratio": ratio(sum(line.has(Mark.BOILERPLATE) for line in found), len(lines)),
        "citation_count": sum(len(CITATION.findall(line)) for line in lines),
        "bad_words_en": sum(len(line.places(Mark.BAD_WORD_EN)) for line in found),
        "bad_words_ko": sum(len(line.places(Mark.BAD_WORD_KO)) for line in found),
        "c4_long_word_lines": c4.count(LineRule.C4_LONG_WORD),
        "c4_unterminated_lines": c4.count(LineRule.C4_UNTERMINATED),
        "c4_few_word_lines": c4.count(LineRule.C4_FEW_WORDS),
        "c4_javascript_lines": c4.count(LineRule.C4_JAVASCRIPT),
        "c4_policy_lines": c4.count(LineRule.C4_POLICY),
        "c4_removed_char_ratio": ratio(sum(len(line.text) for line in removed), len(text)),
        "c4_sentences": sum(sentences(without_last_citations(line.text)) for line in kept),
        "refinedweb_uppercase_lines": refinedweb.count(LineRule.REFINEDWEB_UPPERCASE),
        "refinedweb_numeric_lines": refinedweb.count(LineRule.REFINEDWEB_NUMERIC),
        "refinedweb_counter_lines": refinedweb.count(LineRule.REFINEDWEB_COUNTER),
        "refinedweb_one_word_lines": refinedweb.count(LineRule.REFINEDWEB_ONE_WORD),
        "refinedweb_phrase_lines": refinedweb.count(LineRule.REFINEDWEB_PHRASE),
        "refinedweb_removed_char_ratio": ratio(
            sum(
                len(line.cut_places()) if rule is LineRule.REFINEDWEB_PHRASE else len(line.text)
                for line, rule in zip(found, refinedweb, strict=True)
                if rule is not None
            ),
            len(text),
        ),
        "compression_ratio": ratio(len(text.encode()), compressed(text)),
    }
    return values


def edited(text: str, rules: Collection[LineRule]) -> tuple[str, list[dict[str, object]]]:
    """A text with its lines edited by the rules, and the record of it."""
    left, record = [], []
    for number, whole in enumerate(text.splitlines(keepends=True), start=1):
        stripped = whole.strip()
        if not stripped:
            left.append(whole)
            continue
        line = Line(stripped)
        before, _, after = whole.partition(stripped)
        kept = set(range(len(stripped)))
        if LineRule.CITATION in rules and CITATION.search(stripped):
            for match in CITATION.finditer(stripped):
                start = match.start()
                while start > 0 and stripped[start - 1].isspace():
                    start -= 1
                kept -= set(range(start, match.end()))
            record.append({"line": number, "rule": "citation", "characters": len(stripped) - len(kept)})
        rule = line.c4_rule(rules) or line.refinedweb_rule(rules)
        if rule is LineRule.REFINEDWEB_PHRASE:
            size = len(kept)
            kept -= line.cut_places()
            for i in range(1, len(stripped)):
                if stripped[i].isspace() and i - 1 not in kept:
                    kept.discard(i)
            while kept and stripped[max(kept)].isspace():
                kept.discard(max(kept))
            record.append({"line": number, "rule": rule.name.lower(), "characters": size - len(kept)})
        elif rule is not None:
            record.append({"line": number, "rule": rule.name.lower(), "characters": len(kept)})
            continue
        if any(not stripped[i].isspace() for i in kept):
            left.append(before + "".join(stripped[i] for i in sorted(kept)) + after)
    return "".join(left), record


class Line:
    """A stripped line, the words of it and the phrases in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = [text[start:end] for start, end in word_spans(text)]
        folded = "".join(map(fold, text))
        self.found = [
            (phrase.mark, begin, begin + len(phrase.phrase))
            for phrase in phrases()
            for begin in occurrences(folded, phrase.phrase)
            if self.stands(phrase, begin)
        ]

    def stands(self, phrase: Phrase, begin: int) -> bool:
        end = begin + len(phrase.phrase)
        before, after = self.text[:begin], self.text[end:]
        if phrase.match is not Match.SUBSTRING and before and (is_letter(before[-1]) or is_named(before[-1])):
            return False
        if phrase.match is Match.WORD and after and (is_letter(after[0]) or is_named(after[0])):
            return False
        if phrase.mark is Mark.LINE_START:
            return not any(map(is_named, before))
        if phrase.mark is Mark.LINE_END:
            return not any(map(is_named, after))
        if phrase.mark is Mark.COUNTER:
            rest = before + after
            return (
                any(map(str.isdecimal, rest))
                and sum(map(is_letter, rest)) <= 1
                and all(
                    c.isdecimal() or is_letter(c) or c.isspace() or unicodedata.category(c)[0] in "PS"
                    for c in rest
                )
            )
        return True

    def places(self, mark: Mark) -> list[tuple[int, int]]:
        return [(begin, end) for found, begin, end in self.found if found is mark]

    def has(self, mark: Mark) -> bool:
        return bool(self.places(mark))

    def cut_places(self) -> set[int]:
        """Where a character is cut: up to the last opening phrase, from the first closing one, in one inside."""
        cut: set[int] = set()
        if starts := self.places(Mark.LINE_START):
            cut |= set(range(max(end for _, end in starts)))
        if ends := self.places(Mark.LINE_END):
            cut |= set(range(min(begin for begin, _ in ends), len(self.text)))
        if within := self.places(Mark.IN_SHORT_LINE):
            # The one that ends first, of those the longest.
            cut |= set(range(*min(within, key=lambda place: (place[1], place[0]))))
        return cut

    def c4_rule(self, rules: Collection[LineRule]) -> LineRule | None:
        bare = without_last_citations(self.text)
        holds = {
            LineRule.C4_LONG_WORD: any(len(word) > 1000 for word in self.words),
            LineRule.C4_UNTERMINATED: not ends_sentence(bare) or bare.endswith(("...", "…")),
            LineRule.C4_FEW_WORDS: len(self.words) < 3,
            LineRule.C4_JAVASCRIPT: self.has(Mark.JAVASCRIPT),
            LineRule.C4_POLICY: self.has(Mark.POLICY),
        }
        return next((rule for rule, held in holds.items() if held and rule in rules), None)

    def refinedweb_rule(self, rules: Collection[LineRule]) -> LineRule | None:
        cut = self.has(Mark.LINE_START) or self.has(Mark.LINE_END) or self.has(Mark.IN_SHORT_LINE)
        holds = {
            LineRule.REFINEDWEB_UPPERCASE: 2 * sum(c.isupper() for c in self.text) > len(self.text),
            LineRule.REFINEDWEB_NUMERIC: any(map(str.isdecimal, self.text))
            and all(c.isdecimal() or c.isspace() or unicodedata.category(c)[0] in "PS" for c in self.text),
            LineRule.REFINEDWEB_COUNTER: self.has(Mark.COUNTER),
            LineRule.REFINEDWEB_ONE_WORD: len(self.words) == 1,
            LineRule.REFINEDWEB_PHRASE: len(self.words) <= 10 and cut,
        }
        return next((rule for rule, held in holds.items() if held and rule in rules), None)


def is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"


def is_named(character: str) -> bool:
    return unicodedata.category(character)[0] in "LN"


def ratio(count: float, per: float) -> float:
    return count / per if per else 0.0


def word_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where words start and end: white space divides, and around each character of a script without spaces."""
    for piece in re.finditer(r"\S+", text):
        start = piece.start()
        for i in range(piece.start() + 1, piece.end()):
            word = text[start:i]
            alone = any(c in UNSPACED for c in word)
            if (text[i] in UNSPACED and (alone or any(map(is_named, word)))) or (alone and is_named(text[i])):
                yield start, i
                start = i
        yield start, piece.end()


def paragraphs(text: str) -> list[str]:
    stripped = "\n".join(line.strip() for line in text.splitlines())
    return [block.strip("\n") for block in re.split(r"\n\n+", stripped) if block.strip("\n")]


def sentences(line: str) -> int:
    """Marks that end a sentence: before white space, what closes or the end if in ASCII; and an unended rest."""
    ended = 0
    for i, c in enumerate(line):
        after = line[i + 1 : i + 2]
        if c in TERMINALS and (
            not c.isascii() or not after or after.isspace() or after in characters.CLOSINGS
        ):
            ended += 1
    return ended + (not ends_sentence(line))


def ends_sentence(line: str) -> bool:
    bare = line.rstrip(characters.CLOSINGS)
    return bool(bare) and bare[-1] in TERMINALS


def opens_item(line: str) -> bool:
    return line[0] in characters.BULLETS or (line[0] in characters.DASHES and line[1:2].isspace())


def without_last_citations(line: str) -> str:
    while match := re.search(rf"(?:{CITATION.pattern})\Z", line, re.IGNORECASE | re.ASCII):
        line = line[: match.start()].rstrip()
    return line


def holds_url(word: str) -> bool:
    before = [word[match.start() - 1] for match in re.finditer("://", word) if match.start() > 0]
    return word[:4].translate(ASCII_LOWER) == "www." or any(map(is_letter, before))


def duplicated(pieces: list[str]) -> list[str]:
    seen: set[str] = set()
    repeated = []
    for piece in pieces:
        if piece in seen:
            repeated.append(piece)
        seen.add(piece)
    return repeated


def top_gram(words: list[str], spans: list[tuple[int, int]], n: int) -> int:
    """The length of the most frequent run of n words where it stands first, one space between, times its count."""
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    if not grams:
        return 0
    gram, count = Counter(grams).most_common(1)[0]
    first = grams.index(gram)
    gaps = sum(spans[i][1] < spans[i + 1][0] for i in range(first, first + n - 1))
    return (sum(map(len, gram)) + gaps) * count if count > 1 else 0


def duplicated_grams(words: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    i = total = 0
    while i + n <= len(words):
        gram = tuple(words[i : i + n])
        if gram in seen:
            total += sum(map(len, gram))
            i += n
        else:
            seen.add(gram)
            i += 1
    return total


def script(letter: str) -> str:
    """The script of a letter, from the first word of its name."""
    if unicodedata.category(letter)[0] != "L":
        return ""
    # Python names no Tangut ideograph, for one.
    first, *rest = unicodedata.name(letter, "UNNAMED").split()
    name = rest[0] if first in ("HALFWIDTH", "FULLWIDTH") else first
    same = {"CJK": "HAN", "IDEOGRAPHIC": "HAN", "HIRAGANA": "KANA", "KATAKANA": "KANA"}
    return "KANA" if name == "KATAKANA-HIRAGANA" else same.get(name, name)


def main_script(scripts: Counter[str]) -> int:
    together = Counter({name: count for name, count in scripts.items() if name})
    return max([*together.values(), together["HAN"] + together["KANA"]])


def compressed(text: str) -> int:
    return len(pa.Codec(*COMPRESSION).compress(text.encode())) if text else 0


def occurrences(text: str, wanted: str) -> Iterator[int]:
    at = text.find(wanted)
    while at >= 0:
        yield at
        at = text.find(wanted, at + 1)


ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_FOLDED = {c.upper(): c for phrase in phrases() for c in phrase.phrase if len(c.upper()) == 1}
_FOLDED |= {c: c for phrase in phrases() for c in phrase.phrase}


def fold(character: str) -> str:
    """A character as phrases are written; one that no phrase holds is none."""
    return " " if character.isspace() else _FOLDED.get(character, "\0")
