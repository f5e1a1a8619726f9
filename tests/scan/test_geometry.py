from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.scan.geometry import GeometryError, SliceGeometry, from_standard, to_standard

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
EIGHT_WAYS = [
    (sx * (1 - t), sx * t, 0.0, sy * t, sy * (1 - t), 0.0)
    for sx in (1.0, -1.0)
    for sy in (1.0, -1.0)
    for t in (0.0, 1.0)
]


def geometry(orientation: tuple[float, ...] = AXIAL, **changes: object) -> SliceGeometry:
    fields: dict[str, object] = {
        "position": (0.0, 0.0, 10.0),
        "orientation": orientation,
        "spacing": (0.7, 0.8),
        "rows": 3,
        "columns": 4,
    }
    return SliceGeometry(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", EIGHT_WAYS)
def test_any_axial_image_is_turned_to_front_on_top_and_right_on_the_left(
    orientation: tuple[float, ...],
) -> None:
    placed = geometry(orientation)
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    r, c = np.mgrid[0:3, 0:4]
    places = row * c[..., None] + column * r[..., None]
    x, y = to_standard(places[..., 0], placed), to_standard(places[..., 1], placed)
    assert (np.diff(x, axis=1) > 0).all()
    assert (np.diff(y, axis=0) > 0).all()
    assert placed.is_axial


@given(st.sampled_from(EIGHT_WAYS))
def test_turning_back_undoes_it(orientation: tuple[float, ...]) -> None:
    placed = geometry(orientation)
    plane = np.arange(12).reshape(3, 4)
    assert np.array_equal(from_standard(to_standard(plane, placed), placed), plane)


def test_tilt_and_place_along_the_normal() -> None:
    angle = math.radians(18.5)
    tilted = geometry((1.0, 0.0, 0.0, 0.0, math.cos(angle), -math.sin(angle)))
    assert tilted.tilt_degrees == pytest.approx(18.5)
    assert tilted.normal[2] == pytest.approx(math.cos(angle))
    assert geometry().along_mm == 10.0
    assert geometry((-1.0, 0, 0, 0, 1.0, 0)).along_mm == 10.0


def test_whole_numbers_are_numbers_too() -> None:
    assert geometry((1, 0, 0, 0, 1, 0)).along_mm == 10.0


def test_coronal_and_sagittal_are_not_axial() -> None:
    assert not geometry((1.0, 0, 0, 0, 0, -1.0)).is_axial
    assert not geometry((0, 1.0, 0, 0, 0, -1.0)).is_axial


def test_rows_that_run_diagonally_are_not_axial() -> None:
    half = math.sqrt(0.5)
    assert not geometry((half, half, 0, -half, half, 0)).is_axial


@pytest.mark.parametrize(
    "changes",
    [
        {"position": (0.0, math.nan, 0.0)},
        {"position": (0.0, 0.0)},
        {"orientation": (1.0, 0, 0, 1.0, 0, 0)},
        {"orientation": (2.0, 0, 0, 0, 1.0, 0)},
        {"orientation": (0.0,) * 6},
        {"spacing": (0.0, 0.7)},
        {"spacing": (math.inf, 0.7)},
        {"rows": 0},
    ],
)
def test_impossible_geometry_is_an_error(changes: dict[str, object]) -> None:
    with pytest.raises(GeometryError):
        geometry(**changes)
