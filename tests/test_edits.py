"""Editors: asked for by a profile, applied to kept text, recorded line by line."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from assets.documents import MESSAGES
from assets.filters import parity
from assets.filters.edits import EDITS, edit_documents, editor_of
from assets.filters.policies import load_section
from assets.sources.registry import PROFILES
from orchestration.cli import app

PAGE = "\n".join(
    [
        "Home",
        "The old library keeps its doors open until nine in the evening.",
        "Please enable JavaScript to see this page.",
        "12 likes",
        "It has been so since the winter of the great storm [1].",
    ]
)


def documents(*texts: str, turns: bool = False) -> pa.Table:
    messages = [[{"role": "user", "content": text}] if turns else None for text in texts]
    columns = {
        "doc_id": [f"d{n}" for n in range(len(texts))],
        "source": ["a"] * len(texts),
        "text": list(texts),
        "messages": pa.array(messages, MESSAGES),
    }
    return pa.table(columns)


def policies(tmp_path: Path, **editors: str) -> Path:
    path = tmp_path / "policies.yaml"
    path.write_text(json.dumps({"editors": editors}), encoding="utf-8")
    return path


def test_the_default_policies_name_profiles_and_editors_that_there_are() -> None:
    editors = load_section("editors")
    assert set(editors) <= set(PROFILES)
    assert {profile: editor_of(profile) for profile in PROFILES} == dict.fromkeys(PROFILES) | editors


def test_an_editor_that_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"policies.yaml, editors: web asks for 'c5'; there are c4, fineweb,"
    ):
        editor_of("sft", policies(tmp_path, web="c5"))


def test_lines_go_and_each_edit_is_recorded() -> None:
    left, edits = edit_documents(documents(PAGE, "Nothing here has to go, says the writer."), "c4")
    assert left["text"].to_pylist() == [
        "The old library keeps its doors open until nine in the evening.\n"
        "It has been so since the winter of the great storm.",
        "Nothing here has to go, says the writer.",
    ]
    assert edits.schema == EDITS
    assert [(row["doc_id"], row["line"], row["rule"]) for row in edits.to_pylist()] == [
        ("d0", 1, "c4_unterminated"),
        ("d0", 3, "c4_javascript"),
        ("d0", 4, "c4_unterminated"),
        ("d0", 5, "citation"),
    ]
    taken = sum(row["characters"] for row in edits.to_pylist())
    assert taken + len(left["text"][0].as_py()) + 3 == len(PAGE)  # and the breaks of three lines


def test_turns_and_profiles_without_an_editor_stay_as_they_are() -> None:
    for given, editor in ((documents(PAGE, turns=True), "c4"), (documents(PAGE), None), (documents(), "c4")):
        left, edits = edit_documents(given, editor)
        assert left.equals(given)
        assert edits.num_rows == 0


def test_datatroves_editor_is_datatroves() -> None:
    left, edits = edit_documents(documents(PAGE), "datatrove")
    assert left["text"].to_pylist() == parity.measure(pa.array([PAGE]))["edited"].to_pylist()
    assert edits.num_rows == 0


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_the_command_edits_what_its_profile_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    monkeypatch.setenv("WINNOW_POLICIES", str(policies(tmp_path, sft="refinedweb")))
    source = tmp_path / "pages.jsonl"
    source.write_text(json.dumps({"id": "p", "text": PAGE}) + "\n", encoding="utf-8")
    for profile in ("sft", "web"):
        arguments = ["filter", str(source), "--profile", profile, "--out", str(tmp_path / profile)]
        result = CliRunner().invoke(app, [*arguments, "--no-dedup", "--format", format])
        assert result.exit_code == 0, result.output
    if format == "jsonl":
        (kept,) = map(json.loads, (tmp_path / "sft" / "kept.jsonl").open(encoding="utf-8"))
        (decided,) = map(json.loads, (tmp_path / "sft" / "decisions.jsonl").open(encoding="utf-8"))
    else:
        (kept,) = pq.read_table(tmp_path / "sft" / "kept.parquet").to_pylist()
        (decided,) = pq.read_table(tmp_path / "sft" / "decisions.parquet").to_pylist()
        assert "edits" not in pq.read_schema(tmp_path / "web" / "decisions.parquet").names
    assert "12 likes" not in kept["text"]
    assert "refinedweb_counter" in {edit["rule"] for edit in decided["edits"]}
