"""A column of texts as compiled code sees it: UTF-8 bytes and offsets, without a copy where Arrow allows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit


def text_buffers(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The bytes of a string array and where each text starts in them (length + 1); a null reads as empty.

    Raises:
        pyarrow.ArrowInvalid: The bytes of a text aren't UTF-8 (a lone surrogate isn't); it names the row.
            Compiled code trusts what it is given, so this is the border.
    """
    plain = texts.cast(pa.large_string()).fill_null("")
    plain.validate(full=True)
    _, offsets, data = plain.buffers()
    bounds = np.frombuffer(offsets, np.int64)[plain.offset : plain.offset + len(plain) + 1]
    return np.frombuffer(data or b"", np.uint8), bounds


def from_text_buffers(data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> pa.Array:
    """The string array that such bytes and offsets are."""
    return pa.Array.from_buffers(
        pa.large_string(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )


@njit(nogil=True, cache=True)
def code_point(data, at):  # type: ignore[no-untyped-def]
    """The code point at a place of valid UTF-8, and its bytes."""
    lead = np.uint32(data[at])
    if lead < 0x80:
        return lead, 1
    if lead < 0xE0:
        return (lead & 0x1F) << 6 | np.uint32(data[at + 1] & 0x3F), 2
    if lead < 0xF0:
        return (
            (lead & 0x0F) << 12 | np.uint32(data[at + 1] & 0x3F) << 6 | np.uint32(data[at + 2] & 0x3F),
            3,
        )
    return (
        (lead & 0x07) << 18
        | np.uint32(data[at + 1] & 0x3F) << 12
        | np.uint32(data[at + 2] & 0x3F) << 6
        | np.uint32(data[at + 3] & 0x3F),
        4,
    )
