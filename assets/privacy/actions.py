"""What is done with each kind of personal value, by entity, profile and source: the lines of `actions.csv`.

The most telling line holds: one that names the source before one that names the profile, and that before one
that names the entity alone.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from assets.privacy.recognizers import ENTITIES

ACTIONS_FILE = Path(__file__).with_name("actions.csv")
ANY = "*"

ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "placeholder": "`<ENTITY>`",
        "hash": "`<ENTITY:…>` with twelve hex digits of the keyed hash: equal values stay equal",
        "surrogate": "an invented value of the same kind, the same for equal values; one that is valid nowhere",
        "mask": "an asterisk for each letter and digit",
        "drop": "`<ENTITY>`, and a rule removes the document",
        "keep": "the value stays as it is",
    }
)


class ActionError(ValueError):
    """A line of the file that can't be read; names file and line."""


@dataclass(frozen=True)
class Action:
    """One line: what is done with an entity's values in the documents that it is for; `*` stands for all."""

    entity: str
    profile: str
    source: str
    action: str
    rationale: str = ""

    @property
    def weight(self) -> tuple[bool, bool, bool]:
        """How much it says: the line that says most holds."""
        return self.source != ANY, self.profile != ANY, self.entity != ANY


def load_actions(path: Path = ACTIONS_FILE) -> tuple[Action, ...]:
    """The lines of a file.

    Raises:
        ActionError: An entity or an action that there is not, or two lines for the same documents.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        found: dict[tuple[str, str, str], Action] = {}
        for row in reader:
            where = f"{path.name}, line {reader.line_num}"
            try:
                action = Action(row["entity"], row["profile"], row["source"], row["action"], row["rationale"])
            except KeyError as error:
                raise ActionError(f"{where}: no column {error}") from error
            for named, known in ((action.entity, (ANY, *ENTITIES)), (action.action, tuple(ACTIONS))):
                if named not in known:
                    raise ActionError(f"{where}: {named!r} is none of {', '.join(known)}")
            place = (action.entity, action.profile, action.source)
            if place in found:
                raise ActionError(f"{where}: {' '.join(place)} has a line already")
            found[place] = action
    return tuple(found.values())


def actions_for(actions: Iterable[Action], profile: str, source: str) -> dict[str, str]:
    """What is done with each entity in the documents of a source; a placeholder where no line says."""
    held = sorted(
        (each for each in actions if each.profile in (ANY, profile) and each.source in (ANY, source)),
        key=lambda each: each.weight,
    )
    done = dict.fromkeys(ENTITIES, "placeholder")
    for each in held:
        done.update(dict.fromkeys(ENTITIES if each.entity == ANY else [each.entity], each.action))
    return done


def replacement(entity: str, value: str, seed: str, action: str) -> str:
    """What stands in a value's place; `seed` is its keyed hash, in hex."""
    if action == "hash":
        return f"<{entity}:{seed[:12]}>"
    if action == "mask":
        return re.sub(r"\w", "*", value)
    if action == "surrogate":
        return SURROGATES.get(entity, OTHER_SURROGATE).format(
            name=seed[:10], digits=f"{int(seed, 16) % 10_000:04}"
        )
    return f"<{entity}>"


# Of an entity that is not among these.
OTHER_SURROGATE = "value-{name}"

# Values that are told from real ones at sight, and that no recogniser takes for one: an address under a
# domain kept for that, a country code that there is not, a number of zeros.
SURROGATES: Mapping[str, str] = MappingProxyType(
    {
        "EMAIL_ADDRESS": "person-{name}@redacted.invalid",
        "PHONE_NUMBER": "+999 000 {digits}",
        "CREDIT_CARD": "0000 0000 0000 {digits}",
        "IBAN_CODE": "XX00 0000 0000 {digits}",
        "IP_ADDRESS": "host-{name}",
        "MAC_ADDRESS": "adapter-{name}",
        "US_SSN": "000-00-{digits}",
        "CRYPTO": "wallet-{name}",
        "KR_RRN": "000000-000{digits}",
        "KR_FRN": "000000-500{digits}",
        "KR_BRN": "000-00-0{digits}",
        "KR_PASSPORT": "passport-{name}",
        "KR_DRIVER_LICENSE": "00-00-00{digits}-00",
        "API_KEY": "api-key-{name}",
        "PRIVATE_KEY": "private-key-{name}",
        "PERSON": "person-{name}",
        "LOCATION": "place-{name}",
    }
)
