"""A generated source's options, checked: an unknown or missing one is an error that names the source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from assets.sources.rows import SourceError

if TYPE_CHECKING:
    from assets.sources.registry import Source

T = TypeVar("T")


def only(source: str, options: Mapping[str, object], known: tuple[str, ...]) -> None:
    """Refuses options that a reader doesn't know: a misspelt one would otherwise change nothing, silently.

    Raises:
        SourceError: Naming the source and the options.
    """
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise SourceError(f"source {source!r}: no option {', '.join(unknown)}; expected {', '.join(known)}")


def option(source: Source, name: str, kind: type[T]) -> T:
    """An option of a source that must be there, of one type.

    Raises:
        SourceError: It is missing or of another type.
    """
    value = source.options.get(name)
    if not isinstance(value, kind):
        raise SourceError(f"source {source.name!r}: options.{name}: expected a {kind.__name__}")
    return value
