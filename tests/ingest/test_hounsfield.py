from __future__ import annotations

import math

import numpy as np
import pytest

from appliance.ingest import DEFAULT_LIMITS, SliceRefusedError, read_dicom
from appliance.ingest.header import Tag
from appliance.ingest.hounsfield import Rescale, check_rescale
from appliance.scan.verdicts import RefusalReason
from tests.ingest import synthetic as dicom


def test_whole_slope_and_fractional_slope() -> None:
    stored = np.array([0, 1000, 2000, -2000, 30000], np.int16)
    assert Rescale(1, -1024).to_hu(stored).tolist() == [-1024, -24, 976, -1024, 28976]
    assert Rescale(2.0002442, -1024).to_hu(stored).tolist() == [-1024, 976, 2976, -1024, 32767]


def test_extremes_are_clamped_not_wrapped() -> None:
    stored = np.array([0, 65535], np.uint16)
    assert Rescale(1, 0).to_hu(stored).tolist() == [0, 32767]
    assert Rescale(1, -65535 * 4).to_hu(stored).tolist() == [-1024, -1024]
    assert Rescale(8, 1e30).to_hu(stored).tolist() == [32767, 32767]


def test_padding_inside_the_hu_range_becomes_padding() -> None:
    stored = np.array([0, 5, 6, 9, 10], np.int16)
    assert Rescale(1, 0, padding=(5, 9)).to_hu(stored).tolist() == [0, -1024, -1024, -1024, 10]


@pytest.mark.parametrize(
    ("value", "limit", "expected"),
    [(b"\x30\xf8", None, -1009), (b"\x0a\x00", b"\x14\x00", -1024), (b"\x0f\x00", None, -1024)],
)
def test_padding_value_of_a_file(value: bytes, limit: bytes | None, expected: int) -> None:
    stored = np.full((dicom.SIZE, dicom.SIZE), 15, np.int16)
    stored[0, 0] = -2000
    changes = {Tag.PIXEL_PADDING_VALUE: value, Tag.PIXEL_PADDING_RANGE_LIMIT: limit}
    hu = read_dicom(dicom.ct_file(changes, stored=stored)).hu
    assert hu[0, 0] == -1024
    assert hu[5, 5] == expected


@pytest.mark.parametrize(
    ("slope", "intercept", "reason"),
    [
        (None, 0.0, RefusalReason.NO_RESCALE),
        (1.0, None, RefusalReason.NO_RESCALE),
        (0.0, 0.0, RefusalReason.NO_RESCALE),
        (-1.0, 0.0, RefusalReason.NO_RESCALE),
        (math.nan, 0.0, RefusalReason.NO_RESCALE),
        (1.0, math.inf, RefusalReason.NO_RESCALE),
        (8.01, 0.0, RefusalReason.LOSSY_TOO_COARSE),
    ],
)
def test_unusable_rescale(
    slope: float | None, intercept: float | None, reason: RefusalReason
) -> None:
    with pytest.raises(SliceRefusedError) as caught:
        check_rescale(slope, intercept, DEFAULT_LIMITS)
    assert caught.value.refusal.reason is reason
