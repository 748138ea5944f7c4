"""What work runs on: batches on one core, several or a cluster; files wherever they lie; MinHash signatures.

Daft, and nothing but this file knows it.
"""

from __future__ import annotations

import errno
import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

import pyarrow as pa

if TYPE_CHECKING:
    from daft.io import IOConfig

# Daft reports usage over the network unless told not to.
os.environ.setdefault("DAFT_ANALYTICS_ENABLED", "0")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("DAFT_PROGRESS_BAR", "0")
# So does Ray.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")


@dataclass(frozen=True)
class FileEntry:
    """A file that a reader can open: its path or URI, and its size in bytes where the store tells it."""

    path: str
    size: int | None


RUNNERS = ("native", "ray")
BATCHES_A_WORKER = 4
LOOPBACK = "127.0.0.1"
WILDCARDS = frozenset("*?[")


def is_remote(uri: str) -> bool:
    """Whether a URI names an object store or hub rather than this machine's files."""
    return len(urlsplit(uri).scheme) > 1 and not uri.startswith("file://")


def fixed_part(uri: str) -> str:
    """The part of a path or URI before its first component with a wildcard: all of it where there is none."""
    parts = uri.split("/")
    wild = next((i for i, part in enumerate(parts) if WILDCARDS & set(part)), len(parts))
    return "/".join(parts[:wild])


def list_files(uri: str) -> list[FileEntry]:
    """The files that a path, folder or glob names, sorted by path; empty where it names none.

    Args:
        uri: A local path or an object-store or hub URI (`s3://`, `gs://`, `az://`, `hf://`); `*`, `**`
            and `?` match as in a shell. A folder means every file below it. On this machine a link to a
            folder is listed as one entry and never walked into.

    Raises:
        OSError: The store cannot be reached or refuses access.
    """
    if not is_remote(uri):
        return _list_local(uri.removeprefix("file://"))
    found = _list_remote(uri)
    if fixed_part(uri) == uri and [entry.path for entry in found] != [uri]:
        # Daft lists a folder's own files only.
        found = _list_remote(f"{uri.rstrip('/')}/**")
    return found


def open_file(path: str) -> IO[bytes]:
    """A file opened for reading bytes, local or in an object store or hub.

    Raises:
        OSError: The file is not there, or the store cannot be reached or refuses access.
    """
    if not is_remote(path):
        return Path(path.removeprefix("file://")).open("rb")
    import daft

    with _os_errors():
        return io.BufferedReader(_StoredFile(daft.open_file(path, "rb", io_config=_io_config(path))), 1 << 20)


def _list_local(uri: str) -> list[FileEntry]:
    path, folder = Path(uri), fixed_part(uri)
    pattern = uri.removeprefix(folder).lstrip("/")
    if path.is_dir():
        found = list(path.rglob("*"))
    elif path.exists() or path.is_symlink():
        found = [path]
    elif pattern:
        # pathlib's trailing `**` matches folders only.
        found = list(Path(folder or "/").glob(f"{pattern}/*" if pattern.endswith("**") else pattern))
    else:
        return []
    files = (each for each in found if each.is_symlink() or each.is_file())
    return [FileEntry(str(f), f.stat().st_size if f.exists() else None) for f in sorted(files)]


def _list_remote(uri: str) -> list[FileEntry]:
    import daft

    try:
        with _os_errors():
            frame = daft.from_glob_path(uri, io_config=_io_config(uri)).select("path", "size")
            batches = frame.to_arrow_iter()
            listing = pa.Table.from_batches(batches, frame.schema().to_pyarrow_schema()).to_pydict()
    except FileNotFoundError:
        return []
    return sorted(map(FileEntry, listing["path"], listing["size"]), key=lambda entry: entry.path)


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


def map_batches(
    function: Callable[[pa.Table], pa.Table],
    batches: Iterable[pa.Table],
    *,
    runner: str = "native",
    workers: int = 1,
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """A function applied to batches: each batch with its result, in the order given.

    What is read ahead is bounded, so memory doesn't grow with the number of batches.

    Args:
        function: Holds no lock for long; on a cluster it can be pickled, its module installed on every node.
        runner: `native` for this machine, `ray` for the cluster that RAY_ADDRESS names, or one of its own.
        workers: How many batches are worked on at once, while the caller reads and writes.

    Raises:
        ValueError: There is no such runner.
    """
    if runner == "ray":
        return _map_on_ray(function, batches, workers)
    if runner != "native":
        raise ValueError(f"no engine {runner!r}; there are {', '.join(RUNNERS)}")
    if workers == 1:
        return ((batch, function(batch)) for batch in batches)
    return _map_in_threads(function, batches, workers)


def _map_in_threads(
    function: Callable[[pa.Table], pa.Table], batches: Iterable[pa.Table], workers: int
) -> Iterator[tuple[pa.Table, pa.Table]]:
    # Threads: what is mapped is compiled code, which doesn't hold the interpreter's lock, and a batch that
    # stays in the process needn't be copied. Reading and writing go on in the caller's own.
    waiting: deque[tuple[pa.Table, Future[pa.Table]]] = deque()
    with ThreadPoolExecutor(workers, "batches") as pool:
        try:
            for batch in batches:
                waiting.append((batch, pool.submit(function, batch)))
                if len(waiting) > 2 * workers:
                    done, result = waiting.popleft()
                    yield done, result.result()
            while waiting:
                done, result = waiting.popleft()
                yield done, result.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _map_on_ray(
    function: Callable[[pa.Table], pa.Table], batches: Iterable[pa.Table], workers: int
) -> Iterator[tuple[pa.Table, pa.Table]]:
    import daft

    _join_cluster(workers)

    # A batch travels as one row, so that its types and its order are what they were.
    @daft.func.batch(return_dtype=daft.DataType.binary(), batch_size=1)
    def applied(packed: daft.Series) -> pa.Array:
        return pa.array([_packed(function(_unpacked(each))) for each in packed.to_arrow().to_pylist()])

    batches = iter(batches)
    while wave := list(islice(batches, BATCHES_A_WORKER * workers)):
        rows = pa.table({"number": range(len(wave)), "batch": [_packed(batch) for batch in wave]})
        frame = daft.from_arrow(rows).into_partitions(len(wave))
        done = frame.select("number", applied(daft.col("batch")).alias("result")).to_arrow()
        results = dict(zip(done["number"].to_pylist(), done["result"], strict=True))
        for number, batch in enumerate(wave):
            yield batch, _unpacked(results[number].as_buffer())


def _join_cluster(workers: int) -> None:
    """Connects to the cluster that RAY_ADDRESS names, or starts one on this machine alone."""
    import daft
    import ray

    if not ray.is_initialized():
        address = os.environ.get("RAY_ADDRESS")
        how = {} if address else {"num_cpus": workers, "log_to_driver": False, "include_dashboard": False}
        # On this machine alone a node goes by that address, whatever others the machine has.
        if not address or address.startswith(LOOPBACK):
            how["_node_ip_address"] = LOOPBACK
        ray.init(**how)
    daft.set_runner_ray()


def _packed(batch: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_table(batch)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _unpacked(packed: bytes | pa.Buffer) -> pa.Table:
    return pa.ipc.open_stream(packed).read_all()


@contextmanager
def _os_errors() -> Iterator[None]:
    """A store's failures as OSError: Daft's own are ValueErrors, which read like bad data."""
    from daft.exceptions import DaftCoreException

    try:
        yield
    except DaftCoreException as error:
        raise OSError(errno.EIO, str(error)) from error


class _StoredFile(io.RawIOBase):
    """A file in a store, whose failures are OSErrors."""

    def __init__(self, file: io.IOBase) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with _os_errors():
            return self._file.readinto(buffer)  # type: ignore[attr-defined, no-any-return]

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with _os_errors():
            return self._file.seek(offset, whence)

    def close(self) -> None:
        self._file.close()
        super().close()


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
            # The default of 25 tries waits three minutes for a server that isn't there.
            num_tries=5,
        )
    )
