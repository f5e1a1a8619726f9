from __future__ import annotations

import numpy as np
import pytest

from appliance.ingest import SliceRefusedError, read_dicom, read_raw
from appliance.scan.verdicts import NoticeReason, RefusalReason
from breathhold.v1.scan_pb2 import RawSlice
from tests.ingest import synthetic as dicom


def raw_slice(**changes: object) -> RawSlice:
    values: dict[str, object] = {
        "sop_instance_uid": dicom.SOP_UID,
        "rows": dicom.SIZE,
        "columns": dicom.SIZE,
        "pixels": dicom.stored_pixels().astype("<i2").tobytes(),
        "rescale_slope": 1.0,
        "rescale_intercept": -1024.0,
        "image_position": [-90, -80, -70],
        "image_orientation": [1, 0, 0, 0, 1, 0],
        "pixel_spacing": [0.7, 0.7],
        "slice_thickness": 1.25,
    }
    return RawSlice(**{**values, **changes})  # type: ignore[arg-type]


def test_raw_slice_equals_the_same_slice_as_dicom() -> None:
    raw = read_raw(raw_slice(), dicom.SERIES_UID)
    same = read_dicom(dicom.ct_file())
    np.testing.assert_array_equal(raw.hu, same.hu)
    assert raw.header.digest == same.header.digest
    assert raw.header.geometry == same.header.geometry
    assert raw.header.series_instance_uid == dicom.SERIES_UID
    assert raw.header.notices == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"sop_instance_uid": ""}, RefusalReason.MALFORMED),
        ({"sop_instance_uid": "../x"}, RefusalReason.MALFORMED),
        ({"rows": 0}, RefusalReason.MALFORMED),
        ({"rows": 2**32 - 1, "columns": 2**32 - 1}, RefusalReason.TOO_LARGE),
        ({"pixels": b""}, RefusalReason.TRUNCATED),
        ({"pixels": bytes(dicom.SIZE**2 * 2 + 2)}, RefusalReason.MALFORMED),
        ({"rescale_slope": 0.0}, RefusalReason.NO_RESCALE),
        ({"rescale_slope": float("nan")}, RefusalReason.NO_RESCALE),
        ({"rescale_slope": 100.0}, RefusalReason.LOSSY_TOO_COARSE),
        ({"image_position": [1, 2]}, RefusalReason.NO_GEOMETRY),
        ({"image_position": [1, 2, float("inf")]}, RefusalReason.NO_GEOMETRY),
        ({"image_orientation": [1, 0, 0, 0, 0, -1]}, RefusalReason.NOT_AXIAL),
        ({"image_orientation": [1, 0, 0, 0, 0.8829476, -0.4694716]}, RefusalReason.GANTRY_TILT),
    ],
)
def test_refusals(changes: dict[str, object], reason: RefusalReason) -> None:
    with pytest.raises(SliceRefusedError) as caught:
        read_raw(raw_slice(**changes), dicom.SERIES_UID)
    assert caught.value.refusal.reason is reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"slice_thickness": 0.0}, NoticeReason.THICKNESS_MISSING),
        ({"pixel_spacing": [0.6, 0.9]}, NoticeReason.NONSQUARE_PIXELS),
        ({"image_orientation": [-1, 0, 0, 0, 1, 0]}, NoticeReason.IMAGE_FLIPPED),
        ({"image_orientation": [1, 0, 0, 0, 0.9986295, -0.052336]}, NoticeReason.GANTRY_TILT),
        ({"rows": 128, "pixels": bytes(128 * dicom.SIZE * 2)}, NoticeReason.SMALL_MATRIX),
    ],
)
def test_notices(changes: dict[str, object], reason: NoticeReason) -> None:
    read = read_raw(raw_slice(**changes), dicom.SERIES_UID)
    assert [notice.reason for notice in read.header.notices] == [reason]
