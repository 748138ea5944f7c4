"""The key under which a personal value becomes a hash that nobody without the key can make again.

A key that was rotated lies beside the present one, in a file named by its id, until it is forgotten.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import secrets
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from assets.lake import Lake

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


@dataclass(frozen=True)
class Rotation:
    """A change of keys, by their ids: the one that was retired and the one that holds from now on."""

    retired: str
    present: str


@dataclass(frozen=True)
class KeyedRows:
    """How many of a source's rows in one table of the lake are hashed under one key."""

    key_id: str
    table: str
    source: str
    rows: int


def rotate_key(path: Path, environ: Mapping[str, str] = os.environ) -> Rotation:
    """Retires the present key to a file of its own and puts a new one in its place.

    The retired file is there before the new key is, and that comes by one rename: killed at any moment, one
    key is the present one and none is lost.

    Raises:
        ValueError: The key comes from `WINNOW_PII_KEY`, there is none yet, or a key file can't be trusted.
    """
    if VARIABLE in environ:
        raise ValueError(
            f"the key comes from {VARIABLE}, which only its owner can change: keep the old value in a safe place, "
            f"set the variable to a new one of {SHORTEST} bytes or more, then do `winnow run`"
        )
    if not path.exists():
        raise ValueError(f"{path.name}: there is no key yet; the first `winnow run` makes one")
    with _alone(path.parent):
        key = load_key(path, environ)
        kept = _retired(path, key.id)
        # One from a rotation that was killed before it came to the new key is this same key.
        if not kept.exists():
            os.link(path, kept)
        if load_key(kept, {}) != key:
            raise ValueError(f"{kept.name}: holds another key than its name says")
        with _draft(path) as draft:
            draft.replace(path)
        return Rotation(key.id, load_key(path, environ).id)


def forget_key(
    path: Path, key_id: str, rows: Sequence[KeyedRows], environ: Mapping[str, str] = os.environ
) -> None:
    """Deletes a retired key: what is still hashed under it anywhere can then be made by nobody again.

    Args:
        rows: What the lake holds under which key, as `rows_by_key` counts it.

    Raises:
        ValueError: It is the present key, there is no retired one of this id, or rows of the lake bear it.
    """
    if key_id == load_key(path, environ).id:
        raise ValueError(f"{key_id} is the present key")
    if key_id not in (known := retired_keys(path)):
        raise ValueError(f"{key_id} is no retired key; there are {', '.join(known) or 'none'}")
    bearing = [each for each in rows if each.key_id == key_id]
    if bearing:
        listed = ", ".join(f"{each.rows:,} of {each.table} of {each.source}" for each in bearing)
        raise ValueError(
            f"{key_id} is still borne by rows of the lake: {listed}; `winnow run` hashes them anew"
        )
    _retired(path, key_id).unlink()


def retired_keys(path: Path) -> list[str]:
    """The ids of the retired keys, in order."""
    present = load_key(path, {}).id if path.exists() else None
    ids = (kept.suffixes[-2].removeprefix(".") for kept in path.parent.glob(_retired(path, "*").name))
    return sorted(key_id for key_id in ids if key_id != present)


def rows_by_key(lake: Lake) -> list[KeyedRows]:
    """The rows of every table of the lake that has the columns `key_id` and `source`, as it is now."""
    tables = [table for table, columns in lake.columns().items() if {"key_id", "source"} <= columns.keys()]
    return [
        KeyedRows(row["key_id"], table, row["source"], row["n"])
        for table in tables
        for row in lake.query(
            f"SELECT key_id, source, count(*) AS n FROM {table} GROUP BY ALL ORDER BY ALL"
        ).to_pylist()
    ]


def _retired(path: Path, key_id: str) -> Path:
    return path.with_name(f"{path.stem}.{key_id}{path.suffix}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Until the end of the block no other process rotates: of two new keys one would be lost."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _create(path: Path) -> None:
    """A new key file, whole from the first moment: processes that start together agree on one key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _draft(path) as draft:
        try:
            os.link(draft, path)
        except FileExistsError:
            return


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """A file of random bytes beside a key file, on the disk and gone after the block, unless it was renamed."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        yield draft
    finally:
        draft.unlink(missing_ok=True)
