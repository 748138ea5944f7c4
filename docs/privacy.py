"""Writes `docs/privacy.md` from the recognisers and `docs/measured/privacy.json`: `.venv/bin/python docs/privacy.py`.

What a figure says is measured by `benchmarks/privacy.py`. The recall is written as a seed of dbt as well: the mart
`filtered/pii_risk` estimates by it what was missed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from assets import settings
from assets.intervals import Interval, wilson
from assets.privacy.actions import ACTIONS
from assets.privacy.credentials import DETECTORS
from assets.privacy.findings import PiiPolicy
from assets.privacy.names import NAMES
from assets.privacy.recognizers import CONFIGURATION, ENTITIES, RECOGNIZERS

PAGE = settings.PROJECT / "docs" / "privacy.md"
SEED = settings.PROJECT / "dbt_project" / "seeds" / "labelled_recall.csv"
MEASURED = settings.PROJECT / "docs" / "measured" / "privacy.json"

ANCHOR = "#names-of-persons-and-places"

# What each entity is, for people.
MEANING: Mapping[str, str] = {
    "EMAIL_ADDRESS": "e-mail addresses with a public suffix that there is",
    "PHONE_NUMBER": f"valid telephone numbers: national ones of {', '.join(CONFIGURATION.regions('en'))}, "
    "in Korean text of KR too; with `+`, of every country",
    "CREDIT_CARD": "card numbers whose check digit holds",
    "IBAN_CODE": "bank accounts whose check digits hold",
    "IP_ADDRESS": "IPv4 and IPv6 addresses",
    "MAC_ADDRESS": "hardware addresses",
    "US_SSN": "social security numbers of the United States",
    "CRYPTO": "Bitcoin addresses whose checksum holds",
    "KR_RRN": "Korean resident registration numbers",
    "KR_FRN": "Korean foreigner registration numbers",
    "KR_BRN": "Korean business registration numbers, as they are written, whose check digit holds",
    "KR_PASSPORT": "Korean passport numbers, where the words before them say so",
    "KR_DRIVER_LICENSE": "Korean driving licence numbers, as they are written",
    "API_KEY": "API keys and access tokens of known makers, JSON web tokens",
    "PRIVATE_KEY": "private keys, from their first line to their last",
    "PERSON": "names of persons",
    "LOCATION": "names of places, buildings and countries",
}
TIERS: Mapping[str, str] = {
    "off": "nowhere",
    "gated": "sentences with a capitalised word that is not their first, a title, or words that come before a name",
    "full": "all English text",
}
KINDS = {"short records": "short records", "pages": "pages of a few kB"}


def load_measured(path: Path = MEASURED) -> dict:
    """The measured file."""
    return json.loads(path.read_text(encoding="utf-8"))


def page(measured: dict) -> str:
    """The whole page as Markdown."""
    return "\n".join(_page(measured)) + "\n"


def seed(measured: dict) -> str:
    """The recall of each labelled entity as the seed `labelled_recall`."""
    rows = [
        f"{entity},{counts['labelled']},{counts['found']}"
        for entity, counts in sorted(measured["quality"].items())
        if counts["labelled"]
    ]
    return "\n".join(["entity,labelled,found", *rows]) + "\n"


def _page(measured: dict) -> Iterator[str]:
    quality, speed, same = measured["quality"], measured["speed"], measured["same"]
    yield "# Personal data"
    yield ""
    yield (
        "Written by `docs/privacy.py` from the recognisers and from what `benchmarks/privacy.py` measured "
        "([privacy.json](measured/privacy.json)). Every share has its n and 95 % interval."
    )
    yield ""
    yield "## What is found"
    yield ""
    yield (
        f"A finding is a span of text that one of Presidio's recognisers gives a score of "
        f"{PiiPolicy().score_threshold} or more, or that a detector of detect-secrets fires on. In the lake it "
        "is kept as entity, place, score, recogniser and a keyed hash of the value, never the value; its key can "
        "be [rotated](operations.md#the-key-of-personal-values). "
        "Recall and precision are on labelled records of English prose with invented values; "
        "“not labelled” means that those records have no such value."
    )
    yield ""
    yield "| entity | what | texts | found, of those labelled | right, of the findings |"
    yield "|---|---|---|---|---|"
    korean = {each.entity for each in RECOGNIZERS if each.languages == ("ko",)}
    for entity in ENTITIES:
        if entity in NAMES:
            below = f"[below]({ANCHOR})"
            yield f"| `{entity}` | {MEANING[entity]} | English, if asked for | {below} | {below} |"
            continue
        languages = "Korean" if entity in korean else "all"
        counts = quality.get(entity)
        shares = "not labelled | not labelled"
        if counts and counts["labelled"]:
            found = wilson(counts["found"], counts["labelled"])
            right = wilson(counts["right"], counts["findings"])
            shares = f"{found.percent()} | {right.percent()}"
        yield f"| `{entity}` | {MEANING[entity]} | {languages} | {shares} |"
    yield ""
    yield (
        "Telephone numbers that are missed are mostly national ones of countries that are not listed, written "
        "without their country code, and invented ones that are valid nowhere."
    )
    yield ""
    detectors = ", ".join(f"`{each.name}`" for each in DETECTORS)
    credentials = wilson(measured["credentials"]["with"], measured["credentials"]["texts"])
    yield (
        "Credentials are found by those detectors that tell one by its form alone, in texts of any length and "
        f"whole, also where the detector's own match ends before the token does: {detectors}. Detectors that go by "
        "a variable's name or by how random a string looks fire on prose and code and are not in use; nor is "
        "the one of passwords in URLs, which in documentation are examples. Of the documents of all corpora "
        f"measured on {credentials.percent(3)} hold one, and those are published examples."
    )
    yield ""
    yield from _names(measured["names"])
    yield "## What is done with it"
    yield ""
    yield (
        "A line of `assets/privacy/actions.csv`, or of the file that `WINNOW_REDACTION` names, says what is done "
        "with an entity's values in the documents of a profile or a source; `*` stands for all. A line that "
        "names the source goes before one that names the profile, and that before one that names the entity "
        "alone. Where two findings overlap, the one of the higher score decides for both. Kept values are not "
        "looked for once more when the redacted text is checked; all others are, and one that is found blocks; "
        "names are not part of that."
    )
    yield ""
    yield "| action | what stands in the value's place |"
    yield "|---|---|"
    for action, meaning in ACTIONS.items():
        yield f"| `{action}` | {meaning} |"
    yield ""
    yield "## What is not found"
    yield ""
    missing = {
        entity: counts["labelled"]
        for entity, counts in quality.items()
        if entity not in ENTITIES and counts["labelled"]
    }
    listed = ", ".join(
        f"{entity.lower().replace('_', ' ')} ({count:,})"
        for entity, count in sorted(missing.items(), key=lambda item: (-item[1], item[0]))
    )
    yield (
        f"Whatever has no form of its own. In the same records these are labelled and not looked for: {listed}. "
        "A value that is spelled out or split over lines stays. Between hidden characters, in full-width or "
        "mathematical forms and, in addresses, in look-alike letters it is found."
    )
    yield ""
    yield "## How much of it is missed"
    yield ""
    yield (
        "The mart `filtered/pii_risk` estimates it for each source and entity that was found: where `affected` "
        "documents hold one and a share `recall` of such values is found, `affected * (1 - recall) / recall` more "
        "are expected to hold one that was missed. The recall is that of the drill, whose planted values are "
        "counted in each run, or of the labelled records above, whichever is lower; the line names which, with n "
        "and interval. The estimate takes that sample for like the text, and both are invented: the drill mangles "
        "one value in four on purpose. Kinds that no sample has, or of which none found any, are not measured. The "
        "verdict asks the same of the selection: the gates `pii_missed` and `pii_measured`."
    )
    yield ""
    yield "## The same as Presidio, faster"
    yield ""
    texts = sum(each["texts"] for each in same.values())
    different = sum(each["different"] for each in same.values())
    yield (
        f"On {texts:,} documents of {len(same)} sets the findings (entity, start, end, score, recogniser) were "
        "held against those of Presidio's analyzer with the same recognisers, which reads each whole text. They "
        f"differ on {different} of them: {wilson(different, texts).percent()}. Both search again once what was "
        "found is blotted out, since a value can hide its neighbour."
    )
    yield ""
    yield "| texts | kind | that hold something | ratio per CPU second (each turn) | MB per CPU s | Presidio |"
    yield "|---|---|---|---|---|---|"
    for name, each in speed.items():
        turns = " ".join(f"{ratio:.0f}" for ratio in each["ratios"])
        yield (
            f"| {name} | {KINDS[each['kind']]} | {wilson(each['with_findings'], each['texts']).percent()} "
            f"| {each['ratio']:.0f} ({turns}) | {each['megabytes_per_cpu_second']:.1f} "
            f"| {each['presidio_megabytes_per_cpu_second']:.2f} |"
        )
    yield ""
    yield (
        "A pattern that only errs by saying yes leaves out the texts that can hold nothing, before any of them "
        "leaves Arrow. Of the others, telephone numbers are looked for only where some digits fit a country's "
        "numbers, and words of context are read only where one stands before a match. What is left is Presidio's "
        "own time on texts that hold values: the more of them do, the smaller the ratio."
    )
    yield ""
    yield "## Adding a recogniser"
    yield ""
    yield (
        "A country is a line of `assets/privacy/recognizers.yaml`, or of the file that `WINNOW_RECOGNIZERS` names: "
        "the entity, one of [Presidio's recognisers](https://microsoft.github.io/presidio/supported_entities/) for "
        "it, and the languages of the texts that it is for. `phone_regions` there says whose national telephone "
        "numbers are known. Text is searched by its language's lines and those of all languages; in a language "
        "that no line names, as English text is. With a changed line, the next run examines every document anew."
    )
    yield ""
    yield "```yaml"
    yield "phone_regions: {all: [US, GB, IN], ko: [KR], es: [ES]}"
    yield "recognizers:"
    yield "  - {entity: ES_NIF, recognizer: EsNifRecognizer, languages: [es]}"
    yield "  - {entity: EMAIL_ADDRESS, recognizer: EmailRecognizer, candidate: '@[^\\s@]+\\.'}"
    yield "```"
    yield ""
    yield (
        "A detector of credentials is a row of `DETECTORS` in `assets/privacy/credentials.py`. An entity of this "
        "project's own also has a surrogate in `assets/privacy/actions.py`, its meaning in `docs/privacy.py` and a "
        "sample in `tests/test_privacy.py`."
    )


def _names(names: dict) -> Iterator[str]:
    tiers = names["tiers"]
    off, gated, full = (tiers[tier] for tier in TIERS)
    yield "## Names of persons and places"
    yield ""
    yield (
        "They have no form of their own, so a model tells them by what stands around: spaCy's "
        f"`en_core_web_sm` ({names['version'].removeprefix('full-')}, MIT), asked as Presidio's "
        "`SpacyRecognizer` asks it, with its score of 0.85. It reads English only: text with another language "
        "for its hint, or with Hangul in it, is not searched for names. The tier says where it is asked; "
        "`WINNOW_NER` sets it, and `winnow pii --ner`. The model comes with the extra `ner` "
        "([how](operations.md#names-of-persons-and-places)); nothing is "
        "downloaded at run time."
    )
    yield ""
    yield "| tier | searched | short records, MB per CPU s | pages, MB per CPU s |"
    yield "|---|---|---|---|"
    for tier, where in TIERS.items():
        rates = " | ".join(f"{tiers[tier]['speed'][kind]:.2f}" for kind in KINDS)
        yield f"| `{tier}` | {where} | {rates} |"
    yield ""
    yield "Speed is that of everything together, patterns included. On the labelled records:"
    yield ""
    yield "| entity | tier | found, of those labelled | right, of the findings | F1, 95 % bootstrap over records |"
    yield "|---|---|---|---|---|"
    for entity in NAMES:
        for tier in ("gated", "full"):
            counts = tiers[tier]["quality"][entity]
            found, right = (
                wilson(counts["found"], counts["labelled"]),
                wilson(counts["right"], counts["findings"]),
            )
            score = Interval(**counts["f1"])
            yield f"| `{entity}` | `{tier}` | {found.percent()} | {right.percent()} | {score.number()} |"
    yield ""
    yield "A place inside a labelled address counts as wrong there, for the label says address."
    yield ""
    yield "| documents that gain a finding | `gated` | `full` |"
    yield "|---|---|---|"
    for name in full["gain"]:
        shares = " | ".join(
            wilson(each["gain"][name]["with"], each["gain"][name]["texts"]).percent()
            for each in (gated, full)
        )
        yield f"| {name} | {shares} |"
    yield ""
    documentation = full["gain"]["API documentation"]
    person, place = (full["quality"][entity] for entity in NAMES)
    slower = [off["speed"][kind] / full["speed"][kind] for kind in KINDS]
    yield (
        "Documentation of an interface names hardly anybody: what it gains are product and class names. "
        "In encyclopedia passages the findings are mostly names, of people and places that are public."
    )
    yield ""
    yield (
        f"The default is `off`. `full` takes {min(slower):.0f} to {max(slower):.0f} times as long as the "
        f"patterns, misses {_share(person['labelled'] - person['found'], person['labelled'])} of the persons and "
        f"{_share(place['labelled'] - place['found'], place['labelled'])} of the places, and in "
        f"{_share(documentation['with'], documentation['texts'])} of plain documentation takes something "
        "else for a name. Where texts are private letters or records that is worth it; on the web and on code it is "
        "not. `gated` costs less by what it leaves out, and loses the names that open a sentence or are "
        "written small."
    )
    yield ""
    still = [wilson(each["left"]["still"], each["left"]["documents"]).percent() for each in (gated, full)]
    yield (
        "A model goes by what stands around, so in a changed text it may find one more name. That is not "
        "promised away: of the labelled records in which a name was redacted, a second search finds one in "
        f"{still[0]} (`gated`) and {still[1]} (`full`). What the patterns find is searched for once more "
        "without the names, and of that redaction leaves nothing."
    )
    yield ""


def _share(some: int, n: int) -> str:
    return f"{100 * some / n:.0f} %"


if __name__ == "__main__":
    PAGE.write_text(page(load_measured()), encoding="utf-8")
    SEED.write_text(seed(load_measured()), encoding="utf-8")
    print(f"{PAGE.relative_to(settings.PROJECT)}: {len(ENTITIES)} entities")
