from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from appliance.ingest.codestream import read_jpeg_2000_header, read_jpeg_header
from appliance.ingest.widening import Coding, WideFrame, Words, widen_jpeg, widen_jpeg_2000
from tests.ingest import codecs
from tests.ingest.codecs import Plane

RANDOM = np.random.default_rng(3)


def plane(precision: int, signed: bool = False) -> Plane:
    span = 1 << precision
    samples = RANDOM.integers(0, span, (40, 56))
    if signed:
        return (samples - span // 2).astype(np.int16)
    return samples.astype(np.uint16)


def widened_2000(frame: bytes) -> WideFrame | None:
    return widen_jpeg_2000(frame, read_jpeg_2000_header(frame))


def widened_jpeg(frame: bytes) -> WideFrame | None:
    return widen_jpeg(frame, read_jpeg_header(frame))


def words(wide: WideFrame | None, decoded: Words) -> Words | None:
    assert wide is not None
    assert decoded.dtype == np.uint16
    return wide.narrowed(decoded)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("precision", [9, 10, 12, 13, 15, 16])
def test_jpeg_2000_comes_back_bit_for_bit(precision: int, signed: bool) -> None:
    given = plane(precision, signed)
    wide = widened_2000(codecs.jpeg_2000(given, precision))
    assert wide is not None
    assert wide.coding is Coding.JPEG_2000
    header = read_jpeg_2000_header(wide.data)
    assert (header.precision, header.signed) == (16, False)
    found = words(wide, imagecodecs.jpeg2k_decode(wide.data))
    np.testing.assert_array_equal(found, given.view(np.uint16))


@pytest.mark.parametrize("signed", [False, True])
def test_htj2k_comes_back_bit_for_bit(signed: bool) -> None:
    given = plane(12, signed)
    wide = widened_2000(codecs.htj2k(given))
    assert wide is not None
    assert wide.coding is Coding.HTJ2K
    found = words(wide, imagecodecs.jpeg2k_decode(wide.data))
    np.testing.assert_array_equal(found, given.view(np.uint16))


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("precision", [9, 12, 13, 16])
def test_jpeg_lossless_comes_back_bit_for_bit(precision: int, predictor: int) -> None:
    """By libjpeg-turbo, which reads every depth: the constant is what T.81 says it is."""
    given = plane(precision)
    frame = bytes(
        imagecodecs.jpeg8_encode(given, lossless=True, predictor=predictor, bitspersample=precision)
    )
    wide = widened_jpeg(frame)
    assert wide is not None
    assert read_jpeg_header(wide.data).precision == 16
    found = words(wide, imagecodecs.jpeg8_decode(wide.data))
    np.testing.assert_array_equal(found, given)


def test_a_sample_beyond_its_depth_is_for_the_cpu() -> None:
    wide = widened_2000(codecs.jpeg_2000(plane(12), 12))
    assert wide is not None
    samples = np.full((2, 2), 32768 + 2047, np.uint16)
    assert words(wide, samples) is not None
    for beyond in (32768 + 2048, 32768 - 2049):
        samples[1, 1] = beyond
        assert words(wide, samples) is None


def test_what_loses_something_is_for_the_cpu() -> None:
    lossy = imagecodecs.jpeg2k_encode(plane(16), level=40, codecformat="j2k", reversible=False)
    assert widened_2000(bytes(lossy)) is None
    extended = imagecodecs.jpeg8_encode(plane(12), level=90, bitspersample=12)
    assert widened_jpeg(bytes(extended)) is None
    frame = bytearray(codecs.jpeg_lossless(plane(12), 12))
    start_of_scan = frame.index(b"\xff\xda")
    frame[start_of_scan + 9] |= 1  # a point transform
    assert widened_jpeg(bytes(frame)) is None


def test_an_image_away_from_the_origin_is_for_the_cpu() -> None:
    frame = bytearray(codecs.jpeg_2000(plane(12), 12))
    frame[19] = 1
    assert widened_2000(bytes(frame)) is None


@pytest.mark.parametrize("part", [0.02, 0.1, 0.5, 0.97])
def test_what_is_cut_short_is_for_the_cpu(part: float) -> None:
    """Even where someone put an end mark behind the cut, which decoders take for the end."""
    for frame in (codecs.jpeg_2000(plane(12), 12), codecs.htj2k(plane(12))):
        cut = frame[: max(45, int(len(frame) * part))] + b"\xff\xd9"
        assert widen_jpeg_2000(cut, read_jpeg_2000_header(frame)) is None


def test_damaged_headers_are_no_frames_and_no_errors() -> None:
    for frame in (codecs.jpeg_2000(plane(12), 12), codecs.jpeg_lossless(plane(12), 12)):
        is_2000 = frame.startswith(b"\xff\x4f")
        header = read_jpeg_2000_header(frame) if is_2000 else read_jpeg_header(frame)
        widen = widen_jpeg_2000 if is_2000 else widen_jpeg
        for _ in range(300):
            damaged = bytearray(frame)
            for place in RANDOM.integers(0, 140, 4):
                damaged[place] = RANDOM.integers(0, 256)
            wide = widen(bytes(damaged), header)
            assert wide is None or len(wide.data) == len(frame)
        assert widen(b"", header) is None
