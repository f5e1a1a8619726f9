"""From pixel data, native or compressed, to stored values.

References
----------
DICOM PS3.5 section 8 (encoding of pixel data), PS3.3 C.7.6.3 (image pixel).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.ingest.decoders import DecodedFrame, Words, decode_frame
from appliance.ingest.elements import join_fragments
from appliance.ingest.errors import refuse
from appliance.ingest.header import Header, Tag
from appliance.ingest.part10 import PixelData
from appliance.ingest.syntaxes import Codec
from appliance.scan.verdicts import RefusalReason

Stored = npt.NDArray[np.uint16] | npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How one pixel is stored: `bits` of 16, the highest being bit `high_bit`."""

    bits: int
    high_bit: int
    signed: bool


@dataclass(frozen=True, slots=True)
class StoredPlane:
    """Stored values of a slice.

    Parameters
    ----------
    values
        uint16 or int16, shape (rows, columns).
    sign_mismatch
        True when the codestream and the header disagree on the sign.
    excess_bytes
        Native pixel data longer than the image by this, beyond an even length.
    """

    values: Stored
    sign_mismatch: bool = False
    excess_bytes: int = 0


def read_pixel_format(header: Header) -> PixelFormat:
    """How the pixels are stored, by the header.

    Raises
    ------
    SliceRefusedError
        LOSSY_TOO_COARSE for 8-bit pixels, UNDECODABLE for other depths, MALFORMED when the
        bits contradict each other.
    """
    allocated = header.integer(Tag.BITS_ALLOCATED)
    if allocated == 8:
        raise refuse(
            RefusalReason.LOSSY_TOO_COARSE,
            "The image has 8 bits a pixel: too few grey levels to measure HU.",
            bits_allocated=allocated,
        )
    if allocated != 16:
        raise refuse(
            RefusalReason.UNDECODABLE,
            "The image has a number of bits a pixel that CT slices do not have.",
            bits_allocated=allocated,
        )
    bits = header.integer(Tag.BITS_STORED) or 16
    high_bit = header.integer(Tag.HIGH_BIT)
    high_bit = bits - 1 if high_bit is None else high_bit
    if not 8 < bits <= 16 or not bits - 1 <= high_bit < 16:
        raise refuse(
            RefusalReason.MALFORMED,
            "The header contradicts itself on how many bits a pixel has.",
            bits_stored=bits,
            high_bit=high_bit,
        )
    return PixelFormat(bits, high_bit, header.integer(Tag.PIXEL_REPRESENTATION) == 1)


def read_stored_plane(
    header: Header, pixels: PixelData, rows: int, columns: int, pixel_format: PixelFormat
) -> StoredPlane:
    """Stored values of a slice whose matrix is within the limits.

    Raises
    ------
    SliceRefusedError
        TRUNCATED, MALFORMED or UNDECODABLE.
    """
    codec = header.syntax.codec
    if pixels.encapsulated != (codec is not Codec.NATIVE):
        raise refuse(
            RefusalReason.UNDECODABLE,
            "The pixel data are not compressed as the transfer syntax says they are.",
            transfer_syntax=header.syntax.uid,
        )
    if codec is Codec.NATIVE:
        return _native_plane(pixels.value, header.big_endian, rows, columns, pixel_format)
    frame = join_fragments(pixels.value)
    decoded = decode_frame(codec, frame, rows, columns, not header.syntax.may_be_lossy)
    return _decoded_plane(decoded, pixel_format)


def _native_plane(
    raw: memoryview, big_endian: bool, rows: int, columns: int, pixel_format: PixelFormat
) -> StoredPlane:
    needed = rows * columns * 2
    if len(raw) < needed:
        raise refuse(
            RefusalReason.TRUNCATED,
            "The pixel data are shorter than rows times columns.",
            bytes=len(raw),
            needed=needed,
        )
    words = np.frombuffer(raw[:needed], ">u2" if big_endian else "<u2")
    values = extend_sign(words.astype(np.uint16).reshape(rows, columns), pixel_format)
    return StoredPlane(values, excess_bytes=len(raw) - needed)


def _decoded_plane(decoded: DecodedFrame, pixel_format: PixelFormat) -> StoredPlane:
    """Give decoded words their sign.

    A codestream that calls itself signed holds signed words whatever the header
    says. One that calls itself unsigned under a signed header holds two's
    complement cut to its own precision.
    """
    if decoded.signed:
        values: Stored = decoded.words.view(np.int16)
    else:
        bits = decoded.precision or pixel_format.bits
        high_bit = bits - 1 if decoded.precision else pixel_format.high_bit
        values = extend_sign(decoded.words, PixelFormat(bits, high_bit, pixel_format.signed))
    disagree = decoded.signed is not None and decoded.signed != pixel_format.signed
    return StoredPlane(values, sign_mismatch=disagree)


def extend_sign(words: Words, pixel_format: PixelFormat) -> Stored:
    """Cut 16-bit words to the stored bits and extend the sign (PS3.5 section 8.1.1).

    Parameters
    ----------
    words
        uint16 of any shape.
    pixel_format
        Which bits count.

    Returns
    -------
    int16 or uint16 of the same shape.
    """
    left, right = 15 - pixel_format.high_bit, 16 - pixel_format.bits
    placed = words << np.uint16(left) if left else words
    if pixel_format.signed:
        signed = placed.view(np.int16)
        return signed >> np.int16(right) if right else signed
    return placed >> np.uint16(right) if right else placed
