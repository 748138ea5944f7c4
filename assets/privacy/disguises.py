"""Values written so that patterns pass over them, as they read to a person: hidden characters between the
visible ones, full-width and mathematical forms, Cyrillic and Greek letters that look Latin.

Only what is disguised is rewritten; of each character of the result it is known where it stood.
"""

from __future__ import annotations

import re
import unicodedata

# Characters that show nothing: soft hyphen, zero-width and directional marks, variation selectors, keycaps.
HIDDEN = (
    "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff\u20e3"
)
# Forms that stand for a plain character: full-width, and mathematical letters and digits.
FORMS = "\uff01-\uff5e\U0001d400-\U0001d7ff"

# Letters of other scripts by the Latin ones that they look like.
LOOK_ALIKE = {
    **dict(zip("авеікмноорсутхѕјԁһԛԝүғ", "abeikmhoopcytxsjdhqwyf", strict=True)),
    **dict(zip("АВЕІКМНОРСТУХЅЈ", "ABEIKMHOPCTYXSJ", strict=True)),
    **dict(zip("αονρτυικχ", "aovptuikx", strict=True)),
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX", strict=True)),
}

_HIDDEN, _FORM = re.compile(f"[{HIDDEN}]"), re.compile(f"[{FORMS}]")
# A word that has both: a whole word of another script is that script's.
_ALIKE = "".join(LOOK_ALIKE)
_MIXED = re.compile(rf"\S*(?:[A-Za-z@]\S*[{_ALIKE}]|[{_ALIKE}]\S*[A-Za-z@])\S*")

CANDIDATE = rf"[{HIDDEN}{FORMS}]|@[^\s]*[{_ALIKE}]|[{_ALIKE}][^\s]*@"
"""The RE2 pattern that every text matches in which something may be disguised."""


def plain(text: str) -> tuple[str, list[int]] | None:
    """The text undisguised, and where each of its characters stood; None where nothing is disguised."""
    read = {found.start(): "" for found in _HIDDEN.finditer(text)}
    read |= {found.start(): unicodedata.normalize("NFKC", found[0]) for found in _FORM.finditer(text)}
    for word in _MIXED.finditer(text) if "@" in text else ():
        if "@" in word[0]:
            read |= {
                at: LOOK_ALIKE[text[at]] for at in range(word.start(), word.end()) if text[at] in LOOK_ALIKE
            }
    if not read:
        return None
    pieces: list[str] = []
    places: list[int] = []
    start = 0
    for at in sorted(read):
        pieces += [text[start:at], read[at]]
        places += [*range(start, at), *[at] * len(read[at])]
        start = at + 1
    places += range(start, len(text))
    return "".join([*pieces, text[start:]]), places
