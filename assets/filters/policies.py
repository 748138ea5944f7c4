"""How documents are compared with each other and with benchmarks: the policies of a YAML file, by section."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TypeVar

POLICIES = Path(__file__).with_name("policies.yaml")

P = TypeVar("P")


def load_section(section: str, path: Path = POLICIES) -> dict[str, object]:
    """A section's names and values; empty where it isn't there.

    Raises:
        ValueError: The file or the section is no table of names and values.
    """
    import yaml

    sections = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    values = (sections.get(section) if isinstance(sections, dict) else sections) or {}
    if not isinstance(sections, dict) or not isinstance(values, dict):
        raise ValueError(f"{path.name}, {section}: not a table of names and values")
    return values


def load_policy(kind: type[P], section: str, path: Path = POLICIES) -> P:
    """The policy, a frozen dataclass of numbers, that a section of the file describes.

    What the section leaves out, and a section that isn't there, has the policy's default.

    Raises:
        ValueError: The section names something that the policy doesn't have, or a value that can't be.
    """
    values = load_section(section, path)
    known = {field.name: type(field.default) for field in fields(kind)}  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"{path.name}, {section}: {name!r} is none of {', '.join(known)}")
        if type(value) not in (int, known[name]):
            raise ValueError(f"{path.name}, {section}: {name} is not a number of its kind: {value!r}")
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{path.name}, {section}: {error}") from error
