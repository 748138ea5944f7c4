"""Daft, and nothing but this file knows it: files wherever they lie, and MinHash signatures."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

import pyarrow as pa

if TYPE_CHECKING:
    from daft.io import IOConfig

# Daft reports usage over the network unless told not to.
os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("DAFT_PROGRESS_BAR", "0")


@dataclass(frozen=True)
class FileEntry:
    """A file that a reader can open: its path or URI, and its size in bytes."""

    path: str
    size: int


def is_remote(uri: str) -> bool:
    """Whether a URI names an object store or hub rather than this machine's files."""
    return len(urlsplit(uri).scheme) > 1 and not uri.startswith("file://")


def list_files(uri: str) -> list[FileEntry]:
    """The files that a path, folder or glob names, sorted by path; empty where it names none.

    Args:
        uri: A local path or an object-store or hub URI (`s3://`, `gs://`, `az://`, `hf://`); `*`, `**`
            and `?` match as in a shell. A folder means every file below it.

    Raises:
        OSError: The store cannot be reached or refuses access.
    """
    import daft

    frame = daft.from_glob_path(uri, io_config=_io_config(uri)).select("path", "size")
    try:
        batches = frame.to_arrow_iter()
        listing = pa.Table.from_batches(batches, frame.schema().to_pyarrow_schema()).to_pydict()
    except FileNotFoundError:
        return []
    entries = zip(listing["path"], listing["size"], strict=True)
    return sorted(
        (FileEntry(path.removeprefix("file://"), size or 0) for path, size in entries), key=lambda e: e.path
    )


def open_file(path: str) -> IO[bytes]:
    """A file opened for reading bytes, local or in an object store or hub."""
    if not is_remote(path):
        return open(path.removeprefix("file://"), "rb")
    import daft

    return daft.open_file(path, "rb", io_config=_io_config(path))


def minhash(
    texts: pa.Array | pa.ChunkedArray, *, hashes: int = 112, ngram: int = 5, seed: int = 1
) -> pa.Array:
    """MinHash signatures of word n-grams (Broder 1997): one fixed-size list of `hashes` uint32 a text.

    Texts are compared as they are given: normalise them first. A text of fewer than `ngram` words is
    hashed whole; a null or empty text gives null.
    """
    import daft
    from daft import col

    frame = daft.from_pydict({"text": texts})
    signature = col("text").minhash(num_hashes=hashes, ngram_size=ngram, seed=seed, hash_function="xxhash64")
    return frame.select(signature.alias("signature")).to_arrow().column("signature").combine_chunks()


def _io_config(uri: str) -> IOConfig | None:
    """Where AWS_ENDPOINT_URL names an S3-compatible server, Daft must be told: it doesn't read it itself."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if not (uri.startswith("s3://") and endpoint):
        return None
    from daft.io import IOConfig, S3Config

    return IOConfig(
        s3=S3Config(
            endpoint_url=endpoint,
            region_name=os.environ.get("AWS_REGION", "us-east-1"),
            key_id=os.environ.get("AWS_ACCESS_KEY_ID"),
            access_key=os.environ.get("AWS_SECRET_ACCESS_KEY"),
            force_virtual_addressing=False,
            use_ssl=endpoint.startswith("https"),
        )
    )
