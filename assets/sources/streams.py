"""A file's bytes as readers want them: decompressed member by member, and cut into lines."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import IO, Protocol

BLOCK = 1 << 16
LONGEST_LINE = 1 << 28


class Corrupt(Exception):
    """Bytes that end early or can't be decompressed; what was read before them stands.

    It isn't an EOFError: warcio takes that for the end of a healthy file.
    """

    def __init__(self, error: str, rest: bytes = b"") -> None:
        super().__init__(error)
        self.rest = rest


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def _gzip_member() -> _Inflater:
    return zlib.decompressobj(zlib.MAX_WBITS | 16)


def _zstd_frame() -> _Inflater:
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj()


MAGIC: dict[bytes, Callable[[], _Inflater]] = {b"\x1f\x8b": _gzip_member, b"\x28\xb5\x2f\xfd": _zstd_frame}


class Inflated:
    """A stream of decompressed bytes: gzip and Zstandard are known by their first bytes, others pass as is.

    `member` is the offset in the file of the gzip member or Zstandard frame being read, 0 in a plain file;
    one read never crosses from a member into the next, so that a WARC record's offset is its member's.

    Raises:
        Corrupt: The compressed data is damaged or ends inside a member.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._pending = stream.read(BLOCK)
        self._position = len(self._pending)
        self._start = next((new for magic, new in MAGIC.items() if self._pending.startswith(magic)), None)
        self._member: _Inflater | None = None
        self._ready = memoryview(b"")
        self.compressed = self._start is not None
        self.member = 0

    def read(self, size: int = BLOCK) -> bytes:
        """At most `size` bytes; none at the end of the file."""
        while not self._ready:
            if not self._pending:
                self._pending = self._stream.read(BLOCK)
                self._position += len(self._pending)
                if not self._pending:
                    if self._member is not None:
                        raise Corrupt("the compressed data ends early")
                    return b""
            if self._start is None:
                self._ready, self._pending = memoryview(self._pending), b""
            else:
                self._inflate(self._start)
        taken, self._ready = self._ready[:size], self._ready[size:]
        return bytes(taken)

    def _inflate(self, start: Callable[[], _Inflater]) -> None:
        if self._member is None:
            self._pending = self._pending.lstrip(b"\0")  # gzip files may be padded with zeros
            if not self._pending:
                return
            self.member = self._position - len(self._pending)
            self._member = start()
        try:
            self._ready = memoryview(self._member.decompress(self._pending))
        except Exception as error:  # zlib.error and ZstdError share no base
            raise Corrupt(f"the compressed data is damaged: {error}", self._pending) from error
        self._pending = b""
        if self._member.eof:
            self._pending, self._member = self._member.unused_data, None


def lines(stream: Inflated) -> Iterator[bytes]:
    """The lines of a stream, without their newline and without a byte-order mark.

    Raises:
        Corrupt: With the unfinished line as `rest`; a line longer than 256 MiB is one too.
    """
    held: list[bytes] = []
    size = 0
    first = True
    try:
        while block := stream.read():
            if first:
                block, first = block.removeprefix(b"\xef\xbb\xbf"), False
            head, *others = block.split(b"\n")
            held.append(head)
            size += len(head)
            if others:
                yield b"".join(held)
                yield from others[:-1]
                held, size = [others[-1]], len(others[-1])
            if size > LONGEST_LINE:
                raise Corrupt(f"a line runs past {LONGEST_LINE >> 20} MiB")
    except Corrupt as error:
        error.rest = b"".join(held)[:BLOCK] or error.rest
        raise
    if size:
        yield b"".join(held)
