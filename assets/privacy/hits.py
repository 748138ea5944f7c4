"""A finding in one text, before it is written down; and a text searched until there is nothing more in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Hit:
    """What is in [start, end) of a text, in code points, how sure that is, and who says so."""

    entity: str
    start: int
    end: int
    score: float
    recognizer: str


def blot(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text with some spans made unreadable and every other character where it was."""
    characters = list(text)
    for start, end in spans:
        characters[start:end] = f"<{'_' * (end - start - 2)}>" if end - start > 1 else "_"
    return "".join(characters)


def exhaust(text: str, look: Callable[[str], list[Hit]]) -> list[Hit]:
    """What `look` finds, and what it finds once that is gone, until it finds no more.

    A value can hide its neighbour: of an object identifier's dotted numbers, four pass for an IP address, and
    only without them do the rest pass for a phone number. Redacted text must not bring them out.
    """
    found: list[Hit] = []
    while hits := look(text):
        found += hits
        text = blot(text, ((hit.start, hit.end) for hit in hits))
    return found
