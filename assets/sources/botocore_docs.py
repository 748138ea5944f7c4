"""Reader `aws-api-docs`: the HTML documentation of AWS operations inside botocore, as text.

One document an operation: what it does, then each member of its input. The pages come from few writers and
many services, so they carry the boilerplate and the near duplicates of real API references.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.sources.digests import digest
from assets.sources.distributions import Package, runtime_packages
from assets.sources.options import only, option
from assets.sources.rows import Read, Rejected, Row, Skipped, SourceError

if TYPE_CHECKING:
    from trafilatura.settings import Extractor

    from assets.sources.registry import Source

VERSION = "1"
MODEL = "service-2.json"


def read(source: Source) -> Iterator[Read]:
    """The operations of the services that `options.services` lists, sorted by service and name.

    Raises:
        SourceError: botocore isn't installed, or has no service of a listed name.
    """
    only(source.name, source.options, ("services",))
    package = _botocore(source)
    for service, model in _models(source, package):
        position = f"{service}/{MODEL}"
        try:
            api = json.loads(_content(package.locate(package.files[model])))
        except (OSError, ValueError) as error:
            yield Rejected(position, f"not a service model: {error}")
            continue
        for name, operation in sorted(api["operations"].items()):
            html = _page(name, operation, api["shapes"])
            if html is None:
                yield Skipped(f"{position} {name}", "no documentation")
                continue
            yield Row(
                key=f"{service}/{name}",
                position=f"{position} {name}",
                text=_text(html),
                license=package.license,
                metadata={"service": service, "operation": name, "version": package.version},
            )


def fingerprint(source: Source) -> str:
    """A digest of the versions of botocore and of what makes text of HTML, of this reader and its options."""
    converters = runtime_packages(source.name, ["lxml", "trafilatura"])
    packages = [(p.name, p.version) for p in (_botocore(source), *converters)]
    return digest(VERSION, packages, source.options)


def _botocore(source: Source) -> Package:
    (package,) = runtime_packages(source.name, ["botocore"])
    return package


def _models(source: Source, package: Package) -> Iterator[tuple[str, str]]:
    """Each listed service with the name of the file that holds the newest version of its model."""
    newest: dict[str, str] = {}
    for name in package.files:  # Sorted, and a version is a date: the last one seen is the newest.
        parts = name.split("/")
        if len(parts) == 5 and parts[:2] == ["botocore", "data"] and parts[4].startswith(MODEL):
            newest[parts[2]] = name
    for service in sorted(option(source, "services", list)):
        if service not in newest:
            raise SourceError(
                f"source {source.name!r}: botocore {package.version} has no service {service!r}"
            )
        yield service, newest[service]


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.suffix == ".gz" else content


def _page(name: str, operation: Mapping[str, Any], shapes: Mapping[str, Any]) -> str | None:
    """An operation's documentation and its input's as one HTML page; None where neither is documented."""
    members = shapes[operation["input"]["shape"]].get("members", {}) if "input" in operation else {}
    documented = {
        member: facts["documentation"] for member, facts in members.items() if "documentation" in facts
    }
    opening = operation.get("documentation", "")
    if not opening and not documented:
        return None
    body = "".join(f"<h2>{escape(member)}</h2>{text}" for member, text in documented.items())
    request = f"<h2>Request parameters</h2>{body}" if body else ""
    return f"<html><body><article><h1>{escape(name)}</h1>{opening}{request}</article></body></html>"


def _text(html: str) -> str:
    from trafilatura import extract, html2txt

    # `extract` keeps paragraphs and lists, but may find nothing worth keeping in a page of one sentence.
    text = extract(html, options=_keep_all()) or html2txt(html)
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


@cache
def _keep_all() -> Extractor:
    """The page is nothing but content: no second extractor, nothing weighed against the whole page."""
    from trafilatura.settings import Extractor

    return Extractor(fast=True, recall=True, comments=False)
