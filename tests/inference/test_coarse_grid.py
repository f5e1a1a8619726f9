from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.inference.coarse import COARSE, coarse_plane
from appliance.inference.coarse_grid import CoarseGrid
from appliance.scan.geometry import SliceGeometry, from_standard, to_standard
from appliance.scan.masks import encode_runs
from engines.preprocess import Frame, Image, Preparer

SIZE = (256, 256)
ORIENTATIONS = [
    (1, 0, 0, 0, 1, 0),
    (-1, 0, 0, 0, 1, 0),
    (1, 0, 0, 0, -1, 0),
    (-1, 0, 0, 0, -1, 0),
    (0, 1, 0, 1, 0, 0),
    (0, -1, 0, 1, 0, 0),
    (0, 1, 0, -1, 0, 0),
    (0, -1, 0, -1, 0, 0),
]


def geometry(
    orientation: tuple[int, ...] = ORIENTATIONS[0],
    rows: int = 512,
    columns: int = 512,
    spacing: tuple[float, float] = (0.7, 0.7),
) -> SliceGeometry:
    return SliceGeometry((0, 0, 0), tuple(map(float, orientation)), spacing, rows, columns)  # type: ignore[arg-type]


def blob(rows: int, columns: int) -> np.ndarray:
    y, x = np.mgrid[0:rows, 0:columns]
    return ((y - 0.4 * rows) / (0.3 * rows)) ** 2 + ((x - 0.3 * columns) / (0.2 * columns)) ** 2 < 1


@given(
    st.sampled_from(ORIENTATIONS),
    st.integers(20, 600),
    st.integers(20, 600),
    st.sampled_from([(0.7, 0.7), (0.5, 0.9)]),
    st.sampled_from([(256, 256), (64, 64), (192, 192)]),
)
def test_every_pixel_is_in_one_cell_however_the_image_lies(
    orientation: tuple[int, ...],
    rows: int,
    columns: int,
    spacing: tuple[float, float],
    size: tuple[int, int],
) -> None:
    sent = geometry(orientation, rows, columns, spacing)
    mask = blob(rows, columns)
    counted = CoarseGrid(sent, size).count(encode_runs(mask))
    assert counted.sum() == mask.sum()
    turned = np.ascontiguousarray(to_standard(mask, sent))
    mm = spacing[::-1] if sent.transposed else spacing
    standard = geometry(rows=turned.shape[0], columns=turned.shape[1], spacing=mm)
    grids = (CoarseGrid(sent, size), CoarseGrid(standard, size))
    assert grids[0].pixel_mm == grids[1].pixel_mm
    np.testing.assert_array_equal(counted, grids[1].count(encode_runs(turned)))
    runs = (encode_runs(mask), encode_runs(turned))
    np.testing.assert_array_equal(grids[0].sample(runs[0]), grids[1].sample(runs[1]))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(("rows", "columns"), [(512, 512), (400, 512), (301, 200), (64, 64)])
def test_a_mask_lies_where_the_prepared_plane_shows_it(
    orientation: tuple[int, ...], rows: int, columns: int
) -> None:
    """The mask as an image through the real preparation, and its cells, agree but at the edge."""
    shape = geometry(orientation, rows, columns)
    mask = np.asarray(from_standard(blob(rows, columns), shape))
    sent = geometry(orientation, *mask.shape)
    hu = np.where(to_standard(mask, sent), 1000, 0).astype(np.int16)
    image = Image(hu, Frame(rows, columns, 0.7, 0.7))
    (prepared,) = Preparer((0.0, 1000.0), SIZE, 1).prepare([image])
    shown = coarse_plane(prepared) / 255
    grid = CoarseGrid(sent, SIZE)
    sampled = grid.sample(encode_runs(mask))
    assert np.abs(sampled - shown)[np.abs(shown - 0.5) > 0.45].max() <= 0.1
    counted = grid.count(encode_runs(mask))
    assert (counted[shown == 0] == 0).all()
    assert ((counted > 0) <= (shown > 0)).all()


def test_the_distance_of_coarse_pixels() -> None:
    assert CoarseGrid(geometry(), SIZE).pixel_mm == pytest.approx((512 * 0.7 / COARSE,) * 2)
    assert CoarseGrid(geometry(rows=256), SIZE).pixel_mm == pytest.approx((512 * 0.7 / COARSE,) * 2)
