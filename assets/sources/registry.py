"""The sources: what each entry of a sources file says, checked field by field when it is loaded."""

from __future__ import annotations

import codecs
import datetime
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from assets.documents import CONSENTS, KINDS
from assets.sources.readers import READERS, FileReader
from assets.sources.records import FIELDS as COLUMN_FIELDS
from assets.sources.records import TURNS
from assets.sources.rows import SourceError

PROFILES = ("web", "sft", "code", "web_ko", "sft_ko", "parity")
NOASSERTION = "NOASSERTION"

SOURCE = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("reader", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("profile", pa.string(), nullable=False),
        pa.field("uri", pa.list_(pa.string()), nullable=False),
        pa.field("columns", pa.string(), nullable=False),
        pa.field("license", pa.string(), nullable=False),
        pa.field("language", pa.string()),
        pa.field("collected_at", pa.date32()),
        pa.field("consent", pa.string(), nullable=False),
        pa.field("owner", pa.string()),
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("cron", pa.string(), nullable=False),
        pa.field("synthetic", pa.bool_(), nullable=False),
        pa.field("generator", pa.string()),
        pa.field("releasable", pa.bool_(), nullable=False),
        pa.field("reference", pa.bool_(), nullable=False),
        pa.field("independent", pa.bool_(), nullable=False),
        pa.field("options", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Source:
    """One entry of the sources file: where rows come from, how they are read, and what is known of them.

    `uri` is kept as written: local paths are relative to the sources file's folder, `${VAR}` is expanded
    when files are listed, and a generated source has none or `package:…`. `columns` maps a document's
    field to the column that holds it; a dotted path reaches inside (`instances.0.output`). `license`,
    `language`, `collected_at`, `consent`, `synthetic` and `generator` hold for rows that don't say
    otherwise. `reference` marks documents that show what good text looks like; `independent` ones are of
    another family, and the retraining proxy tests on them and trains on none.
    """

    name: str
    reader: str
    kind: str
    profile: str
    uri: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict, hash=False)
    license: str = NOASSERTION
    language: str | None = None
    collected_at: datetime.date | None = None
    consent: str = "unknown"
    owner: str | None = None
    weight: float = 1.0
    cron: str = "0 2 * * *"
    synthetic: bool = False
    generator: str | None = None
    releasable: bool = True
    reference: bool = False
    independent: bool = False
    options: Mapping[str, object] = field(default_factory=dict, hash=False)

    def facts(self) -> pa.Table:
        """The entry as a table of one row, schema SOURCE; columns and options as JSON."""
        row = {each.name: getattr(self, each.name) for each in fields(self)}
        row |= {"source": self.name, "uri": list(self.uri)}
        row |= {name: _json(row[name]) for name in ("columns", "options")}
        return pa.Table.from_pylist([row], schema=SOURCE)


def load_sources(path: Path) -> tuple[Source, ...]:
    """The sources of a sources file, in its order.

    Raises:
        SourceError: Naming the file, the entry and the field, and what was expected there.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SourceError(
            f"{path.name} can't be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    if not isinstance(content, dict) or set(content) != {"version", "sources"} or content["version"] != 1:
        raise SourceError(
            f"{path.name}: expected `version: 1` and `sources:`, a list of entries, and nothing else"
        )
    if not isinstance(content["sources"], list):
        raise SourceError(f"{path.name}: sources: expected a list of entries")
    sources: dict[str, Source] = {}
    for number, entry in enumerate(content["sources"], 1):
        name = entry.get("name") if isinstance(entry, dict) else None
        where = f"{path.name}: entry {number} ({name})" if name else f"{path.name}: entry {number}"
        try:
            source = _source(entry)
        except ValueError as error:
            raise SourceError(f"{where}: {error}") from error
        if source.name in sources:
            raise SourceError(f"{where}: name: another entry has this name already")
        sources[source.name] = source
    return tuple(sources.values())


def spdx(expression: str) -> str:
    """A licence as a normalised SPDX expression; NOASSERTION stands for unknown.

    Raises:
        ValueError: It isn't an SPDX expression.
    """
    normal = _spdx(expression.strip())
    if normal is None:
        raise ValueError(f"expected an SPDX licence expression or {NOASSERTION}, got {expression!r}")
    return normal


@cache
def _spdx(expression: str) -> str | None:
    if expression in (NOASSERTION, ""):
        return expression or None
    from license_expression import ExpressionError, get_spdx_licensing

    licensing = get_spdx_licensing()
    try:
        parsed = licensing.parse(expression)
    except (ExpressionError, ValueError):
        return None
    known = licensing.known_symbols
    # SPDX lets anyone name a licence of their own this way.
    own = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")
    keys = licensing.license_keys(parsed)
    return str(parsed) if all(key in known or own.fullmatch(key) for key in keys) else None


def _source(entry: object) -> Source:
    if not isinstance(entry, dict):
        raise ValueError(f"expected a mapping of fields, got {_kind(entry)}")
    for name in entry:
        if name not in PARSERS:
            raise ValueError(f"{name}: unknown field; expected one of {', '.join(PARSERS)}")
    values: dict[str, Any] = {}
    for each in fields(Source):
        if each.name not in entry:
            if each.default is MISSING and each.default_factory is MISSING:
                raise ValueError(f"{each.name}: missing")
            continue
        try:
            values[each.name] = PARSERS[each.name](entry[each.name])
        except ValueError as error:
            raise ValueError(f"{each.name}: {error}") from error
    source = Source(**values)
    _check(source)
    return source


def _check(source: Source) -> None:
    reader = READERS[source.reader]
    if not isinstance(reader, FileReader):
        if any(not uri.startswith("package:") for uri in source.uri) or source.columns:
            raise ValueError(
                f"reader: {source.reader} takes no files and no columns; leave out uri and columns"
            )
        return
    if not source.uri:
        raise ValueError("uri: missing; expected a path, a glob, or a list of them")
    if any(uri.startswith("package:") for uri in source.uri):
        raise ValueError(f"uri: package: is for generated sources; {source.reader} reads files")
    if source.columns and not reader.columns:
        raise ValueError(f"columns: a {source.reader} file has none")
    for option in source.options:
        if option not in reader.options:
            expected = ", ".join(reader.options) or "none"
            raise ValueError(f"options: {option} is unknown to {source.reader}; expected {expected}")
    _check_options(source.options)
    shapes = [needed for needed in TURNS.values() if needed[0] in source.columns]
    if len(shapes) > 1 or (shapes and "text" in source.columns):
        raise ValueError(
            "columns: expected one of text, messages, instruction with output, chosen with rejected"
        )
    for needed in shapes:
        missing = [name for name in needed if name not in source.columns]
        if missing:
            raise ValueError(f"columns: {needed[0]} needs {', '.join(missing)} beside it")
        if source.kind == "document":
            raise ValueError(f"kind: rows with {needed[0]} are turns, not documents")


def _check_options(options: Mapping[str, object]) -> None:
    if "encoding" in options:
        try:
            codecs.lookup(str(options["encoding"]))
        except LookupError as error:
            raise ValueError(f"options: {error}") from error
    if "delimiter" in options and len(str(options["delimiter"])) != 1:
        raise ValueError(f"options: delimiter: expected one character, got {options['delimiter']!r}")


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected a text, got {_kind(value)}")
    return value


def _matching(pattern: str, meaning: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"expected {meaning}, got {value!r}")
        return value

    return parse


def _one_of(choices: tuple[str, ...]) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}, got {value!r}")
        return str(value)

    return parse


def _uris(value: object) -> tuple[str, ...]:
    return tuple(_text(each) for each in value) if isinstance(value, list) else (_text(value),)


def _columns(value: object) -> dict[str, str]:
    columns = {name: _text(column) for name, column in _mapping(value).items()}
    for name in columns:
        if name not in COLUMN_FIELDS:
            raise ValueError(f"{name} is no field of a document; expected {', '.join(COLUMN_FIELDS)}")
    return columns


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"expected a mapping, got {_kind(value)}")
    return value


def _date(value: object) -> datetime.date:
    if isinstance(value, str):
        return datetime.date.fromisoformat(value)
    if type(value) is not datetime.date:
        raise ValueError(f"expected a date like 2026-01-31, got {value!r}")
    return value


def _weight(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError(f"expected a number of 0 or more, got {value!r}")
    return float(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {value!r}")
    return value


def _kind(value: object) -> str:
    return (
        "nothing"
        if value is None
        else f"{value!r}"
        if isinstance(value, str)
        else f"a {type(value).__name__}"
    )


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


PARSERS: dict[str, Callable[[object], object]] = {
    "name": _matching("[a-z0-9][a-z0-9_-]*", "lower-case letters, digits, - and _"),
    "uri": _uris,
    "reader": _one_of(tuple(READERS)),
    "kind": _one_of(KINDS),
    "profile": _one_of(PROFILES),
    "columns": _columns,
    "license": lambda value: spdx(_text(value)),
    "language": _matching("[a-z]{2,3}", "a language code such as en or ko"),
    "collected_at": _date,
    "consent": _one_of(CONSENTS),
    "owner": _text,
    "weight": _weight,
    "cron": _matching(r"[\d*/,-]+( [\d*/,A-Za-z-]+){4}", "five cron fields such as 0 2 * * *"),
    "synthetic": _flag,
    "generator": _text,
    "releasable": _flag,
    "reference": _flag,
    "independent": _flag,
    "options": _mapping,
}
