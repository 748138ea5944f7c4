"""What a generated source is a function of, as one digest: equal inputs, equal documents."""

from __future__ import annotations

import hashlib
import json


def digest(*inputs: object) -> str:
    """128 bits of BLAKE2b, in hex, over inputs that JSON can hold; the order of keys is no input."""
    canonical = json.dumps(inputs, sort_keys=True, ensure_ascii=False, default=dict)
    return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()
