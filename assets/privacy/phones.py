"""Where a text can hold a valid phone number at all: cheap, and only ever wrong by saying too much.

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
RUN = re.compile(f"\\d(?:{GAP}\\d){{4,}}")
GROUP = re.compile(r"\d+")
# What may lead from a number to its extension, in any of libphonenumber's languages.
EXTENSION = re.compile("[x\uff58#\uff03~\uff5e;]|int|доб", re.IGNORECASE)
FARTHEST_EXTENSION = 60
DIGIT, MASK = re.compile(r"\d"), ";"
# A plus may stand before the first digit with two brackets or marks and gaps between.
PLUS, BEFORE = re.compile("[+\uff0b]"), 12

MOST_GAP = 4
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

    def masked(self, text: str) -> str | None:
        """The text, as long as it was, with digits in possible numbers only; None where there are none.

        In it libphonenumber finds what it finds in the text: it reads no further than a run of digits and an
        extension, and the mark that stands for other digits says nothing about the run beside it.
        """
        runs = [run for run in RUN.finditer(text) if self._possible(run)]
        if not runs:
            return None
        pieces, at = [], 0
        for start, end in _reaches(text, [run.span() for run in runs]):
            pieces += [DIGIT.sub(MASK, text[at:start]), text[start:end]]
            at = end
        return "".join([*pieces, DIGIT.sub(MASK, text[at:])])

    def _possible(self, run: re.Match[str]) -> bool:
        groups = GROUP.findall(run[0])
        lead = run.string[max(0, run.start() - BEFORE) : run.start()]
        if PLUS.search(lead) and sum(map(len, groups)) >= FEWEST_AFTER_PLUS:
            return True
        if max(map(len, groups)) > LONGEST_BLOCK:
            return True
        return any(self._valid(digits) for digits in _neighbours([_ascii(group) for group in groups]))

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


def _reaches(text: str, runs: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Each run with the digits that can be read together with it: linked by gaps, or as an extension."""
    start = end = -1
    wanted = iter([*runs, (len(text) + 1, 0)])
    run = next(wanted)
    kept = False
    for group in GROUP.finditer(text):
        between = text[end : group.start()]
        linked = start >= 0 and (
            len(between) <= MOST_GAP
            or (len(between) <= FARTHEST_EXTENSION and EXTENSION.search(between) is not None)
        )
        if not linked:
            if kept:
                yield start, end
            start, kept = group.start(), False
        end = group.end()
        while run[0] < end:
            kept, run = True, next(wanted)
    if kept:
        yield start, end


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
