from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from appliance.ingest import SliceRefusedError
from appliance.ingest.decoders import decode_frame
from appliance.ingest.syntaxes import Codec
from appliance.scan.verdicts import RefusalReason
from tests.ingest import codecs
from tests.ingest import synthetic as dicom

STORED = dicom.stored_pixels(size=64)
ENCODERS: dict[Codec, Callable[[], bytes]] = {
    Codec.RLE: lambda: codecs.rle(STORED),
    Codec.JPEG: lambda: codecs.jpeg_lossless(STORED),
    Codec.JPEG_LS: lambda: codecs.jpeg_ls_frame(STORED),
    Codec.JPEG_2000: lambda: codecs.jpeg_2000(STORED),
}


@pytest.mark.parametrize("codec", ENCODERS)
def test_round_trip(codec: Codec) -> None:
    decoded = decode_frame(codec, ENCODERS[codec](), 64, 64)
    np.testing.assert_array_equal(decoded.words.view(np.int16), STORED)


@pytest.mark.parametrize("codec", ENCODERS)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.97])
def test_cut_frame_is_refused_not_filled_with_noise(codec: Codec, part: float) -> None:
    frame = ENCODERS[codec]()
    with pytest.raises(SliceRefusedError) as caught:
        decode_frame(codec, frame[: int(len(frame) * part)], 64, 64)
    assert caught.value.refusal.reason in (RefusalReason.TRUNCATED, RefusalReason.UNDECODABLE)


@pytest.mark.parametrize("codec", [Codec.JPEG, Codec.JPEG_LS, Codec.JPEG_2000])
def test_padding_after_the_end_mark_is_no_cut(codec: Codec) -> None:
    decoded = decode_frame(codec, ENCODERS[codec]() + b"\x9c\0", 64, 64)
    np.testing.assert_array_equal(decoded.words.view(np.int16), STORED)


@pytest.mark.parametrize("codec", ENCODERS)
def test_damaged_frames_neither_crash_nor_print(
    codec: Codec, capfd: pytest.CaptureFixture[str]
) -> None:
    """Decoders that abort, panic or write to stderr on such data exist."""
    frame = ENCODERS[codec]()
    random = np.random.default_rng(7)
    refused = 0
    for _ in range(300):
        damaged = bytearray(frame)
        for place in random.integers(0, len(frame) - 2, size=4):
            damaged[place] = random.integers(0, 256)
        try:
            decode_frame(codec, bytes(damaged), 64, 64)
        except SliceRefusedError:
            refused += 1
    assert refused > 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("codec", ENCODERS)
def test_nothing_is_undecodable(codec: Codec) -> None:
    with pytest.raises(SliceRefusedError) as caught:
        decode_frame(codec, b"", 64, 64)
    assert caught.value.refusal.reason is RefusalReason.UNDECODABLE
