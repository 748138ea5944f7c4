"""Whom an erasure is about: the selectors of a request, and which documents they name.

A request is JSON Lines, one selector a line:

    {"doc_id": "3f2a…"}
    {"source": "tickets", "key": "4711"}
    {"url_prefix": "https://example.org/people/ada/"}
    {"email": "ada@example.org"}
    {"phone": "+44 20 7946 0018"}
    {"name": "Ada Lovelace", "context": ["Analytical Engine"]}
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from types import MappingProxyType

import pyarrow as pa

from assets.documents import document_id
from assets.privacy.disguises import CANDIDATE, plain
from assets.privacy.phones import RUN

COLUMNS = ("doc_id", "key", "url", "text", "metadata")
"""What must be known of documents to tell whether a selector names them."""

VALUES = ("email", "phone")
"""The kinds of selectors whose value is told in any text, however it is written."""

# How many digits a telephone number has, without what is dialled before it: fewer would name half the world.
FEWEST_DIGITS, MOST_DIGITS = 7, 15
_LOCAL, _MARK = r"\w.+!#$%&'*/=?^`{|}~-", re.compile(r"[!#$%&'*/=?^`{|}~]")
# A run of such characters is read once, however long it is and whether or not an @ follows.
EMAIL = re.compile(rf"(?<![{_LOCAL}])[{_LOCAL}]++@[\w-]+(?:\.[\w-]+)+")
GROUP = re.compile(r"\d+")


class RequestError(ValueError):
    """A line of a request that names nobody; says which line, and never what stands there."""


@dataclass(frozen=True)
class Match:
    """A document that a selector names, and the strings in it that speak of the person, as they stand there."""

    doc_id: str
    selector: int
    strings: frozenset[str] = field(repr=False)


@dataclass(frozen=True)
class Selector:
    """One line of a request; its values are personal and never shown.

    `whole` says that the documents themselves are the person's, so that near copies of them are too; of a
    value, only documents that hold it are.
    """

    line: int
    kind: str
    value: str = field(repr=False)
    context: tuple[str, ...] = field(default=(), repr=False)

    @property
    def whole(self) -> bool:
        return self.kind in ("doc_id", "source", "url_prefix")


def forms(kind: str, value: str) -> frozenset[str]:
    """What `values_in` may give for an e-mail address or a telephone number."""
    if kind == "email":
        return frozenset({_canonical(value)})
    import phonenumbers

    digits = "".join(GROUP.findall(value))
    found = {digits.lstrip("0")}
    try:
        number = phonenumbers.parse(value)
    except phonenumbers.NumberParseException:
        pass
    else:
        found.add(str(number.national_number))
        found.add(f"{number.country_code}{number.national_number}")
    return frozenset(found)


def values_in(text: str, kind: str) -> Iterator[tuple[str, str]]:
    """Every e-mail address, or every number that may be a telephone's, in a text: in a form that does not
    depend on how it is written, and as it is written. Disguised ones (disguises.py) too."""
    find = _FINDERS[kind]
    yield from ((value, text[start:end]) for value, start, end in find(text))
    if _DISGUISED.search(text) and (read := plain(text)):
        undisguised, places = read
        for value, start, end in find(undisguised):
            yield value, text[places[start] : places[end - 1] + 1]


def _emails(text: str) -> Iterator[tuple[str, int, int]]:
    """Each address, and what it may be without what only seems to belong to it: `to=ada@example.org.Then`."""
    for found in EMAIL.finditer(text) if "@" in text else ():
        at, last = text.index("@", found.start()), found.end()
        starts = [found.start(), *(mark.end() for mark in _MARK.finditer(text, found.start(), at))]
        ends = [last, *(dot for dot in range(text.index(".", at) + 1, last) if text[dot] == ".")]
        for start, end in product(starts, ends):
            start += len(text[start:at]) - len(text[start:at].lstrip(".+-"))
            if start < at:
                yield _canonical(text[start:end]), start, end


def _phones(text: str) -> Iterator[tuple[str, int, int]]:
    """Each stretch of whole groups of digits, without the zeros that it begins with, which are dialled only
    within a country."""
    for run in RUN.finditer(text):
        groups = [group.span() for group in GROUP.finditer(text, *run.span())]
        for first, (start, _) in enumerate(groups):
            digits = ""
            for begin, end in groups[first : first + MOST_DIGITS]:
                digits = (digits + text[begin:end]).lstrip("0")
                if len(digits) > MOST_DIGITS:
                    break
                if len(digits) >= FEWEST_DIGITS:
                    yield digits, start, end


_FINDERS: Mapping[str, Callable[[str], Iterator[tuple[str, int, int]]]] = MappingProxyType(
    {"email": _emails, "phone": _phones}
)
_DISGUISED = re.compile(CANDIDATE)


def read_request(lines: Iterable[str]) -> tuple[Selector, ...]:
    """The selectors of a request; blank lines say nothing.

    Raises:
        RequestError: A line is no JSON object of the fields above, or its value would name people at large:
            a name without context, a prefix without a host, half a telephone number.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            raise RequestError(f"line {number}: no JSON") from None
        found.append(_selector(number, record))
    if not found:
        raise RequestError("the request has no line")
    return tuple(found)


def _selector(line: int, record: object) -> Selector:
    fields = {"source": {"source", "key"}, "name": {"name", "context"}}
    kind = next((kind for kind in _TELLING if isinstance(record, dict) and kind in record), None)
    if kind is None or not isinstance(record, dict) or set(record) != fields.get(kind, {kind}):
        raise RequestError(f"line {line}: expected {_EXPECTED}")
    context = record.get("context", [])
    if isinstance(context, str):
        context = [context]
    texts = [record[kind], record.get("key", "-"), *(context if isinstance(context, list) else [None])]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise RequestError(f"line {line}: {kind} needs text in each of its fields")
    value = document_id(record["source"], record["key"]) if kind == "source" else record[kind].strip()
    if not _TELLING[kind](value) or (kind == "name" and not context):
        raise RequestError(f"line {line}: {kind} would name more than one person's documents")
    return Selector(line, kind, value, tuple(context))


_TELLING: Mapping[str, Callable[[str], object]] = MappingProxyType(
    {
        "doc_id": lambda value: re.fullmatch("[0-9a-f]{32}", value),
        "source": bool,
        "url_prefix": lambda value: re.match(r"\w+://[^/]+/", value),
        "email": EMAIL.fullmatch,
        "phone": lambda value: FEWEST_DIGITS <= len("".join(GROUP.findall(value)).lstrip("0")) <= MOST_DIGITS,
        "name": lambda value: len(value) > 1,
    }
)
_EXPECTED = (
    "one of {doc_id}, {source, key}, {url_prefix} with a host and a slash, {email}, {phone}, {name, context}"
)


def find_documents(documents: Iterable[pa.Table], selectors: Iterable[Selector]) -> Iterator[Match]:
    """Every document (COLUMNS) that a selector names, once for each selector."""
    named: dict[tuple[str, str], list[int]] = defaultdict(list)
    prefixes, names = [], []
    for number, selector in enumerate(selectors):
        if selector.kind == "url_prefix":
            prefixes.append((number, selector.value))
        elif selector.kind == "name":
            names.append((number, _name(selector.value), [_canonical(word) for word in selector.context]))
        elif selector.kind in _FINDERS:
            for form in forms(selector.kind, selector.value):
                named[selector.kind, form].append(number)
        else:
            named["doc_id", selector.value].append(number)
    kinds = [kind for kind in _FINDERS if any(kind == wanted for wanted, _ in named)]
    for document in (row for table in documents for row in table.select(list(COLUMNS)).to_pylist()):
        found: dict[int, set[str]] = defaultdict(set)
        for number in named.get(("doc_id", document["doc_id"]), ()):
            found[number] = set()
        for number, prefix in prefixes:
            if (document["url"] or "").startswith(prefix):
                found[number].add(document["url"])
        fields = [text for name in COLUMNS[1:] if (text := document[name])]
        for kind, text in product(kinds, fields):
            for value, written in values_in(text, kind):
                for number in named.get((kind, value), ()):
                    found[number].add(written)
        for number, name, context in names:
            written_names = {each[0] for text in fields for each in name.finditer(text)}
            if written_names and any(word in _canonical(text) for word in context for text in fields):
                found[number] |= written_names
        for number in sorted(found):
            yield Match(document["doc_id"], number, frozenset(found[number]))


def _name(name: str) -> re.Pattern[str]:
    words = [re.escape(word) for word in unicodedata.normalize("NFC", name).split()]
    # A Korean name takes its particle without a space; where letters have case, a longer word is another.
    end = r"(?!\w)" if name[-1].lower() != name[-1].upper() else ""
    return re.compile(r"(?<!\w)" + r"\s+".join(words) + end, re.IGNORECASE)


def _canonical(text: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
