from __future__ import annotations

import math

import pytest

from appliance.ingest import DEFAULT_LIMITS, IngestLimits, SliceRefusedError
from appliance.ingest.header import Header, Tag
from appliance.ingest.part10 import open_part10
from appliance.ingest.plane import (
    build_geometry,
    check_matrix,
    check_plane,
    read_geometry,
    read_thickness,
    read_tilt,
)
from appliance.scan.geometry import SliceGeometry
from appliance.scan.verdicts import RefusalReason
from tests.ingest import synthetic as dicom


def header(changes: dicom.Changes) -> Header:
    return Header(open_part10(dicom.ct_file(changes), DEFAULT_LIMITS))


def tilted(degrees: float) -> SliceGeometry:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return build_geometry((0, 0, 0), (1, 0, 0, 0, cosine, -sine), (1, 1), (64, 64), 1)


@pytest.mark.parametrize(
    ("rows", "columns", "reason"),
    [
        (101, 50, RefusalReason.TOO_LARGE),
        (50, 101, RefusalReason.TOO_LARGE),
        (9, 50, RefusalReason.MALFORMED),
        (50, 0, RefusalReason.MALFORMED),
    ],
)
def test_matrix_beyond_its_limits(rows: int, columns: int, reason: RefusalReason) -> None:
    limits = IngestLimits(max_rows=100, max_columns=100, min_matrix=10)
    check_matrix(100, 10, limits)
    with pytest.raises(SliceRefusedError) as caught:
        check_matrix(rows, columns, limits)
    assert caught.value.refusal.reason is reason


@pytest.mark.parametrize(
    ("plane", "gantry", "reason"),
    [
        (25.5, 0, RefusalReason.GANTRY_TILT),
        (0, -26, RefusalReason.GANTRY_TILT),
        (31, 0, RefusalReason.NOT_AXIAL),
        (31, 31, RefusalReason.NOT_AXIAL),
        (90, 0, RefusalReason.NOT_AXIAL),
    ],
)
def test_tilt_of_a_gantry_is_told_from_another_plane(
    plane: float, gantry: float, reason: RefusalReason
) -> None:
    with pytest.raises(SliceRefusedError) as caught:
        check_plane(tilted(plane), gantry, DEFAULT_LIMITS)
    assert caught.value.refusal.reason is reason


@pytest.mark.parametrize("degrees", [0, 3, 24.9, -24.9])
def test_tilt_below_the_limit_passes(degrees: float) -> None:
    check_plane(tilted(degrees), degrees, DEFAULT_LIMITS)


def test_larger_of_two_tilts_is_read() -> None:
    assert read_tilt(header({Tag.GANTRY_DETECTOR_TILT: "-4"}), tilted(2)) == 4
    assert read_tilt(header({Tag.GANTRY_DETECTOR_TILT: "1"}), tilted(2)) == pytest.approx(2)
    assert read_tilt(header({Tag.GANTRY_DETECTOR_TILT: "steep"}), tilted(0)) == 0


@pytest.mark.parametrize(
    ("text", "thickness"), [("2.5", 2.5), ("0", None), ("-1", None), ("thin", None), (None, None)]
)
def test_thickness(text: str | None, thickness: float | None) -> None:
    assert read_thickness(header({Tag.SLICE_THICKNESS: text})) == thickness


def test_geometry_is_that_of_the_header() -> None:
    geometry = read_geometry(header({Tag.PIXEL_SPACING: "0.5\\0.75"}), DEFAULT_LIMITS)
    assert geometry.position == (-90, -80, -70)
    assert geometry.spacing == (0.5, 0.75)
    assert (geometry.rows, geometry.columns) == (dicom.SIZE, dicom.SIZE)


@pytest.mark.parametrize("tag", [Tag.IMAGE_POSITION, Tag.IMAGE_ORIENTATION, Tag.PIXEL_SPACING])
@pytest.mark.parametrize("value", [None, "", "1", "x\\y\\z"])
def test_missing_geometry_is_named(tag: Tag, value: str | None) -> None:
    with pytest.raises(SliceRefusedError) as caught:
        read_geometry(header({tag: value}), DEFAULT_LIMITS)
    assert caught.value.refusal.reason is RefusalReason.NO_GEOMETRY
