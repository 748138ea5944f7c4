"""`winnow pii` on any files: what is found and where, never the value, and the documents without it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from personal import TOKENS
from projects import WINNOW, invoke

from assets.privacy.credentials import CREDENTIALS
from assets.privacy.recognizers import ENTITIES, RecognizerError, load_recognizers

ADDRESS, NUMBER, RESIDENT = "jane.doe@example.co.uk", "(212) 736-5000", "960121-1234567"
TEXTS = {
    "one": f"Write to {ADDRESS} or call {NUMBER}.",
    "two": "Nothing personal stands here.",
    "three": f"주민등록번호는 {RESIDENT} 입니다.",
}


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    path = tmp_path / "letters.jsonl"
    lines = [json.dumps({"id": id, "text": text}, ensure_ascii=False) for id, text in TEXTS.items()]
    path.write_text("\n".join([*lines, "no json"]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_findings_say_where_and_redacted_documents_hold_none(
    letters: Path, tmp_path: Path, format: str
) -> None:
    out, folder = tmp_path / f"findings.{format}", tmp_path / "redacted"
    said = invoke("pii", letters, "--out", out, "--redact", folder)
    if format == "parquet":
        found = pq.read_table(out).to_pylist()
        texts = {row["id"]: row["text"] for row in pq.read_table(folder / "documents.parquet").to_pylist()}
    else:
        found = [json.loads(line) for line in out.open(encoding="utf-8")]
        lines = (folder / "documents.jsonl").open(encoding="utf-8")
        texts = {row["id"]: row["text"] for row in map(json.loads, lines)}
    assert [list(row) for row in found] == [["id", "entity", "start", "end", "score", "recognizer"]] * len(
        found
    )
    values = {(row["entity"], TEXTS[row["id"]][row["start"] : row["end"]]) for row in found}
    assert {("EMAIL_ADDRESS", ADDRESS), ("PHONE_NUMBER", NUMBER), ("KR_RRN", RESIDENT)} <= values
    assert {entity for entity, _ in values} <= set(ENTITIES)
    assert texts["one"] == "Write to <EMAIL_ADDRESS> or call <PHONE_NUMBER>."
    assert texts["two"] == TEXTS["two"]
    everything = said + out.read_bytes().decode("utf-8", "replace")
    for value in (ADDRESS, NUMBER, RESIDENT):
        assert value not in everything
    assert "letters.jsonl, line 4:" in said
    assert "Personal data in 2 documents: 66.7 % [20.8, 93.9] n=3" in said


def test_files_without_a_finding_give_tables_without_rows(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("Nothing personal stands here.", encoding="utf-8")
    said = invoke("pii", tmp_path / "plain.txt", "--out", tmp_path / "findings.parquet")
    assert pq.read_table(tmp_path / "findings.parquet").num_rows == 0
    assert "Personal data in 0 documents: 0.0 % [0.0, 79.3] n=1" in said


def test_a_name_that_tells_no_format_is_refused(letters: Path, tmp_path: Path) -> None:
    said = invoke("pii", letters, "--out", tmp_path / "findings.csv", code=2)
    assert "findings.csv: findings are written as .parquet or .jsonl" in said


def test_credentials_are_found_and_never_written(tmp_path: Path) -> None:
    parts = [frame.format(value) for frame, value in TOKENS.values()]
    (tmp_path / "keys.txt").write_text("\n".join(parts), encoding="utf-8")
    out, folder = tmp_path / "findings.jsonl", tmp_path / "redacted"
    said = invoke("pii", tmp_path / "keys.txt", "--out", out, "--redact", folder)
    found = [json.loads(line) for line in out.open(encoding="utf-8")]
    assert {row["recognizer"] for row in found if row["entity"] in CREDENTIALS} == TOKENS.keys()
    text = (folder / "documents.jsonl").read_text(encoding="utf-8")
    assert "<API_KEY>" in text and "<PRIVATE_KEY>" in text
    for _, value in TOKENS.values():
        assert value not in said + out.read_text(encoding="utf-8") + text


NAMED = "The letter was written by Margaret Thompson in May."


def test_names_are_found_where_a_tier_asks_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "letter.txt").write_text(NAMED, encoding="utf-8")
    out, folder = tmp_path / "findings.jsonl", tmp_path / "redacted"
    ask = ("pii", tmp_path / "letter.txt", "--out", out, "--redact", folder)

    def text() -> str:
        return json.loads((folder / "documents.jsonl").read_text(encoding="utf-8"))["text"]

    invoke(*ask)
    assert text() == NAMED
    for tier in ("gated", "full"):
        assert "PERSON" in invoke(*ask, "--ner", tier)
        assert text() == NAMED.replace("Margaret Thompson", "<PERSON>")
    monkeypatch.setenv("WINNOW_NER", "full")
    assert "PERSON" in invoke(*ask)
    assert "PERSON" not in invoke(*ask, "--ner", "off")
    monkeypatch.setenv("WINNOW_NER", "some")
    assert "WINNOW_NER: 'some' is none of off, gated, full" in invoke(*ask, code=2)


@pytest.mark.usefixtures("absent_model")
def test_without_the_model_names_are_refused(letters: Path, tmp_path: Path) -> None:
    said = invoke("pii", letters, "--out", tmp_path / "findings.jsonl", "--ner", "full", code=2)
    assert "the extra `ner`, which is not installed" in said
    invoke("pii", letters, "--out", tmp_path / "findings.jsonl")


COUNTRY = """
phone_regions: {all: [US], es: [ES]}
recognizers:
  - {entity: ES_NIF, recognizer: EsNifRecognizer, languages: [es]}
  - {entity: PHONE_NUMBER, recognizer: PhoneRecognizer, candidate: digits}
"""


@pytest.mark.parametrize(("language", "expected"), [("es", ["ES_NIF", "PHONE_NUMBER"]), ("en", [])])
def test_a_country_is_a_line_of_configuration(tmp_path: Path, language: str, expected: list[str]) -> None:
    """In a process of its own, which reads the file when it starts; redaction knows the new entity too."""
    (tmp_path / "recognizers.yaml").write_text(COUNTRY, encoding="utf-8")
    text = "Mi NIF es 12345678Z y mi teléfono 91 123 45 67."
    (tmp_path / "texts.jsonl").write_text(json.dumps({"id": "a", "text": text}), encoding="utf-8")
    command = ["pii", "texts.jsonl", "--out", "found.jsonl", "--redact", "redacted", "--language", language]
    environment = os.environ | {"WINNOW_RECOGNIZERS": str(tmp_path / "recognizers.yaml")}
    subprocess.run([WINNOW, *command], cwd=tmp_path, env=environment, check=True, capture_output=True)
    found = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    assert [row["entity"] for row in found] == expected
    (redacted,) = (tmp_path / "redacted" / "documents.jsonl").read_text(encoding="utf-8").splitlines()
    assert ("12345678Z" in redacted) == (language == "en")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "TypeError"),
        ("phone_regions: {}\nrecognizers: [{entity: A}]", "recogniser 1: recognizer missing or unknown"),
        ("phone_regions: {}\nrecognizers: [{entity: A, recognizer: B, patern: x}]", "recogniser 1: patern"),
        (
            "phone_regions: {}\nrecognizers: [{entity: A, recognizer: B, candidate: '('}]",
            "recogniser 1: .*missing",
        ),
        (
            "phone_regions: {}\nrecognizers: [{entity: A, recognizer: B}, {entity: A, recognizer: B}]",
            "2: A has",
        ),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "recognizers.yaml"
    path.write_text(text)
    with pytest.raises(RecognizerError, match=rf"recognizers\.yaml.*{said}"):
        load_recognizers(path)
