"""API keys, tokens and private keys: found whole, wherever detect-secrets fires, and gone after redaction."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from personal import KEY, TOKENS, documents, private_key, web_token

from assets.privacy.credentials import (
    API_KEY,
    CREDENTIALS,
    DETECTORS,
    LONGEST_KEY,
    PRIVATE_KEY,
    Detector,
    _load,
    candidate,
    find_credentials,
)
from assets.privacy.findings import MARGIN, WINDOW, find_pii
from assets.privacy.hits import blot
from assets.privacy.redaction import redact, residual

BY_NAME = {detector.name: detector for detector in DETECTORS}


def values(text: str) -> list[tuple[str, str]]:
    """The credentials in a text, in order, by entity."""
    hits = sorted(find_credentials(text), key=lambda hit: hit.start)
    return [(hit.entity, text[hit.start : hit.end]) for hit in hits]


def test_every_detector_has_a_sample() -> None:
    assert TOKENS.keys() == BY_NAME.keys()


@pytest.mark.parametrize("name", TOKENS)
def test_each_credential_is_found_whole(name: str) -> None:
    frame, token = TOKENS[name]
    table = documents(frame.format(token))
    (row,) = [row for row in find_pii(table, KEY).to_pylist() if row["entity"] in CREDENTIALS]
    assert row["recognizer"] == name
    assert table["text"][0].as_py()[row["start"] : row["end"]] == token
    assert row["value_hmac"] == KEY.hmac(token)


@pytest.mark.parametrize("name", [name for name in TOKENS if BY_NAME[name].entity == API_KEY])
def test_a_longer_token_is_found_whole(name: str) -> None:
    frame, token = TOKENS[name]
    assert values(frame.format(token + "MoreOfIt_123")) == [(API_KEY, token + "MoreOfIt_123")]


def test_an_aws_secret_is_told_by_what_is_said_before_it() -> None:
    secret = "n0tAk3y/+x" * 4
    assert values(f'aws_secret_access_key = "{secret}"') == [(API_KEY, secret)]
    assert values(f'"{secret}"') == []


@pytest.mark.parametrize(
    "text",
    [
        "Begin with your private key, then the API key: sk-learn, eyJ, gh_pages, AKIA, SG.x.y.",
        "commit 8169c52b4ec6e77eb2ae17f028fe5da4e35c0bed of 'fedd995b45e633d4ef30fcbc8f3a48b627e9a28b'",
        "id 123e4567-e89b-12d3-a456-426614174000 and sha256 " + "0f1e2d3c" * 8,
        "postgres://user:password@localhost/db and //registry.npmjs.org/:_authToken=${NPM_TOKEN}",
        "data:image/png;base64," + "iVBORw0KGgo/AAAANSUhEUg+" * 40,
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN RSA PUBLIC KEY-----",
    ],
)
def test_what_is_no_credential_is_left(text: str) -> None:
    assert values(text) == []


# private keys

KINDS = ("", "RSA ", "DSA ", "EC ", "OPENSSH ")


@pytest.mark.parametrize("kind", KINDS)
def test_a_private_key_goes_from_its_first_line_to_its_last(kind: str) -> None:
    key = private_key(kind)
    assert values(f"mine:\n{key}\nand:\n{key}\nover") == [(PRIVATE_KEY, key)] * 2


def test_private_keys_of_other_programs() -> None:
    pgp = private_key().replace("RSA PRIVATE KEY", "PGP PRIVATE KEY BLOCK")
    ssh2 = (
        private_key()
        .replace("RSA", "SSH2 ENCRYPTED")
        .replace("-----", "---- ")
        .replace("KEY---- ", "KEY ----")
    )
    putty = (
        "PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none\nComment: none\nPublic-Lines: 1\nTm90IGEga2V5Tm90\n"
        "Private-Lines: 1\nTm90IGEga2V5Tm90\nPrivate-MAC: 0123456789abcdef"
    )
    for key in (pgp, ssh2, putty):
        assert values(f"{key}\nover") == [(PRIVATE_KEY, key)]


def test_a_private_key_quoted_in_code_is_found_whole() -> None:
    for line in ("\\n", '\\n" +\n    "', "\n> "):
        key = private_key().replace("\n", line)
        assert values(f'key = "{key}" # and more') == [(PRIVATE_KEY, key)]


@pytest.mark.parametrize("lines", [3, 2 * LONGEST_KEY // 60])
@pytest.mark.parametrize("line", ["\n", "\\n", '\\n" +\n    "', "\n> "])
def test_a_private_key_without_an_end_goes_as_far_as_its_lines(lines: int, line: str) -> None:
    key = private_key(lines=lines).split("\n-----END")[0].replace("\n", line)
    (found,) = values(f"{key}\n\nThe rest of it was lost, as you see.")
    assert found == (PRIVATE_KEY, key)


def test_of_a_header_alone_the_header_is_found() -> None:
    header = "-----BEGIN RSA PRIVATE KEY-----"
    assert values(f"It starts with {header} and so on.") == [(PRIVATE_KEY, header)]


# windows


@pytest.mark.parametrize(
    "value", [web_token(300), private_key(lines=200)], ids=["a web token", "a private key"]
)
def test_a_value_longer_than_a_margin_is_found_once_and_whole_wherever_it_stands(value: str) -> None:
    assert MARGIN < len(value) < WINDOW * 2
    for start in (0, WINDOW - MARGIN, WINDOW - 5, WINDOW, WINDOW + MARGIN, 2 * WINDOW - 50):
        text = "a " * (start // 2) + " " * (start % 2) + value + " b" * (WINDOW + MARGIN)
        table = documents(text)
        found = find_pii(table, KEY)
        credentials = [row for row in found.to_pylist() if row["entity"] in CREDENTIALS]
        assert [(row["start"], row["end"]) for row in credentials] == [(start, start + len(value))]
        redacted = redact(table, found)
        assert set(redacted["text"][0].as_py().split()) == {"a", "b", f"<{credentials[0]['entity']}>"} - (
            {"a"} if start == 0 else set()
        )
        assert residual(redacted, KEY).num_rows == 0


# beside the library

PIECES = [
    *(token for _, token in TOKENS.values()),
    *(token[: len(token) * 2 // 3] for _, token in TOKENS.values()),
    *(
        "eyJ",
        "eyJhIjoxfQ",
        ".",
        "..",
        "sk-",
        "//",
        "/:_authToken=",
        "npm_",
        "aws",
        "AWS_ſecret_key",
        "'",
        '"',
    ),
    *(
        "n0tAk3y/+x" * 4,
        "xoxb-1-",
        "XOXP-٣-a",
        "HOOKS.slacK.com/services/T1/B2/c",
        "https://",
        "-us1",
        "AC",
        "GR1348941",
    ),
    *(
        "BEGIN EC PRIVATE KEY",
        "END EC PRIVATE KEY",
        "-----",
        "\n",
        " ",
        "=",
        "-",
        "_",
        "a",
        "é",
        "AB12ab34" * 3,
    ),
]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=14).map("".join)


def by_library(detector: Detector, text: str) -> list[tuple[int, int]]:
    """Where the library's own patterns find a secret, and as far as it is one word of it."""
    plugin_patterns, valid = _load(Detector(detector.name, detector.module, "", detector.entity))
    found = []
    for pattern in plugin_patterns:
        group = detector.group if pattern.groups >= detector.group else 0
        for match in pattern.finditer(text):
            if valid(match[0]):
                start, end = match.span(group)
                word = (
                    end
                    if detector.entity == PRIVATE_KEY
                    else start + len(re.split(r"[\s\"'\\]", text[start:end])[0])
                )
                found.append((start, word))
    return found


@given(TEXTS)
@settings(max_examples=500, deadline=None)
def test_whatever_the_library_finds_passes_the_prefilter_and_is_covered(text: str) -> None:
    covered = [False] * len(text)
    for hit in find_credentials(text):
        covered[hit.start : hit.end] = [True] * (hit.end - hit.start)
    asked = {
        entity: pc.match_substring_regex(pa.array([text]), candidate([entity]))[0].as_py()
        for entity in CREDENTIALS
    }
    for detector in DETECTORS:
        found = by_library(detector, text)
        assert asked[detector.entity] or not found, detector.name
        assert all(all(covered[start:end]) for start, end in found), detector.name


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_the_library_finds_nothing_once_ours_are_gone(text: str) -> None:
    left = blot(text, [(hit.start, hit.end) for hit in find_credentials(text)])
    assert [detector.name for detector in DETECTORS if by_library(detector, left)] == []
    table = documents(text)
    redacted = redact(table, find_pii(table, KEY))
    assert residual(redacted, KEY).num_rows == 0


@given(TEXTS)
@settings(max_examples=500, deadline=None)
def test_stepping_over_runs_changes_no_match(text: str) -> None:
    for detector in (each for each in DETECTORS if each.without):
        ours, _ = _load(detector)
        theirs, _ = _load(Detector(detector.name, detector.module, ""))
        for quick, plain in zip(ours, theirs, strict=True):
            slow = regex.compile(plain.pattern, plain.flags)
            assert [m.span() for m in quick.finditer(text)] == [m.span() for m in plain.finditer(text)]
            assert [m.span() for m in slow.finditer(text)] == [m.span() for m in plain.finditer(text)]


@pytest.mark.parametrize(
    "run",
    [
        "eyJ",
        "eyJ.",
        "sk-",
        "sk-T3BlbkFJ",
        "//",
        "a/",
        "xoxb-1-",
        "BEGIN RSA PRIVATE KEY ",
        "+ ",
        "A" * 64 + "\n",
    ],
)
@pytest.mark.parametrize("name", ["JwtTokenDetector", "OpenAIDetector", "NpmDetector", "PrivateKeyDetector"])
def test_no_run_of_characters_takes_long(run: str, name: str) -> None:
    frame, token = TOKENS[name]
    text = run * (200_000 // len(run)) + "\n" + frame.format(token)
    assert any(hit.end >= len(text) - len(frame) for hit in find_credentials(text))


def test_a_list_of_many_tokens() -> None:
    token = TOKENS["GitHubTokenDetector"][1]
    table = documents("\n".join(f"{token}{number}" for number in range(5_000)))
    found = find_pii(table, KEY)
    assert found.num_rows == 5_000
    assert len(set(found["value_hmac"].to_pylist())) == 5_000


# disguises


def test_a_disguised_token_is_found_where_it_stands() -> None:
    token = TOKENS["StripeDetector"][1]
    hidden = token[:12] + "\u200b" + token[12:]
    table = documents(f"charge by {hidden} now")
    found = find_pii(table, KEY)
    assert found["value_hmac"].to_pylist() == [KEY.hmac(token)]
    assert redact(table, found)["text"].to_pylist() == ["charge by <API_KEY> now"]
