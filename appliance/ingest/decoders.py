"""The decoders: one compressed frame to unsigned 16-bit words.

All are imagecodecs', so that a slice decodes to the same values on every
machine: JPEG (lossless and 12 bit) by libjpeg-turbo, JPEG-LS by CharLS,
JPEG 2000 and HTJ2K by OpenJPEG, RLE runs by its own PackBits. Of them JPEG 2000,
the slowest, was seen to release the interpreter lock; the others take a few
milliseconds. Where a GPU gives the very same values, it decodes instead (see
:mod:`appliance.ingest.acceleration`).

pydicom reads the file but does not drive the decoders. It has no plug-in for
imagecodecs, and of those it has, GDCM ends the process on damaged JPEG data and
pylibjpeg-rle panics on damaged RLE data. Which one it takes depends on what is
installed, and it warns of damage where a slice must be refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import imagecodecs
import numpy as np
import numpy.typing as npt

from appliance.ingest.acceleration import decode_accelerated
from appliance.ingest.codestream import (
    FrameHeader,
    check_bits,
    check_complete,
    read_jpeg_2000_header,
    read_jpeg_header,
)
from appliance.ingest.coding_style import check_coding_style
from appliance.ingest.errors import SliceRefusedError, refuse
from appliance.ingest.rle import decode_rle
from appliance.ingest.syntaxes import Codec
from appliance.ingest.widening import Words, widen_jpeg, widen_jpeg_2000
from appliance.scan.verdicts import RefusalReason

__all__ = ["DecodedFrame", "Words", "decode_frame"]

_EXTENDED = 0xC1
_LOSSLESS = 0xC3


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """One frame as 16-bit words and what its codestream said of them.

    Parameters
    ----------
    words
        uint16, shape (rows, columns); signed values as two's complement.
    precision
        Bits of a sample in the codestream, None for RLE.
    signed
        Whether the codestream calls its samples signed; None where it cannot.
    """

    words: Words
    precision: int | None = None
    signed: bool | None = None


def decode_frame(
    codec: Codec, frame: bytes, rows: int, columns: int, lossless: bool = False
) -> DecodedFrame:
    """Decode one frame of one 16-bit grey image.

    Parameters
    ----------
    codec
        Any but NATIVE.
    frame
        The whole codestream, fragments joined.
    rows, columns
        As the DICOM header says; the codestream must agree.
    lossless
        Whether the transfer syntax promises that no value was lost: then all decoders
        give the same, and a GPU may be asked.

    Raises
    ------
    SliceRefusedError
        UNDECODABLE or TRUNCATED.
    """
    try:
        return _DECODERS[codec](frame, rows, columns, lossless)
    except (RuntimeError, ValueError, TypeError) as error:
        raise _undecodable(codec) from error


def _decode_rle(frame: bytes, rows: int, columns: int, lossless: bool) -> DecodedFrame:
    return DecodedFrame(decode_rle(frame, rows, columns))


def _decode_jpeg(frame: bytes, rows: int, columns: int, lossless: bool) -> DecodedFrame:
    header = read_jpeg_header(frame)
    _check_claim(header, rows, columns, Codec.JPEG)
    check_complete(frame)
    if header.process not in (_EXTENDED, _LOSSLESS):
        raise _undecodable(Codec.JPEG)
    if header.process == _LOSSLESS:
        check_bits(frame, rows, columns)
    words = decode_accelerated(widen_jpeg, frame, header) if lossless else None
    if words is not None and words.shape == (rows, columns):
        return DecodedFrame(words, header.precision)
    decoded = imagecodecs.jpeg8_decode(frame, out=np.empty((rows, columns), np.uint16))
    return DecodedFrame(_as_words(decoded, rows, columns, Codec.JPEG), header.precision)


def _decode_jpeg_ls(frame: bytes, rows: int, columns: int, lossless: bool) -> DecodedFrame:
    header = read_jpeg_header(frame)
    _check_claim(header, rows, columns, Codec.JPEG_LS)
    check_complete(frame)
    decoded = imagecodecs.jpegls_decode(frame, out=np.empty((rows, columns), np.uint16))
    return DecodedFrame(_as_words(decoded, rows, columns, Codec.JPEG_LS), header.precision)


def _decode_jpeg_2000(frame: bytes, rows: int, columns: int, lossless: bool) -> DecodedFrame:
    header = read_jpeg_2000_header(frame)
    _check_claim(header, rows, columns, Codec.JPEG_2000)
    check_complete(frame)
    check_coding_style(frame)
    words = decode_accelerated(widen_jpeg_2000, frame, header) if lossless else None
    if words is None or words.shape != (rows, columns):
        decoded = imagecodecs.jpeg2k_decode(frame)
        words = _as_words(decoded, rows, columns, Codec.JPEG_2000)
    return DecodedFrame(words, header.precision, header.signed)


def _check_claim(header: FrameHeader, rows: int, columns: int, codec: Codec) -> None:
    """Refuse a codestream that claims another image than the DICOM header does."""
    one_component = header.components == 1 and 8 < header.precision <= 16
    if (header.rows, header.columns) != (rows, columns) or not one_component:
        raise refuse(
            RefusalReason.UNDECODABLE,
            f"The {codec.value} data hold another image than the header describes.",
            rows=header.rows,
            columns=header.columns,
            bits=header.precision,
            components=header.components,
        )


def _as_words(decoded: npt.NDArray[np.generic], rows: int, columns: int, codec: Codec) -> Words:
    if decoded.shape != (rows, columns) or decoded.dtype.itemsize != 2:
        raise _undecodable(codec)
    return np.ascontiguousarray(decoded).view(np.uint16)


def _undecodable(codec: Codec) -> SliceRefusedError:
    return refuse(
        RefusalReason.UNDECODABLE, f"The {codec.value} pixel data are damaged.", codec=codec.value
    )


_DECODERS: dict[Codec, Callable[[bytes, int, int, bool], DecodedFrame]] = {
    Codec.RLE: _decode_rle,
    Codec.JPEG: _decode_jpeg,
    Codec.JPEG_LS: _decode_jpeg_ls,
    Codec.JPEG_2000: _decode_jpeg_2000,
}
