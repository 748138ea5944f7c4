"""A package's licence as an SPDX expression, from what its distribution declares; else NOASSERTION."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message

    from license_expression import Licensing

NOASSERTION = "NOASSERTION"

# Names that packages write in the free-text License field, folded by `_fold`. A name that leaves the
# version or the number of clauses open ("BSD", "GPL", "Dual License") is not here: the text decides.
NAMES = {
    "apache 2": "Apache-2.0",
    "apache 2 0": "Apache-2.0",
    "apache license 2 0": "Apache-2.0",
    "apache license version 2 0": "Apache-2.0",
    "apache software license 2 0": "Apache-2.0",
    "asl 2": "Apache-2.0",
    "2 clause bsd license": "BSD-2-Clause",
    "bsd 2 clause license": "BSD-2-Clause",
    "simplified bsd": "BSD-2-Clause",
    "the bsd 2 clause license": "BSD-2-Clause",
    "3 clause bsd license": "BSD-3-Clause",
    "bsd 3 clause license": "BSD-3-Clause",
    "modified bsd": "BSD-3-Clause",
    "modified bsd license": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "new bsd license": "BSD-3-Clause",
    "isc license": "ISC",
    "isc license iscl": "ISC",
    "mit license": "MIT",
    "the mit license": "MIT",
    "mit license mit": "MIT",
    "mozilla public license 2 0": "MPL-2.0",
    "mozilla public license 2 0 mpl 2 0": "MPL-2.0",
    "mpl 2 0": "MPL-2.0",
    "psf 2 0": "PSF-2.0",
    "psfl": "PSF-2.0",
    "the unlicense": "Unlicense",
    "unlicense": "Unlicense",
    "zlib": "Zlib",
}

# Classifiers that name one licence. PEP 639 lists the ambiguous ones; they are left out on purpose.
CLASSIFIERS = {
    "BSD Zero Clause License": "0BSD",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
}

# A sentence that only this licence's text contains, in the order in which texts are searched.
SENTENCES = (
    ("Apache-2.0", "apache license version 2 0 january 2004"),
    ("MPL-2.0", "mozilla public license version 2 0"),
    ("MIT", "permission is hereby granted free of charge to any person obtaining a copy"),
    (
        "ISC",
        "permission to use copy modify and or distribute this software for any purpose with or without fee",
    ),
    ("PSF-2.0", "this license agreement is between the python software foundation"),
    ("BSD", "redistributions of source code must retain"),
)

# Characters of a folded licence text within which its own licence is named: past them come bundled parts.
OPENING = 2000


def spdx(metadata: Message, texts: Iterable[str] = ()) -> str:
    """A distribution's licence as a normalised SPDX expression.

    The clearest statement decides: the License-Expression field, then a License field that is an
    expression or a known name, then a classifier where only one is given, then the licence's own text.
    Where none is clear the answer is NOASSERTION, never a guess.

    Args:
        metadata: The core metadata of a distribution.
        texts: Its own licence files; read only when the metadata leaves the question open. They must agree.
    """
    declared = expression(metadata.get("License-Expression") or "")
    if declared:
        return declared
    field = (metadata.get("License") or "").strip()
    named = (expression(field) or NAMES.get(_fold(field))) if len(field) < 100 else from_text(field)
    if named:
        return named
    marked = [c.split(" :: ")[-1] for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    marked = [name for name in marked if name != "OSI Approved"]
    if len(marked) == 1 and marked[0] in CLASSIFIERS:
        return CLASSIFIERS[marked[0]]
    if len(marked) > 1:
        return NOASSERTION  # Several classifiers don't say whether all hold or one may be chosen.
    found = {from_text(text) for text in texts}
    (agreed,) = found if len(found) == 1 else {None}
    return agreed or NOASSERTION


def expression(declared: str) -> str | None:
    """An SPDX expression in its normal form, or None where the text isn't one."""
    from license_expression import ExpressionError, ExpressionParseError

    if not declared or _fold(declared) in ("gpl", "lgpl", "agpl", "bsd"):
        return None  # The parser reads a bare "GPL" as GPL-1.0-or-later, which nobody meant.
    try:
        return str(_spdx().parse(declared, validate=True, strict=True))
    except (ExpressionError, ExpressionParseError):
        return None


def from_text(text: str) -> str | None:
    """The licence whose text opens a licence file, or None.

    Files of binary wheels go on to list what is bundled; those parts don't license the documentation.
    """
    words = _fold(text)
    found = [(at, name) for name, sentence in SENTENCES if 0 <= (at := words.find(sentence)) < OPENING]
    if not found:
        return None
    at, name = min(found)
    if name != "BSD":
        return name
    conditions = words[at : at + 1500]
    if "all advertising materials" in conditions:
        return "BSD-4-Clause"
    return "BSD-3-Clause" if "to endorse or promote products" in conditions else "BSD-2-Clause"


def _fold(text: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", text.casefold()))


@cache
def _spdx() -> Licensing:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()
