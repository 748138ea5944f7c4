"""Writes `docs/privacy.md` from the recognisers and `docs/measured/privacy.json`: `.venv/bin/python docs/privacy.py`.

What a figure says is measured by `benchmarks/privacy.py`. The recall is written as a seed of dbt as well: the mart
`filtered/pii_risk` estimates by it what was missed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from assets import settings
from assets.intervals import wilson
from assets.privacy.actions import ACTIONS
from assets.privacy.findings import PiiPolicy
from assets.privacy.recognizers import PHONE_REGIONS, RECOGNIZERS

PAGE = settings.PROJECT / "docs" / "privacy.md"
SEED = settings.PROJECT / "dbt_project" / "seeds" / "labelled_recall.csv"
MEASURED = settings.PROJECT / "docs" / "measured" / "privacy.json"

# What each entity is, for people.
MEANING: Mapping[str, str] = {
    "EMAIL_ADDRESS": "e-mail addresses with a public suffix that there is",
    "PHONE_NUMBER": f"valid telephone numbers: national ones of {', '.join(PHONE_REGIONS['en'])}, in Korean text "
    "of KR too; with `+`, of every country",
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
        f"{PiiPolicy().score_threshold} or more. In the lake it is kept as entity, place, score, recogniser and "
        "a keyed hash of the value, never the value; its key can be "
        "[rotated](operations.md#the-key-of-personal-values). "
        "Recall and precision are on labelled records of English prose with invented values; "
        "“not labelled” means that those records have no such value."
    )
    yield ""
    yield "| entity | what | texts | found, of those labelled | right, of the findings |"
    yield "|---|---|---|---|---|"
    for recognizer in RECOGNIZERS:
        languages = "all" if len(recognizer.languages) > 1 else "Korean"
        counts = quality.get(recognizer.entity)
        shares = "not labelled | not labelled"
        if counts and counts["labelled"]:
            found = wilson(counts["found"], counts["labelled"])
            right = wilson(counts["right"], counts["findings"])
            shares = f"{found.percent()} | {right.percent()}"
        yield f"| `{recognizer.entity}` | {MEANING[recognizer.entity]} | {languages} | {shares} |"
    yield ""
    yield (
        "Telephone numbers that are missed are mostly national ones of countries that are not listed, written "
        "without their country code, and invented ones that are valid nowhere."
    )
    yield ""
    yield "## What is done with it"
    yield ""
    yield (
        "A line of `assets/privacy/actions.csv`, or of the file that `WINNOW_REDACTION` names, says what is done "
        "with an entity's values in the documents of a profile or a source; `*` stands for all. A line that "
        "names the source goes before one that names the profile, and that before one that names the entity "
        "alone. Where two findings overlap, the one of the higher score decides for both. Kept values are not "
        "looked for once more when the redacted text is checked; all others are, and one that is found blocks."
    )
    yield ""
    yield "| action | what stands in the value's place |"
    yield "|---|---|"
    for action, meaning in ACTIONS.items():
        yield f"| `{action}` | {meaning} |"
    yield ""
    yield "## What is not found"
    yield ""
    known = {recognizer.entity for recognizer in RECOGNIZERS}
    missing = {
        entity: counts["labelled"]
        for entity, counts in quality.items()
        if entity not in known and counts["labelled"]
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
    yield "| texts | ratio per CPU second | MB per CPU s | Presidio |"
    yield "|---|---|---|---|"
    for kind, named in KINDS.items():
        each = speed[kind]
        turns = " ".join(f"{ratio:.0f}" for ratio in each["ratios"])
        yield (
            f"| {named} | {each['ratio']:.0f} ({turns}) | {each['megabytes_per_cpu_second']:.1f} "
            f"| {each['presidio_megabytes_per_cpu_second']:.2f} |"
        )
    yield ""
    yield (
        "A pattern that only errs by saying yes leaves out the texts that can hold nothing. Of the others, "
        "telephone numbers are looked for only where some digits fit a country's numbers, and words of "
        "context are read only where one stands before a match. What is left is Presidio's own time on texts "
        "that do hold values, which in records of personal data are many."
    )
    yield ""
    yield "## Adding a recogniser"
    yield ""
    yield (
        "One row of `RECOGNIZERS` in `assets/privacy/recognizers.py`: the entity, the name of Presidio's "
        "recogniser, a pattern that every text matches in which it can find something, and the languages it "
        "is for. A country's telephone numbers are a region in `PHONE_REGIONS`. A sample in "
        "`tests/test_privacy.py` shows that it finds what it should; what `ANYTHING` leaves out is tested "
        "against every pattern."
    )


if __name__ == "__main__":
    PAGE.write_text(page(load_measured()), encoding="utf-8")
    SEED.write_text(seed(load_measured()), encoding="utf-8")
    print(f"{PAGE.relative_to(settings.PROJECT)}: {len(RECOGNIZERS)} recognisers")
