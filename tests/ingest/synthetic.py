"""DICOM files made of bytes, so that each can be wrong in exactly one way."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from appliance.ingest.header import Tag
from appliance.ingest.syntaxes import TRANSFER_SYNTAXES

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR = "1.2.840.10008.1.2.4.81"
J2K_LOSSLESS = "1.2.840.10008.1.2.4.90"
J2K = "1.2.840.10008.1.2.4.91"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"
HTJ2K_LOSSLESS_RPCL = "1.2.840.10008.1.2.4.202"

CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
SOP_UID = "1.2.3.4.1"
SERIES_UID = "1.2.3.4"
SIZE = 256

Value = str | int | bytes
Changes = Mapping[int, Value | None]

_LONG_VRS = ("OB", "OW", "SQ", "UN")
_VRS = {
    Tag.IMAGE_TYPE: "CS",
    Tag.SOP_CLASS_UID: "UI",
    Tag.SOP_INSTANCE_UID: "UI",
    Tag.MODALITY: "CS",
    Tag.STUDY_DATE: "DA",
    Tag.SERIES_DATE: "DA",
    Tag.ACQUISITION_DATE: "DA",
    Tag.ACQUISITION_DATE_TIME: "DT",
    Tag.STUDY_TIME: "TM",
    Tag.SERIES_TIME: "TM",
    Tag.ACQUISITION_TIME: "TM",
    Tag.TIMEZONE_OFFSET_FROM_UTC: "SH",
    Tag.PATIENT_ID: "LO",
    Tag.ISSUER_OF_PATIENT_ID: "LO",
    Tag.CONTRAST_BOLUS_AGENT: "LO",
    Tag.SLICE_THICKNESS: "DS",
    Tag.GANTRY_DETECTOR_TILT: "DS",
    Tag.CONVOLUTION_KERNEL: "SH",
    Tag.PATIENT_POSITION: "CS",
    Tag.STUDY_INSTANCE_UID: "UI",
    Tag.SERIES_INSTANCE_UID: "UI",
    Tag.INSTANCE_NUMBER: "IS",
    Tag.IMAGE_POSITION: "DS",
    Tag.IMAGE_ORIENTATION: "DS",
    Tag.FRAME_OF_REFERENCE_UID: "UI",
    Tag.PHOTOMETRIC_INTERPRETATION: "CS",
    Tag.NUMBER_OF_FRAMES: "IS",
    Tag.PIXEL_SPACING: "DS",
    Tag.RESCALE_INTERCEPT: "DS",
    Tag.RESCALE_SLOPE: "DS",
    Tag.RESCALE_TYPE: "LO",
    Tag.LOSSY_IMAGE_COMPRESSION: "CS",
    Tag.MODALITY_LUT_SEQUENCE: "SQ",
    Tag.PER_FRAME_FUNCTIONAL_GROUPS: "SQ",
    0x00080005: "CS",
    0x00081140: "SQ",
    0x00091001: "UN",
    0x00102000: "LO",
    0x7FE00008: "OW",
}

BASE: dict[int, Value] = {
    Tag.IMAGE_TYPE: "ORIGINAL\\PRIMARY\\AXIAL",
    Tag.SOP_CLASS_UID: CT_CLASS,
    Tag.SOP_INSTANCE_UID: SOP_UID,
    Tag.MODALITY: "CT",
    Tag.SLICE_THICKNESS: "1.25",
    Tag.CONVOLUTION_KERNEL: "STANDARD",
    Tag.PATIENT_POSITION: "HFS",
    Tag.STUDY_INSTANCE_UID: "1.2.3",
    Tag.SERIES_INSTANCE_UID: SERIES_UID,
    Tag.INSTANCE_NUMBER: "1",
    Tag.IMAGE_POSITION: "-90\\-80\\-70",
    Tag.IMAGE_ORIENTATION: "1\\0\\0\\0\\1\\0",
    Tag.FRAME_OF_REFERENCE_UID: "1.2.3.5",
    Tag.SAMPLES_PER_PIXEL: 1,
    Tag.PHOTOMETRIC_INTERPRETATION: "MONOCHROME2",
    Tag.ROWS: SIZE,
    Tag.COLUMNS: SIZE,
    Tag.PIXEL_SPACING: "0.7\\0.7",
    Tag.BITS_ALLOCATED: 16,
    Tag.BITS_STORED: 16,
    Tag.HIGH_BIT: 15,
    Tag.PIXEL_REPRESENTATION: 1,
    Tag.RESCALE_INTERCEPT: "-1024",
    Tag.RESCALE_SLOPE: "1",
}

ITEM = b"\xfe\xff\x00\xe0"
ITEM_END = b"\xfe\xff\x0d\xe0\0\0\0\0"
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
UNDEFINED = b"\xff\xff\xff\xff"


def stored_pixels(seed: int = 0, size: int = SIZE) -> npt.NDArray[np.int16]:
    """A smooth chest-like field with noise, stored values (HU + 1024), some padding."""
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    noise = np.random.default_rng(seed).normal(0, 20, (size, size))
    hu = 40 - 900 * (np.hypot(x, y) < 0.3) + noise
    stored = (hu + 1024).round().astype(np.int16)
    stored[np.hypot(x, y) > 0.49] = -2000
    return stored


def expected_hu(stored: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    return np.maximum(stored.astype(np.int32) - 1024, -1024).astype(np.int16)


def element(tag: int, value: Value, *, implicit: bool = False, big_endian: bool = False) -> bytes:
    order = ">" if big_endian else "<"
    vr = _VRS.get(tag, "US")
    raw = _raw(value, order)
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + struct.pack(order + "L", len(raw)) + raw
    if vr in _LONG_VRS:
        return head + vr.encode() + b"\0\0" + struct.pack(order + "L", len(raw)) + raw
    return head + vr.encode() + struct.pack(order + "H", len(raw)) + raw


def _raw(value: Value, order: str) -> bytes:
    if isinstance(value, int):
        return struct.pack(order + "H", value)
    raw = value.encode() if isinstance(value, str) else value
    return raw + b" " * (len(raw) % 2) if isinstance(value, str) else raw


def native_pixels(stored: npt.NDArray[np.int16], *, implicit: bool, big_endian: bool) -> bytes:
    order = ">" if big_endian else "<"
    raw = stored.astype(order + "i2").tobytes()
    head = struct.pack(order + "HH", 0x7FE0, 0x0010)
    head += b"" if implicit else b"OW\0\0"
    return head + struct.pack(order + "L", len(raw)) + raw


def encapsulated(fragments: Sequence[bytes]) -> bytes:
    padded = [fragment + b"\0" * (len(fragment) % 2) for fragment in (b"", *fragments)]
    items = b"".join(ITEM + struct.pack("<L", len(one)) + one for one in padded)
    return b"\xe0\x7f\x10\x00OB\0\0" + UNDEFINED + items + SEQUENCE_END


def file_meta(syntax: str | None, sop_class: str = CT_CLASS) -> bytes:
    def uid(number: int, text: str) -> bytes:
        raw = text.encode() + b"\0" * (len(text) % 2)
        return struct.pack("<HH", 2, number) + b"UI" + struct.pack("<H", len(raw)) + raw

    body = uid(2, sop_class) + uid(3, SOP_UID)
    if syntax is not None:
        body += uid(0x10, syntax)
    length = b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<L", len(body))
    return b"\0" * 128 + b"DICM" + length + body


def data_set(changes: Changes | None = None, *, syntax: str = EXPLICIT) -> bytes:
    """The header elements in order, without pixels."""
    known = TRANSFER_SYNTAXES.get(syntax)
    implicit = known is not None and known.implicit
    big_endian = known is not None and known.big_endian
    values = {**BASE, **(changes or {})}
    return b"".join(
        element(tag, value, implicit=implicit, big_endian=big_endian)
        for tag, value in sorted(values.items())
        if value is not None
    )


def ct_file(
    changes: Changes | None = None,
    *,
    syntax: str = EXPLICIT,
    pixels: bytes | Sequence[bytes] | None = None,
    stored: npt.NDArray[np.int16] | None = None,
) -> bytes:
    """A CT slice; `changes` sets or (None) drops elements, `pixels` replaces Pixel Data."""
    known = TRANSFER_SYNTAXES.get(syntax)
    implicit = known is not None and known.implicit
    big_endian = known is not None and known.big_endian
    if pixels is None:
        plane = stored_pixels() if stored is None else stored
        body_pixels = native_pixels(plane, implicit=implicit, big_endian=big_endian)
    else:
        body_pixels = pixels if isinstance(pixels, bytes) else encapsulated(pixels)
    body = data_set(changes, syntax=syntax) + body_pixels
    if syntax == DEFLATED:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = deflater.compress(body) + deflater.flush()
    return file_meta(syntax) + body
