"""Language hints as sources write them, brought to one form."""

from __future__ import annotations

import re
from functools import cache


@cache
def primary_subtag(tag: str) -> str | None:
    """The BCP 47 primary subtag of a language tag (`en-US` and `eng` are `en`), or None if it isn't one."""
    match = re.fullmatch(r"([A-Za-z]{2,3})(?:[-_][A-Za-z0-9_-]*)?", tag.strip())
    if match is None:
        return None
    code = match[1].lower()
    if len(code) == 2:
        return code
    from babel.core import get_global

    # CLDR lists the three-letter codes for which BCP 47 wants two letters.
    shortest = str(get_global("language_aliases").get(code, code))
    return shortest.split("_")[0]
