"""Lossless frames of any depth and sign, rewritten to say unsigned 16 bits.

A GPU's decoder is exact on unsigned 16-bit samples; what it makes of fewer bits or of
signed ones differs from device to device. Depth and sign are a byte of the frame's
header, and in a reversible coding they say no more than the constant that a decoder adds
to each sample at the end: so the byte is changed, and the difference of the constants
taken off again.

References
----------
ITU-T T.800 A.4.2 (SOT), A.5.1 (SIZ), A.6.1 (COD), G.1 (DC level shift); T.814 A.3 (CAP of
HTJ2K); T.81 H.1.2 (prediction, first sample) and B.2.3 (SOS).
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.ingest.codestream import FrameHeader

Words = npt.NDArray[np.uint16]

_WIDE_BITS = 16
_WIDE_ZERO = 1 << (_WIDE_BITS - 1)
_SIZ_DEPTH = 42
_UNSIGNED_16 = 15
_SIZ_START = 2
_IMAGE_ORIGIN, _TILE_ORIGIN = slice(16, 24), slice(32, 40)
_COD, _CAP, _SOT = 0xFF52, 0xFF50, 0xFF90
_END = b"\xff\xd9"
_REVERSIBLE = 1
_SOF3, _SOS = 0xC3, 0xDA
_MOST_SEGMENTS = 1000


class Coding(enum.Enum):
    """A coding that loses nothing."""

    JPEG_2000 = "JPEG 2000"
    HTJ2K = "HTJ2K"
    JPEG_LOSSLESS = "JPEG Lossless"


@dataclass(frozen=True, slots=True)
class WideFrame:
    """A frame that says unsigned 16 bits, and how its samples become the frame's own.

    Parameters
    ----------
    coding
        How it is coded.
    data
        The codestream with its depth rewritten.
    precision, signed
        Of the frame as it was.
    """

    coding: Coding
    data: bytes
    precision: int
    signed: bool

    def narrowed(self, wide: Words) -> Words | None:
        """The frame's samples as 16-bit words, signed ones as two's complement.

        Parameters
        ----------
        wide
            What `data` decodes to, uint16.

        Returns
        -------
        uint16 of the same shape; None where a sample is none of its depth, which
        decoders cut each in its own way.
        """
        samples = wide.astype(np.int32) - _WIDE_ZERO
        half = 1 << (self.precision - 1)
        if samples.min() < -half or samples.max() >= half:
            return None
        words: Words = (samples if self.signed else samples + half).astype(np.uint16)
        return words


def widen_jpeg_2000(frame: bytes, header: FrameHeader) -> WideFrame | None:
    """A JPEG 2000 or HTJ2K codestream widened.

    None where its wavelet is not the reversible one, where image or tiles do not begin at
    the origin, or where the tile-parts are not all there and of a stated length: a decoder
    then makes of it what it can.
    """
    if any(frame[_IMAGE_ORIGIN]) or any(frame[_TILE_ORIGIN]):
        return None
    segments = _segments_of_jpeg_2000(frame)
    if segments is None or not _tiles_are_whole(frame, segments.get(_SOT, len(frame))):
        return None
    style = segments.get(_COD)
    if style is None or len(frame) < style + 14 or frame[style + 13] != _REVERSIBLE:
        return None
    data = bytearray(frame)
    data[_SIZ_DEPTH] = _UNSIGNED_16
    coding = Coding.HTJ2K if _CAP in segments else Coding.JPEG_2000
    return WideFrame(coding, bytes(data), header.precision, bool(header.signed))


def _segments_of_jpeg_2000(frame: bytes) -> dict[int, int] | None:
    """Where the first segment of each kind begins in the main header, up to the first SOT."""
    found: dict[int, int] = {}
    position = _SIZ_START
    while position + 4 <= len(frame) and len(found) < _MOST_SEGMENTS:
        marker, length = struct.unpack_from(">HH", frame, position)
        if marker < 0xFF00 or length < 2:
            return None
        found.setdefault(marker, position)
        if marker == _SOT:
            return found
        position += 2 + length
    return None


def _tiles_are_whole(frame: bytes, position: int) -> bool:
    """Tile-parts follow one another, each as long as it says, up to the end mark."""
    for _ in range(_MOST_SEGMENTS):
        if frame[position : position + 2] == _END:
            return True
        if position + 12 > len(frame) or frame[position : position + 2] != b"\xff\x90":
            return False
        (length,) = struct.unpack_from(">L", frame, position + 6)
        if length < 14:
            return False
        position += length
    return False


def widen_jpeg(frame: bytes, header: FrameHeader) -> WideFrame | None:
    """A JPEG codestream widened; None where it loses something or is not of one component."""
    if header.process != _SOF3:
        return None
    segments = _segments_of_jpeg(frame)
    if _SOF3 not in segments or not _scan_loses_nothing(frame, segments.get(_SOS, len(frame))):
        return None
    data = bytearray(frame)
    data[segments[_SOF3] + 4] = _WIDE_BITS
    return WideFrame(Coding.JPEG_LOSSLESS, bytes(data), header.precision, signed=False)


def _segments_of_jpeg(frame: bytes) -> dict[int, int]:
    """Where the segments up to the first SOS begin, the last of each kind."""
    found: dict[int, int] = {}
    position = 2
    for _ in range(_MOST_SEGMENTS):
        if position + 4 > len(frame) or frame[position] != 0xFF or _SOS in found:
            break
        marker = frame[position + 1]
        (length,) = struct.unpack_from(">H", frame, position + 2)
        found[marker] = position
        position += 1 if marker == 0xFF else 2 + length
    return found


def _scan_loses_nothing(frame: bytes, position: int) -> bool:
    """One component, and a point transform of zero."""
    segment = frame[position + 2 : position + 10]
    return len(segment) == 8 and segment[:3] == b"\x00\x08\x01" and segment[7] & 0x0F == 0
