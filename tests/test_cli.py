"""What the console says of documents, history and releases, and of what it is asked wrongly."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from projects import HANDBOOK, LETTERS, PERSONAL, Project, doc_id

from assets import settings

pytestmark = pytest.mark.slow


def said(project: Project, *arguments: str, code: int = 0) -> str:
    """What a command prints; it ends with the code expected and shows no path of the machine, no person."""
    done = project.winnow(*arguments)
    assert done.returncode == code, done.stdout
    assert "Traceback" not in done.stdout
    for place in (str(project.root), str(settings.PROJECT)):
        assert place not in done.stdout
    for value in PERSONAL:
        assert value not in done.stdout
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.stdout).split())


def test_why_a_document_is_in(green: Project) -> None:
    text = said(green, "why", doc_id(LETTERS, "letter-000"))
    assert "key letter-000" in text
    assert "too_short words" in text
    assert re.search(r"kept, under policy \w{12} \(profile web\); run [0-9a-f-]{36}, lake snapshot \d+", text)
    assert "personal data, redacted: 1 × EMAIL_ADDRESS" in text
    assert "selected; quality" in text


def test_why_a_document_is_out(green: Project) -> None:
    text = said(green, "why", doc_id(LETTERS, "scrap-1")[:12])
    assert re.search(r"too_short words \d+ < 50 drop", text)
    assert "removed because of too_short" in text
    assert "selected" not in text


def test_why_a_copy_is_out_names_the_one_that_is_kept(green: Project) -> None:
    pair = {doc_id(LETTERS, "copy-0"), doc_id(LETTERS, "letter-060")}
    keeper = green.lake.query(
        "SELECT keeper_id FROM filtered.duplicates WHERE doc_id = ?", [next(iter(pair))]
    )["keeper_id"][0].as_py()
    (copy,) = pair - {keeper}
    text = said(green, "why", copy)
    assert "removed because of exact_duplicate" in text
    assert f"exact: a duplicate of {keeper} in cluster" in text


def test_why_of_an_id_that_is_not_there_or_not_one(green: Project) -> None:
    assert "No document begins with ffffffffffff" in said(green, "why", "ffffffffffff", code=1)
    first = sorted(green.lake.query("SELECT doc_id FROM raw.documents")["doc_id"].to_pylist())
    prefix = next(a[0] for a, b in pairwise(first) if a[0] == b[0])
    assert f"More than one document begins with {prefix}" in said(green, "why", prefix, code=1)


def test_history(green: Project) -> None:
    text = said(green, "history", "raw/documents")
    assert text.count("raw/documents") == 2
    assert f"raw/documents {LETTERS} 129-" in text
    assert f"raw/documents {HANDBOOK} 120-" in text
    assert "deployed/champion" in said(green, "history", "--limit", "1")
    assert "No history of raw/nothing" in said(green, "history", "raw/nothing")


def test_releases(green: Project) -> None:
    champion = green.releases.alias("champion")
    text = said(green, "releases")
    assert re.search(rf"{champion[:16]} candidate, champion \d+ passed Ada Approver yes", text)


def test_sources(green: Project) -> None:
    text = said(green, "sources")
    assert f"{HANDBOOK} jsonl document web CC0-1.0 yes team:data-curation 120" in text
    assert f"{LETTERS} jsonl document web CC0-1.0 yes team:data-curation 129" in text


def test_a_wrong_option_names_the_right_ones(green: Project) -> None:
    assert f"no source 'nope'; there are {HANDBOOK}, {LETTERS}" in said(
        green, "run", "--source", "nope", code=2
    )
    assert "no stage 'nope'; there are raw, filtered, scored, evaluated, deployed" in said(
        green, "run", "--from", "nope", code=2
    )
    assert "--approved-by" in said(green, "deploy", code=2)


def test_what_serves_already_needs_no_second_approval(green: Project) -> None:
    events = green.releases.events.head()
    assert "is the champion already" in said(green, "deploy", "--approved-by", "Eve")
    assert green.releases.events.head() == events
