"""The plot of a course shows its lines, and has one where nothing was scored."""

from __future__ import annotations

import io
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from calibration.evaluation.course import CoursePlotPoint, course_plot

PO, PHO, IHU = (0xD9, 0x5F, 0x02), (0x75, 0x70, 0xB3), (0x1B, 0x9E, 0x77)


def drawn(points: list[CoursePlotPoint], colour: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    with Image.open(io.BytesIO(course_plot(points, "Patient $x_"))) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    found: npt.NDArray[np.bool_] = np.abs(pixels - colour).sum(axis=-1) < 30
    return found


def point(day: int, po: float, ihu: float | None = -400.0) -> CoursePlotPoint:
    return CoursePlotPoint(datetime(2020, 4, day), po, po / 4, ihu, "thin")


def test_higher_scores_are_drawn_higher() -> None:
    rising = drawn([point(1, 5.0), point(9, 40.0)], PO)
    columns = np.flatnonzero(rising.any(axis=0))
    left, right = columns[0] + 3, columns[-1] - 3
    middle = rising.shape[1] // 2
    assert left < middle
    first = np.flatnonzero(rising[:, : middle // 2].any(axis=1)).mean()
    last = np.flatnonzero(rising[120:, middle : right - 90].any(axis=1)).mean() + 120
    assert last < first


@pytest.mark.parametrize("points", [[], [point(1, 0.0, None)]], ids=["none", "no lesion"])
def test_what_has_no_lesion_has_no_density(points: list[CoursePlotPoint]) -> None:
    assert drawn(points, IHU).sum() == 0
    assert (drawn(points, PHO).sum() > 0) == bool(points)
