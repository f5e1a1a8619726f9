from __future__ import annotations

import numpy as np
import pytest

from appliance.ingest import SliceRefusedError, read_dicom
from appliance.ingest.header import Tag
from appliance.ingest.pixels import PixelFormat, extend_sign
from appliance.scan.verdicts import NoticeReason
from tests.ingest import codecs
from tests.ingest import synthetic as dicom


def test_sign_is_extended_from_the_stored_bits() -> None:
    words = np.array([0x0FFF, 0x0800, 0x07FF, 0xF001], np.uint16)
    signed = extend_sign(words, PixelFormat(bits=12, high_bit=11, signed=True))
    unsigned = extend_sign(words, PixelFormat(bits=12, high_bit=11, signed=False))
    assert signed.tolist() == [-1, -2048, 2047, 1]
    assert unsigned.tolist() == [4095, 2048, 2047, 1]


def test_high_bit_above_the_stored_bits() -> None:
    words = np.array([0xFFF0, 0x0010], np.uint16)
    assert extend_sign(words, PixelFormat(12, 15, signed=True)).tolist() == [-1, 1]


def test_twelve_bit_native_slice_ignores_overlay_bits() -> None:
    stored = np.full((dicom.SIZE, dicom.SIZE), 1064, np.int16)
    changes = {Tag.BITS_STORED: 12, Tag.HIGH_BIT: 11, Tag.PIXEL_REPRESENTATION: 0}
    plain = read_dicom(dicom.ct_file(changes, stored=stored)).hu
    overlay = read_dicom(dicom.ct_file(changes, stored=stored | np.int16(0x1000))).hu
    assert (plain == 40).all()
    np.testing.assert_array_equal(plain, overlay)


@pytest.mark.parametrize("header_signed", [0, 1])
@pytest.mark.parametrize("stream_signed", [False, True])
def test_jpeg_2000_of_either_sign(header_signed: int, stream_signed: bool) -> None:
    low = -2000 if stream_signed or header_signed else 0
    values = np.clip(dicom.stored_pixels(), low, 4000)
    plane = values if stream_signed else values.view(np.uint16)
    read = read_dicom(
        dicom.ct_file(
            {Tag.PIXEL_REPRESENTATION: header_signed},
            syntax=dicom.J2K_LOSSLESS,
            pixels=[codecs.jpeg_2000(plane)],
        )
    )
    np.testing.assert_array_equal(read.hu, dicom.expected_hu(values))
    mismatch = stream_signed != bool(header_signed)
    reasons = {notice.reason for notice in read.header.notices}
    assert reasons == ({NoticeReason.SIGN_MISMATCH} if mismatch else set())


def test_thirteen_bit_unsigned_codestream_under_a_signed_header() -> None:
    values = np.clip(dicom.stored_pixels(), -2000, 4000)
    plane = (values.astype(np.int32) & 0x1FFF).astype(np.uint16)
    frame = codecs.jpeg_2000(plane, bits=13)
    changes = {Tag.BITS_STORED: 13, Tag.HIGH_BIT: 12}
    read = read_dicom(dicom.ct_file(changes, syntax=dicom.J2K_LOSSLESS, pixels=[frame]))
    np.testing.assert_array_equal(read.hu, dicom.expected_hu(values))


def test_pixels_of_another_size_than_the_header_says() -> None:
    frame = codecs.jpeg_ls_frame(dicom.stored_pixels(size=128))
    with pytest.raises(SliceRefusedError, match="another image"):
        read_dicom(dicom.ct_file(syntax=dicom.JPEG_LS, pixels=[frame]))
