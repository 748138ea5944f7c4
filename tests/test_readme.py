"""Every example in the README works: each fenced block is run, or read by what reads it in the product."""

from __future__ import annotations

import csv
import json
import re
import shlex
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from assets import settings
from assets.evals import report, verdict
from assets.filters import signals
from assets.filters.signals import SIGNALS, Signal
from assets.lake import Lake
from assets.privacy.recognizers import load_recognizers
from assets.privacy.subjects import read_request
from assets.rules import load_rules
from assets.scorers import scores
from assets.scorers.scores import SCORERS, Scorer
from assets.sources.readers import READERS
from assets.sources.registry import PROFILES, Source, load_sources
from expectations.suites import load_suites
from expectations.validate import validate
from orchestration.cli import app

PROJECT = Path(__file__).parent.parent
SEEDS = PROJECT / "dbt_project" / "seeds"

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTS = sorted([PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")])
BLOCKS = [
    pytest.param(language, text, id=f"{document.stem}-{number}-{language}")
    for document in DOCUMENTS
    for number, (language, text) in enumerate(BLOCK.findall(document.read_text(encoding="utf-8")), 1)
]


@pytest.mark.parametrize(("language", "text"), BLOCKS)
def test_the_example_works(language: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks: dict[str, Callable[[str, Path, pytest.MonkeyPatch], None]] = {
        "console": _console,
        "python": _python,
        "yaml": _yaml,
        "csv": _csv,
        "json": _json,
        "jsonl": _jsonl,
    }
    checks[language](text, tmp_path, monkeypatch)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_what_is_linked_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.stem)
def test_what_is_named_is_there(document: Path) -> None:
    """Files in backticks exist, and so do assets: a renamed one must not live on in prose."""
    spans = set(re.findall(r"`([\w./*-]+)`", BLOCK.sub("", document.read_text(encoding="utf-8"))))
    stages = r"(raw|policy|filtered|scored|evaluated|deployed)/\w+"
    assets = {span for span in spans if re.fullmatch(stages, span)}
    files = {
        span for span in spans - assets if re.fullmatch(r"(assets|dbt_project|expectations)/[\w./-]*", span)
    }
    assert [name for name in sorted(files) if not (PROJECT / name).exists()] == []
    assert sorted(assets - _assets()) == []


def test_the_lifecycle_names_every_asset() -> None:
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert (
        sorted(name for name in _assets() if f"`{name}`" not in text and not name.startswith("source/")) == []
    )


def test_every_variable_is_explained() -> None:
    """Of the product's own; those that tell dbt where the lake is are set by the product."""
    code = "".join(file.read_text(encoding="utf-8") for file in (PROJECT / "assets").rglob("*.py"))
    read = set(re.findall(r"\bWINNOW_(?!LAKE_|DBT_|RUN_ID)[A-Z_]+", code))
    explained = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert read and sorted(name for name in read if f"| `{name}` |" not in explained) == []


def test_every_reader_and_field_is_explained() -> None:
    explained = (PROJECT / "docs" / "data-sources.md").read_text(encoding="utf-8")
    names = {*READERS, *(each.name for each in fields(Source))}
    assert sorted(name for name in names if f"`{name}`" not in explained) == []


def test_every_rule_of_datatrove_is_told_with_its_counterpart() -> None:
    told = (PROJECT / "docs" / "standalone.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| `\w+Filter\(.*?\)` \| (.*?) \|$", told, re.MULTILINE))
    rules = load_rules()
    theirs = [each for each in rules if each.profile == "parity"]
    assert list(rows) == [each.name for each in theirs if each.name != "empty_text"]
    ours = {each.name for each in rules if each.profile == "web"}
    named = {row: re.match(r"`(\w+)`", counterpart) for row, counterpart in rows.items()}
    assert {found[1] for found in named.values() if found} <= ours


def _assets() -> set[str]:
    from orchestration.definitions import defs

    return {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}


def _console(text: str, _folder: Path, _patch: pytest.MonkeyPatch) -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for line in text.splitlines():
        words = [word for word in shlex.split(line) if not re.fullmatch(r"[A-Z_]+=.*", word)]
        if words[0] == "make":
            assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE), line
            continue
        if words[0] == "ray":
            continue  # run by test_ray.py
        assert words[0] in ("winnow", ".venv/bin/winnow"), line
        # Parsed to the last argument, and not carried out.
        commands[words[1]].make_context(words[1], words[2:])
        assert CliRunner().invoke(app, [words[1], "--help"]).exit_code == 0, line


def _python(text: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(settings, "lake_root", lambda: folder / "lake")
    decisions = {"doc_id": ["a", "b"], "verdict": ["kept", "removed"], "reason": [None, "too_short"]}
    Lake(folder / "lake").replace("filtered.decisions", pa.table(decisions), run_id="r")
    names: dict[str, object] = {}
    exec(compile(text, "README.md", "exec"), names)
    texts = pa.array(["{ a }", ""])
    if isinstance(signal := names.get("signal"), Signal):
        assert signal.name not in {each.name for each in SIGNALS} and signal.group in signals.GROUP_VERSIONS
        patch.setattr(signals, "SIGNALS", (signal,))
        patch.setattr(signals, "SCHEMA", pa.schema([(signal.name, signal.dtype)]))
        assert signals.measure(texts)[signal.name].to_pylist() == [0.2, 0.0]
    elif isinstance(scorer := names.get("scorer"), Scorer):
        assert scorer.name not in {each.name for each in SCORERS}
        scored = scorer.score(texts, b"")
        assert scored.dtype == np.float32 and ((scored >= 0) & (scored <= 1)).all()
        assert scores.SCORES.field(SCORERS[-1].name).type == pa.from_numpy_dtype(scored.dtype)
        assert scorer.version(b"")
    else:
        assert names["now"] == [{"reason": "too_short", "n": 1}] and names["then"] == [{"n": 2}]


def _yaml(text: str, folder: Path, _patch: pytest.MonkeyPatch) -> None:
    file = folder / "example.yaml"
    file.write_text(text, encoding="utf-8")
    if "recognizers:" in text:
        assert {each.entity for each in load_recognizers(file).recognizers} == {"ES_NIF", "EMAIL_ADDRESS"}
        return
    if isinstance(yaml.safe_load(text), dict):
        assert load_sources(file)
        return
    figures = {figure.name for figure in report.FIGURES}
    for gate in verdict.load_gates(file):
        assert gate.figure.partition("/")[0] in {*figures, "proxy"}
        assert gate.name not in {each.name for each in verdict.load_gates()}


def _csv(text: str, _folder: Path, _patch: pytest.MonkeyPatch) -> None:
    header, *rows = csv.reader(text.splitlines())
    with (SEEDS / "rules.csv").open(encoding="utf-8", newline="") as file:
        known = list(csv.DictReader(file))
    assert header == list(known[0]) and rows
    columns = yaml.safe_load((SEEDS / "seeds.yml").read_text(encoding="utf-8"))["seeds"][0]["columns"]
    accepted = {
        column["name"]: test["accepted_values"]["arguments"]["values"]
        for column in columns
        for test in column["data_tests"]
        if isinstance(test, dict)
    }
    assert accepted
    for values in rows:
        rule = dict(zip(header, values, strict=True))
        assert all(rule[name] in allowed for name, allowed in accepted.items())
        assert rule["profile"] in ("all", *PROFILES)
        assert rule["signal"] in {signal.name for signal in SIGNALS}
        assert rule["rule"] not in {each["rule"] for each in known}
        int(rule["priority"]), float(rule["threshold"])


def _jsonl(text: str, _folder: Path, _patch: pytest.MonkeyPatch) -> None:
    kinds = {selector.kind for selector in read_request(text.splitlines())}
    assert kinds == {"email", "phone", "name", "url_prefix", "source", "doc_id"}


def _json(text: str, folder: Path, _patch: pytest.MonkeyPatch) -> None:
    (entry,) = json.loads(text)
    (folder / f"{entry['asset'].replace('/', '_')}.json").write_text(text, encoding="utf-8")
    ((suite,),) = load_suites(folder).values()
    taken = {each.name for known in load_suites()[suite.asset] for each in known.expectations}
    assert not taken & {each.name for each in suite.expectations}
    batch = pa.table({"doc_id": ["a", "b", "c"], "toxicity": [0.0, 0.0, 0.9]})
    assert [result.success for result in validate(suite, batch)] == [True]
