"""Personal data: found offline, the same as Presidio finds it, and gone after redaction."""

from __future__ import annotations

import gzip
import json
import re
import stat
import unicodedata
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st
from personal import KEY, documents
from presidio_analyzer.predefined_recognizers import EmailRecognizer

from assets.documents import MESSAGES, render
from assets.privacy import findings as findings_module
from assets.privacy.disguises import LOOK_ALIKE, plain
from assets.privacy.findings import FINDING, MARGIN, WINDOW, PiiError, PiiPolicy, find_pii
from assets.privacy.keys import VARIABLE, PiiKey, load_key
from assets.privacy.phones import phone_filter
from assets.privacy.recognizers import (
    ANYTHING,
    CONFIGURATION,
    ENTITIES,
    NO_ADDRESS,
    PATTERNED,
    PHONE_DIGITS,
    RECOGNIZERS,
    analyzer,
    signs,
)
from assets.privacy.redaction import REDACTED, Span, redact, residual, resolve

DATA = Path(__file__).resolve().parents[1] / "../shared/data"

# One value of each entity, none of them anybody's: example ranges, test cards and published samples.
SAMPLES = {
    "EMAIL_ADDRESS": "Write to jane.doe@example.co.uk today.",
    "PHONE_NUMBER": "Call me on (212) 736-5000 after six.",
    "CREDIT_CARD": "The card is 4012-8888-8888-1881, valid to May.",
    "IBAN_CODE": "Pay to GB33BUKB20201555555555 or DE89 3704 0044 0532 0130 00 please.",
    "IP_ADDRESS": "Hosts 192.0.2.17 and 2001:db8::8a2e:370:7334 answered.",
    "MAC_ADDRESS": "The adapter 00:1A:2B:3C:4D:5E and 0012.3456.789a are up.",
    "US_SSN": "His social security number is 536904399, or 536-90-4399.",
    "CRYPTO": "Send it to 16Yeky6GMjeNkAiNcBY7ZhrLoMSgg1BoyZ soon.",
    "KR_RRN": "주민등록번호는 960121-1234567 입니다.",
    "KR_FRN": "외국인등록번호는 960121-5234567 입니다.",
    "KR_BRN": "사업자등록번호 123-45-67891 로 세금계산서를 발행합니다.",
    "KR_PASSPORT": "제 여권번호는 M123A4567 입니다.",
    "KR_DRIVER_LICENSE": "운전면허 번호는 11-22-123456-78 입니다.",
}
PLAIN = "Nothing personal stands here, in chapter 12 of 1999 pages: see std::vector and Shape::Kind."


def corpus(name: str, field: str = "text", limit: int = 400) -> list[str]:
    path = DATA / name
    if not path.exists():
        pytest.skip("the corpora are not at ../shared/data")
    with gzip.open(path, "rt") as file:
        return [json.loads(line)[field] for line, _ in zip(file, range(limit), strict=False)]


def spans(findings: pa.Table) -> list[tuple[str, int, int]]:
    return [tuple(row.values()) for row in findings.select(["entity", "start", "end"]).to_pylist()]


def by_presidio(text: str, language: str = "en") -> set[tuple[str, int, int, float]]:
    """What Presidio finds in the whole text at once, with every recogniser and no prefilter."""
    results = analyzer().analyze(text, language, score_threshold=PiiPolicy().score_threshold)
    return {(r.entity_type, r.start, r.end, r.score) for r in results}


def by_winnow(text: str) -> set[tuple[str, int, int, float]]:
    rows = find_pii(documents(text), KEY).select(["entity", "start", "end", "score"]).to_pylist()
    return {tuple(row.values()) for row in rows}


# findings


@pytest.mark.parametrize("entity", SAMPLES)
def test_finds_each_entity(entity: str) -> None:
    found = find_pii(documents(PLAIN, SAMPLES[entity]), KEY)
    assert found.schema == FINDING
    assert set(found["doc_id"].to_pylist()) == {f"{1:032x}"}
    assert entity in found["entity"].to_pylist()


def test_every_recognizer_has_a_sample() -> None:
    assert set(SAMPLES) == set(PATTERNED)


def test_plain_text_and_code_hold_no_finding() -> None:
    assert (
        find_pii(documents(PLAIN, "", "use std::fmt; // description, recipe: std::string"), KEY).num_rows == 0
    )


def test_offsets_are_code_points() -> None:
    text = "🎈🎈 naïve — jane@example.org"
    assert spans(find_pii(documents(text), KEY)) == [("EMAIL_ADDRESS", 11, len(text))]
    assert text[11:] == "jane@example.org"


def test_values_are_kept_only_as_keyed_hashes() -> None:
    found = find_pii(documents("A@Example.org", "mail a@example.org"), KEY)
    first, second = found["value_hmac"].to_pylist()
    assert first == second == KEY.hmac("a@EXAMPLE.org") != PiiKey(b"some other key...").hmac("a@example.org")
    assert set(found["key_id"].to_pylist()) == {KEY.id}
    assert "xample" not in str(found.to_pylist())


def test_context_raises_a_score() -> None:
    threshold = PiiPolicy(entities=("US_SSN",))
    assert find_pii(documents("part 536904399 of the order"), KEY, threshold).num_rows == 0
    assert find_pii(documents("ssn 536904399 of the order"), KEY, threshold).num_rows == 1


WORDS = [
    *("ip", "address", "ipv6", "IPv6Resolver", "phone", "call", "number", "card", "ssn", "social", "x"),
    *("the", "of", "to", "move", "std::move", "a:the", "ip:10", "12:30", "|", "-", ",", ".", "\n"),
    *("10.0.0.1", "2001:db8::1", "078-05-1120", "212-736-5000", "4012888888881881", "00:1A:2B:3C:4D:5E"),
]


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=40), st.sampled_from([" ", "  ", "\n", ", "]))
@settings(max_examples=400, deadline=None)
def test_words_of_context_count_as_with_presidio(words: list[str], between: str) -> None:
    text = between.join(words)
    # What a value had hidden comes on top of Presidio's findings.
    assert by_presidio(text) <= by_winnow(text)


def test_a_far_word_of_context_does_not_count() -> None:
    for fillers in range(0, 400, 7):
        text = "ip " + "the | of " * fillers + " river stone light 10.0.0.1"
        assert by_presidio(text) <= by_winnow(text)


def test_korean_numbers_are_sought_in_korean_text_only() -> None:
    number = "960121-1234567"
    assert find_pii(documents(number), KEY).num_rows == 0
    assert find_pii(documents(number, language="ko"), KEY)["entity"].to_pylist() == ["KR_RRN"]
    assert spans(find_pii(documents("전화 02-312-3456"), KEY)) == [("PHONE_NUMBER", 3, 14)]


@pytest.mark.parametrize(
    "text",
    [
        "주문번호 1234567891 과 200012345678 을 확인하세요.",
        "모델명 M123A4567 은 단종되었습니다.",
        "123-45-67890 은 검증 숫자가 맞지 않습니다.",
        "99-22-123456-78 은 지역 번호가 아닙니다.",
    ],
)
def test_korean_numbers_of_the_right_length_alone_are_nobodys(text: str) -> None:
    assert not {entity for entity, *_ in by_winnow(text) if entity.startswith("KR_")}


def test_policy_chooses_entities_and_threshold() -> None:
    table = documents(SAMPLES["EMAIL_ADDRESS"] + SAMPLES["IP_ADDRESS"])
    assert set(find_pii(table, KEY, PiiPolicy(entities=("IP_ADDRESS",)))["entity"].to_pylist()) == {
        "IP_ADDRESS"
    }
    assert find_pii(table, KEY, PiiPolicy(score_threshold=0.9))["entity"].to_pylist() == ["EMAIL_ADDRESS"]
    with pytest.raises(ValueError, match="no recogniser for URL"):
        PiiPolicy(entities=("URL",))


@pytest.mark.usefixtures("refused_network")
def test_no_network() -> None:
    analyzer.cache_clear()
    found = find_pii(documents(*SAMPLES.values()), KEY)
    assert set(found["entity"].to_pylist()) >= set(SAMPLES)


@pytest.mark.parametrize("text", [*SAMPLES.values(), PLAIN, " ".join(SAMPLES.values()).split("주")[0]])
def test_same_findings_as_presidio(text: str) -> None:
    language = "ko" if re.search("[가-힣]", text) else "en"
    assert by_winnow(text) == by_presidio(text, language)


@pytest.mark.parametrize(
    ("name", "field", "limit"),
    [
        ("pii/presidio-generated-large.jsonl.gz", "full_text", 250),
        ("corpora/botocore-docs.jsonl.gz", "text", 500),
        ("corpora/azure-docs-cli.jsonl.gz", "text", 20),
        ("corpora/multilexsum.jsonl.gz", "text", 40),
    ],
)
def test_prefilter_and_windows_lose_nothing_of_presidio(name: str, field: str, limit: int) -> None:
    texts = corpus(name, field, limit)
    # What a value had hidden comes on top of Presidio's findings, so they are a subset.
    missing = [i for i, text in enumerate(texts) if by_presidio(text) - by_winnow(text)]
    assert missing == []


def test_text_beyond_a_million_characters() -> None:
    filler = "Some words of prose without a number in them. "
    text = "".join(filler * 180 + value + " " for value in list(SAMPLES.values())[:8] * 16)
    assert len(text) > 1_000_000
    found = find_pii(documents(text), KEY)
    per_sample = Counter(entity for value in list(SAMPLES.values())[:8] for entity, *_ in by_winnow(value))
    assert Counter(found["entity"].to_pylist()) == Counter({e: 16 * n for e, n in per_sample.items()})


def test_a_value_at_any_place_around_a_window_edge_is_found_once() -> None:
    value = "jane.doe@example.org"
    for start in range(WINDOW - len(value) - 1, WINDOW + 2):
        text = "a " * (start // 2) + " " * (start % 2) + value + " b" * (WINDOW + MARGIN)
        assert spans(find_pii(documents(text), KEY)) == [("EMAIL_ADDRESS", start, start + len(value))]


@pytest.mark.parametrize("run", ["A1b2", "a/", "ab/cd-", "a.b@", "@a-", "x@a."])
def test_no_run_of_characters_takes_long(run: str) -> None:
    # On `a/a/a/…` Presidio's own pattern runs into its time limit, and the address goes unseen.
    text = run * (50_000 // len(run)) + " jane@example.org"
    found = spans(find_pii(documents(text), KEY, PiiPolicy(entities=("EMAIL_ADDRESS",))))
    assert ("EMAIL_ADDRESS", len(text) - len("jane@example.org"), len(text)) in found


@given(st.text(alphabet="ab1.@-/_' +é", max_size=60))
@settings(max_examples=2_000, deadline=None)
def test_stepping_over_runs_changes_no_address(text: str) -> None:
    [pattern] = EmailRecognizer.PATTERNS
    plain, quick = (
        [match.span() for match in regex.finditer(p, text, regex.DOTALL | regex.MULTILINE | regex.IGNORECASE)]
        for p in (pattern.regex, NO_ADDRESS + "|" + pattern.regex)
    )
    assert quick == plain


@given(st.lists(st.text(alphabet="aF19:.-@+ X\u0663", max_size=14), max_size=40))
@settings(max_examples=1_000, deadline=None)
def test_what_no_recogniser_is_asked_about_matches_none_of_them(texts: list[str]) -> None:
    column = pa.array(texts, pa.large_string())
    asked = pc.match_substring_regex(column, ANYTHING)
    for recognizer in RECOGNIZERS:
        matched = pc.match_substring_regex(column, recognizer.candidate)
        assert not pc.any(pc.and_not(matched, asked)).as_py(), recognizer.entity
        signed = pc.match_substring_regex(column, signs([recognizer]))
        assert not pc.any(pc.and_not(matched, signed)).as_py(), recognizer.entity


@given(st.data())
@settings(max_examples=500, deadline=None)
def test_whatever_a_recogniser_may_fire_on_bears_its_sign(data: st.DataObject) -> None:
    recognizer = data.draw(st.sampled_from(RECOGNIZERS))
    # RE2's names for characters, as Python writes them.
    pattern = re.sub(r"\\x\{(\w+)\}", lambda found: chr(int(found[1], 16)), recognizer.candidate)
    text = data.draw(st.from_regex(pattern.replace(r"\p{Nd}", r"\d")))
    column = pa.array([text], pa.large_string())
    if pc.match_substring_regex(column, recognizer.candidate)[0].as_py():
        assert pc.match_substring_regex(column, signs(RECOGNIZERS))[0].as_py()
        assert pc.match_substring_regex(column, ANYTHING)[0].as_py()


DIGITS = st.text(alphabet="0123456789", min_size=1, max_size=12)
BETWEEN = st.sampled_from(
    ["", " ", "-", ".", "/", "(", ") ", " - ", "+", ", ", ":", " x", " ext. ", "\u00a0", "٣"]
)


@given(st.lists(st.tuples(BETWEEN, DIGITS), min_size=1, max_size=8), st.data())
@settings(max_examples=1_000, deadline=None)
def test_the_phone_filter_only_errs_by_saying_yes(parts: list[tuple[str, str]], data: st.DataObject) -> None:
    import phonenumbers

    text = "".join(between + digits for between, digits in parts)
    if data.draw(st.booleans()):
        region = data.draw(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)))
        form = data.draw(st.sampled_from([0, 1, 2]))
        number = phonenumbers.format_number(phonenumbers.example_number(region), form)
        text = data.draw(st.sampled_from([number + text, text + " " + number, number]))
    for regions in map(CONFIGURATION.regions, CONFIGURATION.languages):
        filtered = phone_filter(regions).masked(text)
        for region in regions:
            found, quick = (
                [(m.start, m.end) for m in phonenumbers.PhoneNumberMatcher(each or "", region, leniency=1)]
                for each in (text, filtered)
            )
            assert quick == found


def test_no_valid_phone_number_is_shorter_than_the_prefilter() -> None:
    import phonenumbers
    from phonenumbers import PhoneMetadata

    codes = {
        PhoneMetadata.metadata_for_region(r).country_code
        for language in CONFIGURATION.languages
        for r in CONFIGURATION.regions(language)
    }
    for region in phonenumbers.SUPPORTED_REGIONS:
        metadata = PhoneMetadata.metadata_for_region(region)
        shortest = min(length for length in metadata.general_desc.possible_length if length > 0)
        assert len(str(metadata.country_code)) + shortest >= PHONE_DIGITS
        if metadata.country_code in codes:
            assert shortest >= PHONE_DIGITS


def test_an_error_names_the_document_and_quotes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("Did not find word 'jane@example.org'")

    monkeypatch.setattr(findings_module, "search", fail)
    with pytest.raises(PiiError, match=rf"s: document {0:032x}: ValueError") as raised:
        find_pii(documents("jane@example.org"), KEY)
    assert "jane" not in str(raised.value)
    assert raised.value.__suppress_context__


TABLE = "\n".join(
    " | ".join(str((row * 37 + column * 101) % 9973) for column in range(12)) for row in range(500)
)
HOSTILE = {
    "right to left": ("راسلني على {} شكرا جزيلا", "jane.doe@example.org"),
    "emoji beside an address": ("📧{}🙂", "jane.doe@example.org"),
    "emoji beside digits": ("☎️{}📞 🙂", "212-736-5000"),
    "control characters": ("\x00\x07{}\x00\ufffd", "jane.doe@example.org"),
    "a table of thousands of numbers": (TABLE + "\n{}\n" + TABLE, "jane.doe@example.org"),
    "combining marks": ("e\u0301crivez a\u0300 {} s\u2019il vous plai\u0302t", "jane.doe@example.org"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_value_among_hostile_characters_has_its_place(name: str) -> None:
    frame, value = HOSTILE[name]
    table = documents(frame.format(value))
    found = find_pii(table, KEY)
    text = table["text"][0].as_py()
    assert value in {text[start:end] for _, start, end in spans(found)}
    redacted = redact(table, found)
    assert value not in redacted["text"][0].as_py()
    assert residual(redacted, KEY).num_rows == 0


# disguises


DISGUISED = {
    "zero-width characters": ("jane\u200b.doe@exam\u200dple.co.uk", "EMAIL_ADDRESS"),
    "a word joiner in each gap": ("4\u20600\u20601\u20602888888881881", "CREDIT_CARD"),
    "full-width forms": ("ｊａｎｅ．ｄｏｅ＠ｅｘａｍｐｌｅ．ｃｏ．ｕｋ", "EMAIL_ADDRESS"),
    "Cyrillic look-alikes": ("j\u0430ne.d\u043ee@ex\u0430mple.co.uk", "EMAIL_ADDRESS"),
    "mathematical digits": ("(𝟐𝟏𝟐) 𝟕𝟑𝟔-𝟓𝟎𝟎𝟎", "PHONE_NUMBER"),
    "keycaps": ("2\ufe0f\u20e31\ufe0f\u20e32\ufe0f\u20e3 736 5000", "PHONE_NUMBER"),
    "directional marks": ("\u202b192.0.\u200e2.17\u202c", "IP_ADDRESS"),
}


@pytest.mark.parametrize("name", DISGUISED)
def test_a_disguised_value_is_found_where_it_stands_and_redacted(name: str) -> None:
    value, entity = DISGUISED[name]
    text = f"Please write it down now: {value} and thank you."
    table = documents(text)
    found = find_pii(table, KEY)
    row = next(row for row in found.to_pylist() if row["entity"] == entity)
    start, end = text.index(value), text.index(value) + len(value)
    assert start <= row["start"] < row["end"] <= end
    redacted = redact(table, found)
    assert residual(redacted, KEY).num_rows == 0
    assert f"<{entity}>" in redacted["text"][0].as_py()


def test_a_disguised_value_has_the_hash_of_the_plain_one() -> None:
    hidden, shown = (
        find_pii(documents(text), KEY)["value_hmac"].to_pylist()
        for text in ("jane.doe@exam\u200bple.co.uk", "jane.doe@example.co.uk")
    )
    assert set(shown) <= set(hidden)


def test_text_of_another_script_is_not_taken_for_a_disguise() -> None:
    for text in ("Пишите нам по адресу, указанному ниже.", "Γράψτε μας στη διεύθυνση.", "Café ﬁn № 5 ²"):
        assert plain(text) is None


@given(st.text(alphabet=st.sampled_from("ab1@.- \u200b\uff41\uff20\u0430é🙂한𝟏\ufe0f"), max_size=60))
@settings(max_examples=500, deadline=None)
def test_places_of_an_undisguised_text_are_those_it_was_read_from(text: str) -> None:
    found = plain(text)
    if found is None:
        return
    characters, places = found
    assert len(characters) == len(places)
    assert places == sorted(places) and all(0 <= place < len(text) for place in places)
    for character, place in zip(characters, places, strict=True):
        kept = text[place]
        assert character == kept or kept in LOOK_ALIKE or character in unicodedata.normalize("NFKC", kept)


# redaction


def test_redaction_puts_the_entity_in_place_of_the_value() -> None:
    table = documents("Mail jane@example.org or 192.0.2.17!", PLAIN)
    redacted = redact(table, find_pii(table, KEY))
    assert redacted.schema == REDACTED
    assert redacted["text"].to_pylist() == ["Mail <EMAIL_ADDRESS> or <IP_ADDRESS>!", PLAIN]
    assert redacted["n_findings"].to_pylist() == [2, 0]
    assert redacted["content_hash"] == table["content_hash"]


def finding(entity: str, start: int, end: int, score: float) -> dict:
    place = {"doc_id": f"{0:032x}", "entity": entity, "start": start, "end": end, "score": score}
    return place | {"value_hmac": "0" * 32}


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([finding("A", 0, 5, 0.4), finding("B", 3, 8, 0.9)], [Span(0, 8, "B")]),
        ([finding("B", 0, 5, 0.5), finding("A", 3, 9, 0.5)], [Span(0, 9, "A")]),
        ([finding("B", 0, 5, 0.5), finding("A", 3, 8, 0.5)], [Span(0, 8, "B")]),
        ([finding("B", 0, 5, 0.5), finding("A", 0, 5, 0.5)], [Span(0, 5, "A")]),
        ([finding("A", 0, 5, 0.5), finding("A", 5, 9, 0.5)], [Span(0, 5, "A"), Span(5, 9, "A")]),
        ([finding("A", 0, 9, 0.5), finding("B", 1, 2, 0.5), finding("C", 8, 12, 0.4)], [Span(0, 12, "A")]),
    ],
    ids=["score", "length", "start", "name", "adjacent", "chain"],
)
def test_overlaps(findings: list[dict], expected: list[Span]) -> None:
    assert resolve(findings) == resolve(findings[::-1]) == expected


def test_redaction_refuses_findings_of_another_text() -> None:
    table = documents("short")
    for wrong, message in [
        (finding("A", 2, 9, 0.5), "outside its text"),
        (finding("A", 2, 2, 0.5), "outside its text"),
        (finding("A", 0, 2, 0.5) | {"doc_id": "f" * 32}, "1 unknown documents"),
    ]:
        with pytest.raises(PiiError, match=message):
            redact(table, pa.Table.from_pylist([wrong]))


def test_nothing_is_left_after_redaction() -> None:
    texts = [
        *SAMPLES.values(),
        " ".join(SAMPLES.values()),
        "<EMAIL_ADDRESS> <US_SSN> 536904399 <PHONE_NUMBER>",
        # An object identifier: with the IP address gone, its rest passes for a phone number.
        "1.2.840.113556.1.4.1781, 1.3.6.1.4.1.4203.1.11.3}",
        "536-90-4399 412345678",
    ]
    table = documents(*texts)
    redacted = redact(table, find_pii(table, KEY))
    assert residual(redacted, KEY).num_rows == 0
    assert pc.sum(redacted["n_findings"]).as_py() > len(SAMPLES)


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("pii/presidio-generated-large.jsonl.gz", "full_text"),
        ("corpora/botocore-docs.jsonl.gz", "text"),
        ("sft/ko-alpaca-11k.jsonl.gz", "output"),
    ],
)
def test_nothing_is_left_in_real_text(name: str, field: str) -> None:
    table = documents(*corpus(name, field, 2_000))
    assert residual(redact(table, find_pii(table, KEY)), KEY).num_rows == 0


def test_residual_finds_what_redaction_missed() -> None:
    left = residual(documents("Mail <EMAIL_ADDRESS> or jane@example.org"), KEY)
    assert spans(left) == [("EMAIL_ADDRESS", 24, 40)]


# keys


def test_a_key_file_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "pii.key"
    key = load_key(path, environ={})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path, environ={}) == key == load_key(None, {VARIABLE: path.read_text()})
    assert [entry.name for entry in path.parent.iterdir()] == ["pii.key"]
    assert key.secret.decode() not in repr(key)
    assert len(key.id) == 8
    assert len(key.hmac("x")) == 32


def test_the_variable_wins(tmp_path: Path) -> None:
    key = load_key(tmp_path / "pii.key", {VARIABLE: "0123456789abcdef"})
    assert key == PiiKey(b"0123456789abcdef")
    assert not (tmp_path / "pii.key").exists()


def test_bad_keys_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=VARIABLE):
        load_key(None, {})
    with pytest.raises(ValueError, match="at least 16 bytes"):
        load_key(None, {VARIABLE: "short"})
    path = tmp_path / "pii.key"
    path.write_text("0123456789abcdef")
    path.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        load_key(path, {})


def test_casefold_and_composition_do_not_change_the_hash() -> None:
    assert KEY.hmac("Zoe\u0301@Straße.example") == KEY.hmac("zoé@STRASSE.example")


def test_turns_are_redacted_as_their_rendering_is() -> None:
    turns = [
        {"role": "user", "content": "  Write to ada@example.com, or to bob@example.org "},
        {"role": "assistant", "content": "Nothing to see."},
        {"role": "user", "content": "Then call +1 212 555 0147, or mail ada@example.com"},
    ]
    table = documents(render(turns))
    table = table.set_column(
        table.schema.get_field_index("messages"), "messages", pa.array([turns], MESSAGES)
    )
    (redacted,) = redact(table, find_pii(table, KEY)).to_pylist()
    assert render(redacted["messages"]) == redacted["text"]
    assert [turn["role"] for turn in redacted["messages"]] == ["user", "assistant", "user"]
    assert redacted["messages"][0]["content"] == "Write to <EMAIL_ADDRESS>, or to <EMAIL_ADDRESS>"
    assert "555" not in str(redacted["messages"])


# the page


def test_the_page_is_current() -> None:
    from docs.privacy import MEANING, PAGE, load_measured, page

    assert MEANING.keys() == set(ENTITIES)
    assert PAGE.read_text(encoding="utf-8") == page(load_measured()), "run docs/privacy.py"
