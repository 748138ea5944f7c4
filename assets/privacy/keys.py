"""The key under which a personal value becomes a hash that nobody without the key can make again."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

VARIABLE = "WINNOW_PII_KEY"
SHORTEST = 16


@dataclass(frozen=True)
class PiiKey:
    """A secret of at least 16 bytes; it never shows in `repr`, logs or tables, its id does."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) < SHORTEST:
            raise ValueError(f"a PII key needs at least {SHORTEST} bytes, this one has {len(self.secret)}")

    @property
    def id(self) -> str:
        """Eight hex digits that tell one key from another and nothing about the secret."""
        return hashlib.sha256(self.secret).hexdigest()[:8]

    def hmac(self, value: str) -> str:
        """HMAC-SHA256 of a value's casefolded NFC form, cut to 128 bits, in hex (RFC 2104)."""
        canonical = unicodedata.normalize("NFC", unicodedata.normalize("NFC", value).casefold())
        return hmac.new(self.secret, canonical.encode(), hashlib.sha256).hexdigest()[:32]


def load_key(
    path: Path | None = None, environ: Mapping[str, str] = os.environ, variable: str = VARIABLE
) -> PiiKey:
    """The key in an environment variable, else in the file, which is made of random bytes on first use.

    The file holds text, so copying it into the variable keeps the key.

    Raises:
        ValueError: There is neither variable nor path, the key is too short, or the file is open to
            other users.
    """
    if variable in environ:
        return PiiKey(environ[variable].strip().encode())
    if path is None:
        raise ValueError(f"no PII key: set {variable} or give the path of a key file")
    if not path.exists():
        _create(path)
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path.name}: a PII key that other users can read is no secret; chmod 600 it")
    return PiiKey(path.read_text().strip().encode())


def _create(path: Path) -> None:
    """A new key file, whole from the first moment: processes that start together agree on one key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
