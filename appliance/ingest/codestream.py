"""What a compressed frame says of itself, read before a decoder sees it.

A decoder allocates what the codestream claims, not what the DICOM header
does, so the claim is read and compared first.

References
----------
ITU-T T.81 B.2.2 (JPEG frame header), T.87 C.2.2 (JPEG-LS), T.800 A.5.1 (JPEG 2000 SIZ).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from appliance.ingest.errors import SliceRefusedError, refuse
from appliance.scan.verdicts import RefusalReason

_JPEG_START = b"\xff\xd8"
_JPEG_2000_START = b"\xff\x4f\xff\x51"
#: JPEG EOI and JPEG 2000 EOC are the same two bytes.
_END = b"\xff\xd9"
#: Frame headers: SOF0 to SOF15 without DHT, JPG and DAC; SOF55 is JPEG-LS.
_FRAME_MARKERS = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC),
                            *range(0xCD, 0xD0), 0xF7))  # fmt: skip
_MAX_MARKERS = 1000
_MAX_PADDING = 64


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """Size and type of one compressed frame.

    Parameters
    ----------
    rows, columns, components, precision
        As the codestream claims; `precision` in bits.
    signed
        Whether sample values are signed; None where the codec cannot say (JPEG).
    process
        Low byte of the JPEG frame marker, e.g. 0xC3 for lossless; 0 for JPEG 2000.
    """

    rows: int
    columns: int
    components: int
    precision: int
    signed: bool | None
    process: int


def check_complete(frame: bytes) -> None:
    """Refuse a codestream without its end mark (some bytes of padding may follow it).

    The mark cannot occur inside compressed data: both codecs keep 0xFF followed
    by more than 0x8F for markers.

    Raises
    ------
    SliceRefusedError
        TRUNCATED.
    """
    if _END not in frame[-_MAX_PADDING:]:
        raise refuse(RefusalReason.TRUNCATED, "The compressed pixel data are cut short.")


def check_bits(frame: bytes, rows: int, columns: int) -> None:
    """Refuse a JPEG Lossless frame that has less than one bit a sample (T.81 H.1.2.2).

    libjpeg-turbo fills such a frame up with what is no image.

    Raises
    ------
    SliceRefusedError
        TRUNCATED.
    """
    if len(frame) * 8 < rows * columns:
        raise refuse(RefusalReason.TRUNCATED, "The compressed pixel data are cut short.")


def read_jpeg_header(frame: bytes) -> FrameHeader:
    """Frame header of a JPEG or JPEG-LS codestream.

    Raises
    ------
    SliceRefusedError
        UNDECODABLE when there is none.
    """
    if frame[:2] != _JPEG_START:
        raise _not_a_codestream("JPEG")
    position = 2
    for _ in range(_MAX_MARKERS):
        if position + 4 > len(frame) or frame[position] != 0xFF:
            break
        marker = frame[position + 1]
        (length,) = struct.unpack_from(">H", frame, position + 2)
        if marker in _FRAME_MARKERS:
            return _jpeg_frame(frame, position, marker)
        position += 1 if marker == 0xFF else 2 + length
    raise _not_a_codestream("JPEG")


def _jpeg_frame(frame: bytes, position: int, marker: int) -> FrameHeader:
    if position + 10 > len(frame):
        raise _not_a_codestream("JPEG")
    precision, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 4)
    return FrameHeader(rows, columns, components, precision, None, marker)


def read_jpeg_2000_header(frame: bytes) -> FrameHeader:
    """SIZ segment of a JPEG 2000 or HTJ2K codestream.

    Raises
    ------
    SliceRefusedError
        UNDECODABLE when there is none.
    """
    if frame[:4] != _JPEG_2000_START or len(frame) < 45:
        raise _not_a_codestream("JPEG 2000")
    width, height, left, top, tile_width, tile_height = struct.unpack_from(">6L", frame, 8)
    (components,) = struct.unpack_from(">H", frame, 40)
    depth, across, down = frame[42], frame[43], frame[44]
    tiles = -(-width // max(tile_width, 1)) * -(-height // max(tile_height, 1))
    if (across, down) != (1, 1) or tiles > 65535:
        raise _not_a_codestream("JPEG 2000")
    return FrameHeader(
        height - top, width - left, components, (depth & 0x7F) + 1, bool(depth & 0x80), 0
    )


def _not_a_codestream(name: str) -> SliceRefusedError:
    return refuse(
        RefusalReason.UNDECODABLE,
        f"The pixel data are not the {name} data that the transfer syntax says they are.",
    )
