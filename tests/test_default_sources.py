"""The sources that come with the project: offline, deterministic, licensed, and true to what they claim."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from collections import Counter
from email.message import Message
from functools import cache
from importlib import metadata
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from assets.documents import document_id
from assets.sources import distributions, drill
from assets.sources.docstrings import docstrings, parameters, sections
from assets.sources.installed import Selection
from assets.sources.licenses import NOASSERTION, from_text, spdx
from assets.sources.personal import VALUES, iban_valid, luhn_valid
from assets.sources.readers import READERS, Generator
from assets.sources.registry import Source, load_sources
from assets.sources.rows import Row, SourceError

SOURCES = Path(drill.__file__).with_name("sources.yaml")
NAMES = ("python-docs", "aws-api-docs", "python-qa", "drill")
SMALL_DOCS = {"packages": ["click", "jinja2"], "docstrings": {"click": 20, "jinja2": 20}}
SMALL = {
    "python-docs": SMALL_DOCS,
    "aws-api-docs": {"services": ["sqs", "sts"]},
    "python-qa": {"seed": 3, "records": 40, "parents": {"source": "python-docs", "options": SMALL_DOCS}},
    "drill": {"seed": 3},
}


@cache
def default(name: str) -> Source:
    return next(source for source in load_sources(SOURCES) if source.name == name)


def small(name: str, **changes: object) -> Source:
    return dataclasses.replace(default(name), options={**SMALL[name], **changes})


def generator(source: Source) -> Generator:
    reader = READERS[source.reader]
    assert isinstance(reader, Generator)
    return reader


@cache
def rows(name: str) -> list[Row]:
    return [row for row in generator(default(name)).read(small(name)) if isinstance(row, Row)]


def whole_text(row: Row) -> str:
    return row.text or "\n".join(turn["content"] for turn in row.messages or ())


def licensed(**fields: str | list[str]) -> Message:
    message = Message()
    for name, values in fields.items():
        for value in values if isinstance(values, list) else [values]:
            message[name.replace("_", "-")] = value
    return message


def test_the_sources_file_holds_the_four_defaults() -> None:
    sources = {source.name: source for source in load_sources(SOURCES)}
    assert tuple(sources) == NAMES
    assert [name for name, source in sources.items() if source.reference] == ["python-docs", "aws-api-docs"]
    assert [name for name, source in sources.items() if source.independent] == ["aws-api-docs"]
    assert [name for name, source in sources.items() if not source.releasable] == ["drill"]
    assert all(source.consent == "not_required" and source.collected_at for source in sources.values())
    parents = sources["python-qa"].options["parents"]
    assert isinstance(parents, dict) and parents["options"] == sources["python-docs"].options


@pytest.mark.parametrize("name", NAMES)
def test_reading_twice_gives_the_same_rows(name: str) -> None:
    again = [row for row in generator(default(name)).read(small(name)) if isinstance(row, Row)]
    assert again == rows(name)


@pytest.mark.parametrize("name", NAMES)
def test_keys_are_unique_and_nothing_names_this_machine(name: str) -> None:
    found = rows(name)
    assert found and len({row.key for row in found}) == len(found)
    here = {str(Path.home()), str(Path.cwd()), str(Path(drill.__file__).parents[2]), "site-packages"}
    for row in found:
        facts = json.dumps([row.key, row.position, dict(row.metadata)])
        assert not row.key.startswith("/") and not any(place in facts for place in here), row.key


@pytest.mark.parametrize("name", NAMES)
def test_fingerprint_changes_with_the_options_alone(name: str) -> None:
    reader, source = generator(default(name)), small(name)
    assert reader.fingerprint(source) == reader.fingerprint(small(name))
    changed = {
        "python-docs": {"longest": 10_000},
        "aws-api-docs": {"services": ["sqs"]},
        "python-qa": {"seed": 4},
        "drill": {"seed": 4},
    }
    assert reader.fingerprint(source) != reader.fingerprint(small(name, **changed[name]))


# Licences


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"License_Expression": "apache-2.0 OR BSD-3-clause"}, "Apache-2.0 OR BSD-3-Clause"),
        ({"License_Expression": "MIT", "License": "GPL"}, "MIT"),
        ({"License": "MPL-2.0 AND MIT"}, "MPL-2.0 AND MIT"),
        ({"License": "Apache License, Version 2.0"}, "Apache-2.0"),
        ({"License": "License :: OSI Approved :: MIT License"}, NOASSERTION),
        ({"License": "BSD"}, NOASSERTION),
        ({"License": "GPL"}, NOASSERTION),
        ({"License": "Dual License"}, NOASSERTION),
        ({"License": "see the file"}, NOASSERTION),
        ({"Classifier": "License :: OSI Approved :: MIT License"}, "MIT"),
        ({"Classifier": ["License :: OSI Approved", "License :: OSI Approved :: MIT License"]}, "MIT"),
        ({"Classifier": "License :: OSI Approved :: BSD License"}, NOASSERTION),
        (
            {
                "Classifier": [
                    "License :: OSI Approved :: MIT License",
                    "License :: OSI Approved :: Apache Software License",
                ]
            },
            NOASSERTION,
        ),
        ({}, NOASSERTION),
    ],
)
def test_licence_is_what_the_metadata_declares(fields: dict[str, str | list[str]], expected: str) -> None:
    assert spdx(licensed(**fields)) == expected


def test_licence_text_settles_what_the_metadata_leaves_open() -> None:
    bsd = "Redistribution and use are permitted.\n1. Redistributions of source code must retain the notice.\n"
    endorse = "3. Neither the name may be used to endorse or promote products derived from this software."
    mit = "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"
    assert from_text(bsd) == "BSD-2-Clause"
    assert from_text(bsd + endorse) == "BSD-3-Clause"
    assert from_text("All rights reserved.") is None
    assert from_text(bsd + endorse + "filler " * 500 + mit) == "BSD-3-Clause"
    assert from_text("Our own terms. " + "filler " * 500 + mit) is None
    assert spdx(licensed(License="BSD"), [bsd + endorse]) == "BSD-3-Clause"
    assert spdx(licensed(), [bsd, mit]) == NOASSERTION


# Docstrings


def test_docstrings_are_read_without_importing() -> None:
    code = '''
"""A module."""
raise RuntimeError("imported")
class Box:
    """A box that holds things."""
    def __init__(self, size, *, lid: bool = True):
        """Private by name."""
    @property
    def size(self):
        """The size of the box."""
    @size.setter
    def size(self, value):
        """Set the size."""
    def _hidden(self):
        """Hidden from readers."""
'''
    found = list(docstrings(code, shortest=5))
    assert [d.name for d in found] == ["", "Box", "Box.size"]
    assert found[1].signature == "Box(size, *, lid: bool=True)"
    assert found[2].text == "The size of the box." and found[2].signature == "Box.size()"


@pytest.mark.parametrize(
    "text",
    [
        "Fold.\n\nParameters\n----------\nx, y : int\n    The sides\n    of it.\nlid\n    A lid.\n\nReturns\n"
        "-------\nint\n    The area.",
        "Fold.\n\nArgs:\n    x (int): The sides\n        of it.\n    lid: A lid.\n\nReturns:\n    The area.",
        "Fold.\n\n:param int x: The sides\n    of it.\n:param lid: A lid.\n:returns: The area.",
    ],
    ids=["numpy", "google", "sphinx"],
)
def test_parameters_are_found_in_each_style(text: str) -> None:
    found = parameters(text)
    assert [(p.type, p.text) for p in found] == [("int", "The sides of it."), ("", "A lid.")]
    assert sections(text)[""].startswith("Fold.")


def test_a_parameter_explained_twice_counts_once() -> None:
    found = parameters(":param lid: A lid.\n:param x: A side.\n:param lid: Another.\n")
    assert [(p.name, p.text) for p in found] == [("lid", "A lid."), ("x", "A side.")]


# The documentation of installed packages


def test_documentation_has_every_part_and_its_packages_licence() -> None:
    found = rows("python-docs")
    assert {row.metadata["part"] for row in found} >= {"description", "license", "docstring"}
    assert {row.metadata["package"]: row.license for row in found} == {
        "click": "BSD-3-Clause",
        "jinja2": "BSD-3-Clause",
    }
    keys = {row.key for row in found}
    assert {"click/METADATA", "click/dist-info/licenses/LICENSE.txt"} <= keys
    assert not any(re.search(r"\d+\.\d+\.\d+", key) for key in keys)


def test_missing_packages_and_unknown_options_are_named() -> None:
    with pytest.raises(SourceError, match=r"python-docs.*no-such-package"):
        list(generator(default("python-docs")).read(small("python-docs", packages=["no-such-package"])))
    with pytest.raises(SourceError, match="no option longst"):
        Selection.of("python-docs", {"longst": 3})
    with pytest.raises(SourceError, match="no service 'nonesuch'"):
        list(generator(default("aws-api-docs")).read(small("aws-api-docs", services=["nonesuch"])))


def test_the_closure_follows_requirements_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributions, "PROJECT", "jinja2")
    assert [p.name for p in distributions.runtime_packages("python-docs")] == ["markupsafe"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project as a distribution: the one installed, or its requirements alone in a bare checkout."""
    try:
        metadata.distribution(distributions.PROJECT)
    except metadata.PackageNotFoundError:
        declared = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text("utf-8"))
        requires = "".join(f"Requires-Dist: {each}\n" for each in declared["project"]["dependencies"])
        folder = tmp_path / "winnow-0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: winnow\nVersion: 0\n{requires}")
        monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_default_sources_are_of_the_promised_size() -> None:
    names = [package.name for package in distributions.runtime_packages("python-docs")]
    assert "pytest" not in names and "numpy" in names
    limits = {
        "python-docs": (2_300, 4_000, 5_000_000),
        "aws-api-docs": (1_000, 1_500, 2_500_000),
        "python-qa": (1_500, 1_500, 700_000),
    }
    found = {}
    for name, (fewest, most, size) in limits.items():
        read = list(generator(default(name)).read(default(name)))
        found[name] = [row for row in read if isinstance(row, Row)]
        assert fewest <= len(found[name]) <= most
        assert size / 2 < sum(len(whole_text(row).encode()) for row in found[name]) < size
        assert not [each for each in read if type(each).__name__ == "Rejected"]
        assert len({row.key for row in found[name]}) == len(found[name])
    docs = found["python-docs"]
    texts = Counter(row.text for row in docs)
    assert max(texts.values()) > 5, "licence texts repeat"
    assert sum(row.license == NOASSERTION for row in docs) < 0.05 * len(docs)
    assert any(re.search(r"\w@\w+\.\w", whole_text(row)) for row in docs)
    ids = {document_id("python-docs", row.key) for row in docs}
    assert all(parent in ids for row in found["python-qa"] for parent in row.parents or ())


# Operations and questions


def test_operations_become_paragraphs_of_text() -> None:
    send = next(row for row in rows("aws-api-docs") if row.key == "sqs/SendMessage")
    assert send.license == "Apache-2.0" and send.text is not None
    assert send.text.startswith("SendMessage\n") and "\nMessageBody\n" in send.text
    assert not re.search(r"</?(p|code|li|a)\b", send.text)
    described = {"service": "sqs", "operation": "SendMessage", "version": metadata.version("botocore")}
    assert send.metadata == described


def test_questions_answer_from_their_parents_words() -> None:
    parents = {document_id("python-docs", row.key): row for row in rows("python-docs")}
    found = rows("python-qa")
    assert len(found) == 40 and {row.metadata["task"] for row in found} > {"purpose", "parameter"}
    for row in found:
        (parent,) = row.parents or ()
        assert row.synthetic and row.generator and row.license == parents[parent].license
        question, answer = row.messages or ()
        assert (question["role"], answer["role"]) == ("user", "assistant")
        said = set(re.findall(r"\w{4,}", whole_text(parents[parent])))
        words = re.findall(r"\w{4,}", re.sub(r"```.*?```", "", answer["content"], flags=re.DOTALL))
        assert set(words) <= said, row.key


def test_a_seed_chooses_the_questions() -> None:
    reader = generator(default("python-qa"))
    other = [row.key for row in reader.read(small("python-qa", seed=4)) if isinstance(row, Row)]
    assert other != [row.key for row in rows("python-qa")]


# The drill


def planted(hazard: str) -> list[Row]:
    return [row for row in rows("drill") if row.metadata["hazard"] == hazard]


def truth(row: Row) -> dict[str, object]:
    told = row.metadata["truth"]
    assert isinstance(told, dict)
    return told


def test_drill_counts() -> None:
    counts = Counter(row.metadata["hazard"] for row in rows("drill"))
    for hazard, _, count in drill.HAZARDS:
        extra = 30 + 60 + 20 if hazard == "clean" else 0
        assert counts[hazard] == count + extra
    assert sum(not truth(row) for row in planted("clean")) == 150
    assert all(row.synthetic and row.generator == drill.GENERATOR for row in rows("drill"))


SHAPES = {
    "EMAIL_ADDRESS": r"[\w.+]+@[\w.]+|[\w \[\]]+ (at|\[at\]) [\w \[\]]+",
    "PHONE_NUMBER": r"(\+\d|\()?[\d() -]+|[a-z ]+",
    "CREDIT_CARD": r"[\d -]{15,31}",
    "IBAN_CODE": r"[A-Za-z]{2}\d\d[A-Za-z\d ]+",
    "IP_ADDRESS": r"[\d.]+|2001:db8::[\da-f:]+",
    "US_SSN": r"9\d\d-?\d\d-?\d{4}",
    "CRYPTO": r"1[1-9A-HJ-NP-Za-km-z]{25,34}",
    "URL": r"https://\w+:\w+@git\.example\.com/\S+\.git",
    "UK_NHS": r"\d{3} \d{3} \d{4}",
    "MEDICAL_LICENSE": r"[ABFM][A-Z]\d{7}",
    "KR_RRN": r"\d{6}-[12]\d{6}",
    "MAC_ADDRESS": r"02(:[\dA-F]{2}){5}",
    "US_PASSPORT": r"[ACEG]\d{8}",
    "US_BANK_NUMBER": r"\d{11}",
    "PERSON": r"[A-Z]\w+ [A-Z]\w+",
    "LOCATION": r"\d+ [\w ]+, [\w ]+",
    "API_KEY": r"AKIA[A-Z\d]{16}|ghp_\w{36}|sk_live_\w{24}|[\da-f]{40}",
    "PRIVATE_KEY": r"-----BEGIN RSA PRIVATE KEY-----\n([\w+/]{64}\n){4}-----END RSA PRIVATE KEY-----",
}


def test_spans_of_personal_values_are_right() -> None:
    seen = Counter()
    for row in planted("pii"):
        spans = truth(row)["spans"]
        assert isinstance(spans, list) and spans
        for span in spans:
            assert set(span) == {"entity", "start", "end"}, "the value itself is never told"
            value = whole_text(row)[span["start"] : span["end"]]
            assert re.fullmatch(SHAPES[span["entity"]], value), (span["entity"], row.key)
            seen[span["entity"]] += 1
            digits = re.sub(r"\D", "", value)
            assert span["entity"] != "CREDIT_CARD" or luhn_valid(digits)
            assert span["entity"] != "IBAN_CODE" or iban_valid(value)
        assert "{" not in whole_text(row)
    assert set(seen) == set(SHAPES) == {entity for entity, _ in VALUES.values()}
    assert min(seen.values()) >= 3


def test_presidio_accepts_the_values_that_carry_a_check_digit() -> None:
    from presidio_analyzer import predefined_recognizers as known

    recognizers = {
        "CREDIT_CARD": known.CreditCardRecognizer(),
        "CRYPTO": known.CryptoRecognizer(),
        "IBAN_CODE": known.IbanRecognizer(),
        "KR_RRN": known.KrRrnRecognizer(),
        "MEDICAL_LICENSE": known.MedicalLicenseRecognizer(),
        "PHONE_NUMBER": known.PhoneRecognizer(),
        "UK_NHS": known.NhsRecognizer(),
    }
    for row in planted("pii"):
        spans = truth(row)["spans"]
        assert isinstance(spans, list)
        for span in spans if truth(row)["form"] == "plain" else ():
            if span["entity"] not in recognizers:
                continue
            text = whole_text(row)
            found = recognizers[span["entity"]].analyze(text, [span["entity"]], None)
            assert any(f.start <= span["start"] and span["end"] <= f.end for f in found), (span, row.key)


def test_copies_name_their_originals() -> None:
    by_key = {row.key: row for row in rows("drill")}
    for row in planted("exact_duplicate") + planted("near_duplicate"):
        original = by_key[str(truth(row)["original"])]
        assert original.metadata["hazard"] == "clean" and truth(original)["copies"] == [row.key]
        assert row.parents == (document_id("drill", original.key),)
        assert len(whole_text(original).split()) >= 80
    assert all(
        whole_text(r) == whole_text(by_key[str(truth(r)["original"])]) for r in planted("exact_duplicate")
    )
    near = {(truth(row)["edit_rate"], truth(row)["jaccard"]) for row in planted("near_duplicate")}
    assert {rate for rate, _ in near} == set(drill.EDIT_RATES)
    assert all(0.2 < similarity < 1 for _, similarity in near)


def test_only_planted_copies_are_alike() -> None:
    pairs = {frozenset((row.key, truth(row).get("original"))) for row in rows("drill")}
    texts = {row.key: whole_text(row) for row in rows("drill")}
    holders: dict[tuple[str, ...], list[str]] = {}
    for key, text in texts.items():
        for words in drill.shingles(text):
            holders.setdefault(words, []).append(key)
    shared = Counter(pair for keys in holders.values() for pair in combinations(keys, 2))
    for (left, right), count in shared.items():
        if count > 20 and frozenset((left, right)) not in pairs:
            assert drill.jaccard(texts[left], texts[right]) < 0.55, (left, right)


def test_leaked_items_are_in_the_benchmark() -> None:
    lines = drill.BENCHMARK.read_text("utf-8").splitlines()
    items = {item["id"]: item["question"] for item in map(json.loads, lines)}
    forms = Counter()
    for row in planted("leakage"):
        told = truth(row)
        forms[told["form"]] += 1
        assert (items[told["item"]] in whole_text(row)) == (told["form"] == "verbatim")
    assert forms == {"verbatim": 20, "edited": 20}


def test_other_hazards_say_their_form() -> None:
    assert {truth(row)["form"] for row in planted("repetition")} == {"lines", "paragraphs", "ngrams"}
    assert {truth(row)["form"] for row in planted("toxic")} == {"rant", "embedded"}
    assert Counter(truth(row)["form"] for row in planted("poison")) == {"templated": 20, "reworded": 20}
    languages = Counter(truth(row)["language"] for row in planted("wrong_language"))
    assert set(languages) == {"de", "fr", "es", "ko", "ja", "ru"} and min(languages.values()) >= 5


def test_reworded_claims_share_few_words() -> None:
    lines = yaml.safe_load(drill.SCRIPT.read_text("utf-8"))["poison"]["reworded"]
    words = [set(re.findall(r"[a-z]{5,}", line.lower())) for line in lines]
    shared = [len(a & b) / min(len(a), len(b)) for a, b in combinations(words, 2)]
    assert sum(shared) / len(shared) < 0.15
