"""Docstrings, read from source code without importing it, and the sections that they are written in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

NUMPY_HEADING = re.compile(r"^(?P<name>[A-Z][A-Za-z ]+)\n-{3,}[ ]*$", re.MULTILINE)
GOOGLE_HEADING = re.compile(
    r"^(?P<name>Args|Arguments|Parameters|Returns|Yields|Raises|Examples?|Notes?):[ ]*$"
)
NUMPY_PARAMETER = re.compile(r"^(?P<name>\*{0,2}\w+(?:, ?\*{0,2}\w+)*)(?:[ ]?:[ ]?(?P<type>.*))?$")
GOOGLE_PARAMETER = re.compile(r"^(?P<name>\*{0,2}\w+)(?: \((?P<type>[^)]*)\))?:[ ]?(?P<text>.*)$")
FIELD_PARAMETER = re.compile(r"^:param (?:(?P<type>[^:\s]+) )?(?P<name>\*{0,2}\w+):[ ]?(?P<text>.*)$")


@dataclass(frozen=True)
class Docstring:
    """The docstring of a module, class or function: its name in the module, its signature, its line."""

    name: str
    signature: str
    line: int
    text: str


@dataclass(frozen=True)
class Parameter:
    """A parameter as its docstring explains it; the type is empty where none is given."""

    name: str
    type: str
    text: str


def docstrings(code: str, shortest: int) -> Iterator[Docstring]:
    """The docstrings of at least `shortest` characters in a module's public names, in the order of the code.

    The module's own has the empty name. What is defined twice (a property and its setter) comes once.

    Raises:
        SyntaxError, ValueError: The code isn't Python of this version.
    """
    seen: set[str] = set()
    for name, node in _documented(ast.parse(code), ""):
        text = ast.get_docstring(node) or ""
        if len(text) >= shortest and name not in seen:
            seen.add(name)
            yield Docstring(name, _signature(name, node), getattr(node, "lineno", 1), text)


_Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _documented(node: _Documented, name: str) -> Iterator[tuple[str, _Documented]]:
    yield name, node
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and child.name[0] != "_":
            yield from _documented(child, f"{name}.{child.name}" if name else child.name)


def _signature(name: str, node: _Documented) -> str:
    """`name(parameters)` of a function or of a class's constructor; empty for a module."""
    if isinstance(node, ast.Module):
        return ""
    if isinstance(node, ast.ClassDef):
        made = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        if not made:
            return ""
        node = made[0]
    arguments = ast.unparse(node.args)
    return f"{name}({re.sub(r'^(self|cls)(: [^,]+)?(, |$)', '', arguments)})"


def summary(text: str) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join(text.strip().split("\n\n", 1)[0].split())


def sections(text: str) -> dict[str, str]:
    """A docstring's sections by heading, in NumPy's or Google's style; what precedes them is under ''."""
    marks = [(m.start(), m.end(), m["name"]) for m in NUMPY_HEADING.finditer(text)]
    if not marks:
        at = 0
        for line in text.splitlines(keepends=True):
            if heading := GOOGLE_HEADING.match(line.rstrip("\n")):
                marks.append((at, at + len(line), heading["name"]))
            at += len(line)
    found = {"": text[: marks[0][0]].strip() if marks else text.strip()}
    ends = [*(start for start, _, _ in marks[1:]), len(text)][: len(marks)]
    for (_, end, name), stop in zip(marks, ends, strict=True):
        found.setdefault(name, text[end:stop].strip("\n"))
    return found


def parameters(text: str) -> list[Parameter]:
    """The parameters that a docstring explains, in NumPy's, Google's or Sphinx's style, in their order."""
    parts = sections(text)
    body = next((parts[name] for name in ("Parameters", "Args", "Arguments") if name in parts), None)
    if body is None:
        return _items(text.splitlines(), FIELD_PARAMETER)
    lines = _dedent(body)
    numpy = NUMPY_HEADING.search(text) is not None
    return _items(lines, NUMPY_PARAMETER if numpy else GOOGLE_PARAMETER)


def _items(lines: list[str], start: re.Pattern[str]) -> list[Parameter]:
    """Each line that opens a parameter, with the indented lines below it as its explanation."""
    found: list[tuple[str, str, list[str]]] = []
    inside = False
    for line in lines:
        if opened := start.match(line):
            facts = opened.groupdict()
            found.append((facts["name"], facts["type"] or "", [facts.get("text") or ""]))
            inside = True
        elif line[:1].isspace() or not line:
            if inside:
                found[-1][2].append(line)
        else:
            inside = False
    items = [Parameter(name, kind.strip(), " ".join(" ".join(body).split())) for name, kind, body in found]
    explained: dict[str, Parameter] = {}
    for item in items:
        if item.text:
            explained.setdefault(item.name, item)  # Some docstrings explain a parameter twice.
    return list(explained.values())


def _dedent(body: str) -> list[str]:
    lines = body.splitlines()
    margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return [line[margin:] for line in lines]
