"""DICOM RLE, one 16-bit grey frame.

The segments are cut here and their PackBits runs expanded by imagecodecs:
pylibjpeg-rle panics, and imagecodecs' own DICOM RLE decoder crashes, on damaged
data.

References
----------
DICOM PS3.5 annex G.
"""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np
import numpy.typing as npt

_HEADER_BYTES = 64
_SEGMENTS = 2  # high byte, low byte


def decode_rle(frame: bytes, rows: int, columns: int) -> npt.NDArray[np.uint16]:
    """Decode one frame.

    Parameters
    ----------
    frame
        RLE header and segments.
    rows, columns
        Of the image.

    Returns
    -------
    uint16, shape (rows, columns).

    Raises
    ------
    ValueError
        When the segments are not two of rows times columns bytes each.
    """
    high, low = (_expand(segment, rows * columns) for segment in _segments(frame))
    words = high.astype(np.uint16) << np.uint16(8)
    words |= low
    return words.reshape(rows, columns)


def _segments(frame: bytes) -> tuple[bytes, bytes]:
    if len(frame) < _HEADER_BYTES:
        raise ValueError("the RLE header is cut short")
    count, first, second = struct.unpack_from("<3L", frame)
    if count != _SEGMENTS or not _HEADER_BYTES <= first < second < len(frame):
        raise ValueError("the RLE segments lie outside the frame")
    return frame[first:second], frame[second:]


def _expand(segment: bytes, size: int) -> npt.NDArray[np.uint8]:
    """Expand one segment, which may end in a zero byte that makes its length even."""
    try:
        return _unpack(segment, size)
    except ValueError:
        if not segment.endswith(b"\0"):
            raise
        return _unpack(segment[:-1], size)


def _unpack(segment: bytes, size: int) -> npt.NDArray[np.uint8]:
    expanded = np.empty(size, np.uint8)
    try:
        written = imagecodecs.packbits_decode(segment, out=expanded.data)
    except RuntimeError as error:
        raise ValueError("an RLE segment is damaged") from error
    if len(written) != size:
        raise ValueError("an RLE segment ends too early")
    return expanded
