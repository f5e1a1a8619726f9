from __future__ import annotations

import numpy as np

from appliance.cli.masks.overlays import overlay, windowed
from appliance.scan.geometry import Orientation, SliceGeometry
from appliance.scan.slice import Slice, SliceHeader


def image(orientation: Orientation = (1, 0, 0, 0, 1, 0)) -> Slice:
    geometry = SliceGeometry((0, 0, 0), orientation, (1, 1), 10, 10)
    header = SliceHeader("1.2", "1", "", geometry, b"")
    return Slice(header, np.full((10, 10), -600, np.int16))


def masks() -> tuple[np.ndarray, np.ndarray]:
    lung, lesion = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    lung[2:8, 1:8] = True
    lesion[4, 3] = True
    return lesion, lung


def test_lesion_is_tinted_and_the_lung_has_an_outline() -> None:
    pixels = np.asarray(overlay(image(), *masks()))
    assert pixels.shape == (10, 10, 3)
    grey = [128, 128, 128]
    assert pixels[0, 0].tolist() == grey
    assert pixels[5, 5].tolist() == grey
    red, green, blue = pixels[4, 3].tolist()
    assert red > 150 > green > blue
    assert pixels[2, 1].tolist() == pixels[7, 7].tolist() == [70, 200, 255]


def test_a_slice_that_lies_turned_is_shown_upright() -> None:
    upright = np.asarray(overlay(image(), *masks()))
    turned = np.asarray(overlay(image((-1, 0, 0, 0, -1, 0)), *masks()))
    np.testing.assert_array_equal(turned, upright[::-1, ::-1])


def test_the_lung_window() -> None:
    hu = np.array([-2000, -1350, -600, 150, 3000], np.int16)
    assert windowed(hu).tolist() == [0, 0, 127.5, 255, 255]
