"""Inputs that once did harm, made anew byte by byte; each is refused now, and cheaply."""

from __future__ import annotations

import struct
from collections.abc import Callable

import imagecodecs
import numpy as np

from appliance.ingest import SliceRefusedError, read_dicom, read_raw
from appliance.ingest.tags import Tag
from breathhold.v1 import scan_pb2 as pb
from tests.fuzz.seeds import deflated
from tests.ingest import codecs, test_limits
from tests.ingest import synthetic as dicom

Make = Callable[[], bytes]

SIZE = 2048
_MIB = 2**20
_MATRIX: dicom.Changes = {Tag.ROWS: SIZE, Tag.COLUMNS: SIZE}
_SMALL: dicom.Changes = {Tag.ROWS: 512, Tag.COLUMNS: 512}


def _jpeg_2000(change: Callable[[bytearray, int], bytes]) -> bytes:
    """A blank frame at the largest matrix, its COD segment changed."""
    frame = bytearray(
        imagecodecs.jpeg2k_encode(
            np.zeros((SIZE, SIZE), np.uint16),
            level=0,
            codecformat="j2k",
            reversible=True,
            bitspersample=16,
        )
    )
    changed = change(frame, frame.index(b"\xff\x52"))
    return dicom.ct_file(_MATRIX, syntax=dicom.J2K_LOSSLESS, pixels=[changed])


def many_precincts() -> bytes:
    """Two million of 2 x 2 samples: 3.4 s and 1.7 GB once, for 1.5 kB."""
    return _jpeg_2000(lambda frame, at: _own_precincts(frame, at, b"\x11", 1))


def many_packets() -> bytes:
    """A hundred precincts in 65535 layers: took minutes."""
    return _jpeg_2000(lambda frame, at: _own_precincts(frame, at, b"\x88", 65535))


def precincts_in_a_tile() -> bytes:
    """The COD segment that asks for them stands in the header of a tile-part."""

    def change(frame: bytearray, at: int) -> bytes:
        length = 2 + struct.unpack_from(">H", frame, at + 2)[0]
        whole = _own_precincts(frame, at, b"\x11", 1)
        own = whole[at : at + length + frame[at + 9] + 1]
        start = frame.index(b"\xff\x90")
        (part,) = struct.unpack_from(">L", frame, start + 6)
        struct.pack_into(">L", frame, start + 6, part + len(own))
        return bytes(frame[: start + 12]) + own + bytes(frame[start + 12 :])

    return _jpeg_2000(change)


def _own_precincts(frame: bytearray, at: int, size: bytes, layers: int) -> bytes:
    length = 2 + struct.unpack_from(">H", frame, at + 2)[0]
    levels = frame[at + 9]
    body = bytes((frame[at + 4] | 1, frame[at + 5])) + struct.pack(">H", layers)
    body += frame[at + 8 : at + 14] + size * (levels + 1)
    own = b"\xff\x52" + struct.pack(">H", 2 + len(body)) + body
    return bytes(frame[:at]) + own + bytes(frame[at + length :])


def many_code_blocks() -> bytes:
    """Of 4 x 4 samples."""

    def change(frame: bytearray, at: int) -> bytes:
        frame[at + 10] = frame[at + 11] = 0
        return bytes(frame)

    return _jpeg_2000(change)


def second_frame_header() -> bytes:
    """A JPEG whose first frame header hides behind a marker that has no length.

    The claim that was read was 512 x 512, what the decoder read 20,000 x 20,000: 1.2 s, 760 MB.
    """
    frame = codecs.jpeg_lossless(np.zeros((64, 64), np.int16))
    header = bytearray(frame[2:15])
    header[5:9] = struct.pack(">HH", 20_000, 20_000)
    hidden = b"\xff\xd8\xff\xd0" + bytes(header) + frame[15:-2]
    (jump,) = struct.unpack_from(">H", header)
    header[5:9] = struct.pack(">HH", 512, 512)
    whole = hidden + bytes(4 + jump - len(hidden)) + bytes(header) + b"\xff\xd9"
    return dicom.ct_file(_SMALL, syntax=dicom.JPEG_LOSSLESS, pixels=[whole])


def hardly_any_bits() -> bytes:
    """A JPEG of 64 x 64 samples that says 2048 x 2048; it was filled up and read."""
    frame = bytearray(codecs.jpeg_lossless(np.zeros((64, 64), np.int16)))
    frame[7:11] = struct.pack(">HH", SIZE, SIZE)
    return dicom.ct_file(_MATRIX, syntax=dicom.JPEG_LOSSLESS, pixels=[bytes(frame)])


def large_private_element() -> bytes:
    """It was read twice over: 120 MB beside a message of 60 MB."""
    head = struct.pack("<HH", 0x0009, 0x1001) + b"OB\0\0" + struct.pack("<L", 60 * _MIB)
    return dicom.file_meta(dicom.EXPLICIT) + head + bytes(60 * _MIB)


def elements_within_the_limit() -> bytes:
    elements = b"".join(struct.pack("<HH", 0x11, n) + b"LO\2\0ab" for n in range(4900))
    return dicom.file_meta(dicom.EXPLICIT) + elements


def items_within_the_limit() -> bytes:
    head = struct.pack("<HH", 8, 0x1140) + b"SQ\0\0" + dicom.UNDEFINED
    items = (dicom.ITEM + bytes(4)) * 4900
    return dicom.file_meta(dicom.EXPLICIT) + head + items + dicom.SEQUENCE_END


def deflate_within_the_ratio() -> bytes:
    """Ninety to one: below what one byte may become, and 18 MB of it."""
    noise = np.random.default_rng(0).bytes(20 * 60)
    body = b"".join(noise[n * 20 : n * 20 + 20] + bytes(1800) for n in range(60)) * 170
    return deflated(body)


def deflated_elements() -> bytes:
    head = struct.pack("<HH", 0x0009, 0x1001) + b"OB\0\0" + struct.pack("<L", 15 * _MIB)
    return deflated(head + bytes(range(256)) * (15 * 2**12))


def many_positions() -> bytes:
    """A raw slice with seven million numbers where three belong."""
    message = pb.RawSlice(sop_instance_uid="1.2", rows=64, columns=64)
    message.image_position.extend([0.0] * 7_000_000)
    return message.SerializeToString()


def long_numbers() -> bytes:
    text = "\\".join(["1.5"] * 1000)
    tags = (Tag.RESCALE_SLOPE, Tag.RESCALE_INTERCEPT, Tag.IMAGE_POSITION, Tag.PIXEL_SPACING)
    return dicom.ct_file(dict.fromkeys((*tags, Tag.IMAGE_ORIENTATION, Tag.SLICE_THICKNESS), text))


#: Each to be refused within 50 ms and 50 MB beyond its own bytes.
DICOM: dict[str, Make] = {
    "precincts": many_precincts,
    "packets": many_packets,
    "precincts in a tile": precincts_in_a_tile,
    "code-blocks": many_code_blocks,
    "second frame header": second_frame_header,
    "hardly any bits": hardly_any_bits,
    "private element": large_private_element,
    "elements below the limit": elements_within_the_limit,
    "items below the limit": items_within_the_limit,
    "deflate below the ratio": deflate_within_the_ratio,
    "deflated elements": deflated_elements,
    "long numbers": long_numbers,
    **{name: make for name, (make, _) in test_limits.BOMBS.items()},
}
RAW: dict[str, Make] = {"positions": many_positions}


def refuses_dicom(data: bytes) -> Callable[[], bool]:
    """To be called: whether it is refused."""

    def call() -> bool:
        try:
            read_dicom(data)
        except SliceRefusedError:
            return True
        return False

    return call


def refuses_raw(data: bytes) -> Callable[[], bool]:
    """As :func:`refuses_dicom`, of a message that has been parsed."""
    message = pb.RawSlice.FromString(data)

    def call() -> bool:
        try:
            read_raw(message, "1.2.3")
        except SliceRefusedError:
            return True
        return False

    return call
