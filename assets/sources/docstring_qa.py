"""Reader `python-qa`: questions and answers made from docstrings by seeded templates, with their parents.

Every answer is a docstring's own words; the parent is the docstring's document in the documentation source,
so what removes a document can also find what was made from it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assets.documents import document_id
from assets.sources import installed
from assets.sources.digests import digest
from assets.sources.distributions import runtime_packages
from assets.sources.docstrings import parameters, sections, summary
from assets.sources.options import only, option
from assets.sources.rows import Read, Rejected, Row, SourceError

if TYPE_CHECKING:
    from assets.sources.registry import Source

VERSION = "1"
GENERATOR = f"winnow.docstring_qa/{VERSION}"

LONGEST_ANSWER = 1200
PER_DOCSTRING = 2

QUESTIONS = {
    "purpose": (
        "What does `{name}` do?",
        "What is `{name}` for?",
        "In a few words, what is the purpose of `{name}`?",
        "I came across `{name}` in the {package} package. What is it?",
        "Explain `{name}` to someone who is new to {package}.",
        "When would I reach for `{name}`?",
    ),
    "parameter": (
        "What does the parameter `{parameter}` of `{name}` mean?",
        "Explain the parameter `{parameter}` of `{name}`.",
        "How should I set `{parameter}` when I call `{name}`?",
        "In {package}, what is the `{parameter}` argument of `{name}`?",
        "I'm unsure about `{parameter}` in `{name}`. What does it control?",
    ),
    "signature": (
        "Show the signature of `{name}` and explain the parameter `{parameter}`.",
        "How is `{name}` called, and what is `{parameter}`?",
        "Write down the call signature of `{name}` and say what `{parameter}` does.",
    ),
    "returns": (
        "What does `{name}` return?",
        "What can I expect back from `{name}`?",
        "Describe the return value of `{name}`.",
    ),
    "example": (
        "Give an example of `{name}`.",
        "How do I use `{name}`? Show me some code.",
        "Show a short example that uses `{name}` from {package}.",
    ),
}


@dataclass(frozen=True)
class Exchange:
    """One question that a docstring can answer: the task, the parameter it is about, and the answer."""

    task: str
    answer: str
    parameter: str = ""

    @property
    def suffix(self) -> str:
        return f"{self.task}:{self.parameter}" if self.parameter else self.task


def read(source: Source) -> Iterator[Read]:
    """`options.records` exchanges, in the order of their parents.

    Which exchanges are taken hangs on the seed and each one's own key alone, so that a changed docstring
    changes its own records and no others.

    Raises:
        SourceError: `options.parents` doesn't name the documentation source and its options.
    """
    only(source.name, source.options, ("seed", "records", "parents"))
    seed, records = option(source, "seed", int), option(source, "records", int)
    parent_source, selection = _parents(source)
    made: list[Row] = []
    for parent in installed.read_docstrings(parent_source, selection):
        if isinstance(parent, Rejected):
            continue  # The documentation source itself puts it in quarantine.
        lottery = random.Random(digest(seed, parent.key))
        exchanges = list(_exchanges(parent))
        chosen = lottery.sample(exchanges, min(PER_DOCSTRING, len(exchanges)))
        parent_id = document_id(parent_source, parent.key)
        made.extend(_row(parent, exchange, lottery, parent_id) for exchange in chosen)
    taken = sorted(made, key=lambda row: digest(seed, row.key))[:records]
    yield from sorted(taken, key=lambda row: row.key)


def fingerprint(source: Source) -> str:
    """A digest of the packages and versions, of the generator's version and templates, and of the options."""
    parent_source, selection = _parents(source)
    packages = runtime_packages(parent_source, selection.packages)
    versions = [(p.name, p.version) for p in packages]
    return digest(VERSION, installed.VERSION, QUESTIONS, versions, source.options)


def _parents(source: Source) -> tuple[str, installed.Selection]:
    parents: dict[str, Any] = option(source, "parents", dict)
    if "source" not in parents:
        raise SourceError(f"source {source.name!r}: options.parents must give `source` and its `options`")
    return parents["source"], installed.Selection.of(source.name, parents.get("options") or {})


def _exchanges(parent: installed.DocstringDocument) -> Iterator[Exchange]:
    """Every exchange that a docstring can answer within the longest answer."""
    text, signature = parent.docstring.text, parent.docstring.signature
    parts = sections(text)
    found = []
    if len(summary(text)) > 30:
        _, *more = [" ".join(paragraph.split()) for paragraph in parts[""].split("\n\n")]
        prose = [paragraph for paragraph in more[:1] if not paragraph.endswith(":")]  # A colon opens code.
        found.append(Exchange("purpose", "\n\n".join([summary(text), *prose])))
    for parameter in parameters(text):
        kind = f" ({parameter.type})" if parameter.type else ""
        answer = f"`{parameter.name}`{kind}: {parameter.text}"
        found.append(Exchange("parameter", answer, parameter.name))
        if signature:
            code = f"```python\n{signature}\n```\n\n{answer}"
            found.append(Exchange("signature", code, parameter.name))
    if parts.get("Returns"):
        found.append(Exchange("returns", parts["Returns"].strip()))
    example = parts.get("Examples") or parts.get("Example")
    if example:
        found.append(Exchange("example", example.strip()))
    return (exchange for exchange in found if 40 <= len(exchange.answer) <= LONGEST_ANSWER)


def _row(
    parent: installed.DocstringDocument, exchange: Exchange, lottery: random.Random, parent_id: str
) -> Row:
    name, package = parent.qualified_name, parent.package.name
    template = lottery.choice(QUESTIONS[exchange.task])
    question = template.format(name=name, package=package, parameter=exchange.parameter)
    key = f"{parent.key}#{exchange.suffix}"
    return Row(
        key=key,
        position=key,
        messages=({"role": "user", "content": question}, {"role": "assistant", "content": exchange.answer}),
        license=parent.package.license,
        synthetic=True,
        generator=GENERATOR,
        parents=(parent_id,),
        metadata={"package": package, "task": exchange.task},
    )
