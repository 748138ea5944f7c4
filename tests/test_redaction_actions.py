"""Redaction as policy: what is done with each kind of value, by entity, profile and source."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from personal import KEY, TOKENS, documents

from assets.documents import MESSAGES, render
from assets.privacy.actions import ACTIONS, SURROGATES, Action, ActionError, actions_for, load_actions
from assets.privacy.findings import PiiPolicy, find_pii
from assets.privacy.keys import PiiKey
from assets.privacy.recognizers import ENTITIES
from assets.privacy.redaction import redact, residual

HEADER = "entity,profile,source,action,rationale"

# One value of each entity, none of them anybody's.
VALUES = {
    "EMAIL_ADDRESS": ("Write to {} today.", "jane.doe@example.co.uk"),
    "PHONE_NUMBER": ("Call me on {} after six.", "(212) 736-5000"),
    "CREDIT_CARD": ("The card is {}, valid to May.", "4012-8888-8888-1881"),
    "IBAN_CODE": ("Pay to {} please.", "GB33BUKB20201555555555"),
    "IP_ADDRESS": ("The host {} answered.", "192.0.2.17"),
    "MAC_ADDRESS": ("The adapter {} is up.", "00:1A:2B:3C:4D:5E"),
    "US_SSN": ("His social security number is {} now.", "536-90-4399"),
    "CRYPTO": ("Send it to {} soon.", "16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ"),
    "KR_RRN": ("주민등록번호는 {} 입니다.", "960121-1234567"),
    "KR_FRN": ("외국인등록번호는 {} 입니다.", "960121-5234567"),
    "KR_BRN": ("사업자등록번호 {} 로 발행합니다.", "123-45-67891"),
    "KR_PASSPORT": ("제 여권번호는 {} 입니다.", "M123A4567"),
    "KR_DRIVER_LICENSE": ("운전면허 번호는 {} 입니다.", "11-22-123456-78"),
    "API_KEY": TOKENS["GitHubTokenDetector"],
    "PRIVATE_KEY": TOKENS["PrivateKeyDetector"],
    "PERSON": ("The letter was written by {} in May.", "Margaret Thompson"),
    "LOCATION": ("The letter was sent to {} in May.", "Germany"),
}


def test_every_entity_has_a_sample_and_a_surrogate() -> None:
    assert VALUES.keys() == SURROGATES.keys() == set(ENTITIES)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("entity", ENTITIES)
def test_each_action_on_each_entity(entity: str, action: str) -> None:
    frame, value = VALUES[entity]
    table = documents(frame.format(value))
    found = find_pii(table, KEY, PiiPolicy(ner="full"))
    actions = dict.fromkeys(ENTITIES, action)
    redacted = redact(table, found, actions)
    (row,) = redacted.to_pylist()
    assert residual(redacted, KEY, actions).num_rows == 0
    if action == "keep":
        assert (row["text"], row["n_findings"]) == (table["text"][0].as_py(), 0)
        return
    assert value not in row["text"]
    assert row["n_findings"] > 0
    assert bool(row["n_to_drop"]) == (action == "drop")
    before, after = frame.split("{}")
    assert row["text"].startswith(before[:3]) and row["text"].endswith(after[-4:])


@pytest.mark.parametrize("action", ["hash", "surrogate"])
def test_equal_values_stay_equal_and_others_differ(action: str) -> None:
    texts = [f"Write to {name}@example.org today." for name in ("jane", "JANE", "john")]
    table = documents(*texts)
    actions = {"EMAIL_ADDRESS": action}
    one, same, other = redact(table, find_pii(table, KEY), actions)["text"].to_pylist()
    assert one == same != other
    (elsewhere,) = redact(
        table.slice(0, 1), find_pii(table.slice(0, 1), PiiKey(b"another key for tests")), actions
    )["text"].to_pylist()
    assert elsewhere != one


def test_a_kept_value_beside_a_replaced_one() -> None:
    table = documents("Write to jane.doe@example.co.uk or call (212) 736-5000 now.")
    redacted = redact(table, find_pii(table, KEY), {"PHONE_NUMBER": "keep", "EMAIL_ADDRESS": "mask"})
    assert redacted["text"].to_pylist() == ["Write to ****.***@*******.**.** or call (212) 736-5000 now."]
    assert residual(redacted, KEY, {"PHONE_NUMBER": "keep"}).num_rows == 0
    assert residual(redacted, KEY).num_rows > 0


def test_turns_get_what_the_text_gets() -> None:
    turns = [{"role": "user", "content": "I am jane@example.org"}, {"role": "assistant", "content": "Hello"}]
    table = documents(render(turns))
    at = table.column_names.index("messages")
    table = table.set_column(at, "messages", pa.array([turns], MESSAGES))
    (row,) = redact(table, find_pii(table, KEY), {"EMAIL_ADDRESS": "hash"}).to_pylist()
    assert render(row["messages"]) == row["text"]
    assert "<EMAIL_ADDRESS:" in row["messages"][0]["content"]


def test_the_line_that_says_most_holds() -> None:
    lines = [
        Action("*", "*", "*", "placeholder"),
        Action("EMAIL_ADDRESS", "*", "*", "hash"),
        Action("*", "sft", "*", "mask"),
        Action("EMAIL_ADDRESS", "sft", "*", "surrogate"),
        Action("*", "*", "letters", "drop"),
        Action("EMAIL_ADDRESS", "*", "letters", "keep"),
    ]
    for order in (lines, lines[::-1]):
        assert actions_for(order, "web", "pages")["EMAIL_ADDRESS"] == "hash"
        assert actions_for(order, "web", "pages")["CRYPTO"] == "placeholder"
        assert actions_for(order, "sft", "pages")["EMAIL_ADDRESS"] == "surrogate"
        assert actions_for(order, "sft", "pages")["CRYPTO"] == "mask"
        assert actions_for(order, "sft", "letters")["EMAIL_ADDRESS"] == "keep"
        assert actions_for(order, "web", "letters")["CRYPTO"] == "drop"


def test_the_default_is_a_placeholder_for_all() -> None:
    assert set(actions_for(load_actions(), "web", "any").values()) == {"placeholder"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["NAME,*,*,mask,"], "actions.csv, line 2: 'NAME' is none of"),
        (["*,*,*,mask,", "*,*,s,blur,"], "actions.csv, line 3: 'blur' is none of placeholder, hash"),
        (["*,*,*,mask,", "*,*,*,hash,"], r"actions.csv, line 3: \* \* \* has a line already"),
    ],
)
def test_a_line_that_cannot_be_read_names_itself(tmp_path: Path, lines: list[str], message: str) -> None:
    path = tmp_path / "actions.csv"
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    with pytest.raises(ActionError, match=message):
        load_actions(path)
