"""Whether a text can hold a valid phone number at all: cheap, and only ever wrong by saying yes.

libphonenumber tries to read every run of digits as a number of every region, which takes most of the time of
looking for personal data: dates and versions are runs of digits. Here a run is held against the regions' own
patterns first. What it finds possible, libphonenumber decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, cached_property

# What libphonenumber lets stand between two digits of a number, at most four of these.
GAP = (
    "[-x\u2010-\u2015\u2212\u30fc\uff0d-\uff0f \u00a0\u00ad\u200b\u2060\u3000()"
    "\uff08\uff09\uff3b\uff3d.\\[\\]/~\u2053\u223c\uff5eX]{0,4}"
)
LEAD = "(?:[(\\[\uff08\uff3b+\uff0b]" + GAP + "){0,2}"
RUN = re.compile(f"{LEAD}\\d(?:{GAP}\\d){{4,}}")
GROUP = re.compile(r"\d+")
PLUS = re.compile("[+\uff0b]")

# With its country code, the longest number has 17 digits and 3; one block may hold them all.
LONGEST_BLOCK, MOST_DIGITS = 15, 20
FEWEST_AFTER_PLUS = 6


class PhoneFilter:
    """The patterns of some regions' numbers, and of the regions that share their country codes."""

    def __init__(self, regions: Iterable[str]) -> None:
        self._regions = tuple(regions)

    @cached_property
    def _plans(self) -> list[tuple[str, re.Pattern[str] | None, re.Pattern[str], re.Pattern[str]]]:
        """Of each region: country code, what may precede a number within it, what leads out of it, and every
        kind of number."""
        from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

        plans = []
        for name in self._regions:
            region = PhoneMetadata.metadata_for_region(name)
            kinds = {
                kind.national_number_pattern
                for shared in COUNTRY_CODE_TO_REGION_CODE[region.country_code]
                for kind in _kinds(PhoneMetadata.metadata_for_region(shared))
                if kind is not None and kind.national_number_pattern
            }
            prefix = region.national_prefix_for_parsing
            plans.append(
                (
                    str(region.country_code),
                    re.compile(prefix) if prefix else None,
                    re.compile(region.international_prefix or "(?!)"),
                    re.compile("|".join(f"(?:{kind})" for kind in sorted(kinds))),
                )
            )
        return plans

    def possible(self, text: str) -> bool:
        """Whether some digits of a text could be a valid number; no only where none is."""
        return any(self._possible(run[0]) for run in RUN.finditer(text))

    def _possible(self, run: str) -> bool:
        groups = [(match[0], match.start()) for match in GROUP.finditer(run)]
        if PLUS.search(run) and sum(len(group) for group, _ in groups) >= FEWEST_AFTER_PLUS:
            return True
        if any(len(group) > LONGEST_BLOCK for group, _ in groups):
            return True
        texts = [_ascii(group) for group, _ in groups]
        return any(self._valid(digits) for digits in _neighbours(texts))

    def _valid(self, digits: str) -> bool:
        for code, prefix, international, kinds in self._plans:
            if international.match(digits):
                return True
            readings = {digits}
            if digits.startswith(code):
                readings.add(digits[len(code) :])
            if prefix is not None:
                for reading in tuple(readings):
                    match = prefix.match(reading)
                    if match is not None:
                        readings.add(reading[match.end() :])
                        # Some prefixes are rewritten instead of cut: what is captured may stay.
                        readings.update(group + reading[match.end() :] for group in match.groups() if group)
            if any(kinds.fullmatch(reading) for reading in readings):
                return True
        return False


@cache
def phone_filter(regions: tuple[str, ...]) -> PhoneFilter:
    """The filter of some regions; one a process."""
    return PhoneFilter(regions)


def _kinds(region: object) -> Iterator[object]:
    names = "fixed_line mobile toll_free premium_rate shared_cost personal_number voip pager uan voicemail"
    for name in names.split():
        yield getattr(region, name)


def _ascii(digits: str) -> str:
    return digits if digits.isascii() else "".join(str(int(digit)) for digit in digits)


def _neighbours(groups: list[str]) -> Iterator[str]:
    """Every few groups that stand side by side, as one string of digits."""
    for first in range(len(groups)):
        digits = ""
        for group in groups[first:]:
            digits += group
            if len(digits) > MOST_DIGITS:
                break
            yield digits
