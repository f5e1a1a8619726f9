from __future__ import annotations

import struct

import numpy as np
import pytest

from appliance.ingest.rle import decode_rle


def frame(high: bytes, low: bytes, *, count: int = 2) -> bytes:
    offsets = struct.pack("<3L", count, 64, 64 + len(high))
    return offsets + bytes(64 - len(offsets)) + high + low


def test_runs_literals_and_nothings() -> None:
    """The worked kinds of PackBits run (PS3.5 annex G.3.1): copy 4, repeat 4, skip."""
    decoded = decode_rle(frame(b"\xfd\x01", b"\x80\x03\x0a\x0b\x0c\x0d"), 2, 2)
    np.testing.assert_array_equal(decoded, [[0x010A, 0x010B], [0x010C, 0x010D]])


def test_zero_byte_that_makes_a_segment_even() -> None:
    high = b"\x03\x01\x02\x03\x04\x00"
    assert decode_rle(frame(high, b"\xfd\x07\x00"), 2, 2)[1, 1] == 0x0407


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        bytes(64),
        frame(b"\xfd\x01", b"\xfd\x01", count=1),
        frame(b"\xfd\x01", b"\xfe\x01"),
        frame(b"\xfd\x01", b"\xfc\x01"),
        frame(b"\xfd\x01", b"\x7f\x01"),
        struct.pack("<3L", 2, 64, 2**32 - 1) + bytes(100),
        struct.pack("<3L", 2, 0, 64) + bytes(100),
    ],
)
def test_damage_is_a_value_error(damaged: bytes) -> None:
    with pytest.raises(ValueError, match="RLE"):
        decode_rle(damaged, 2, 2)
