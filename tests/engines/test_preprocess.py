from __future__ import annotations

import numpy as np
import pytest

from engines.preprocess import Frame, Image, Preparer, Restorer

WINDOW = (-1350.0, 250.0)
SIZE = (64, 64)


@pytest.fixture(scope="module")
def preparer() -> Preparer:
    return Preparer(WINDOW, SIZE, batch=4)


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return Restorer(0.5, batch=4)


def image(rows: int, columns: int, hu: int | np.ndarray, **spacing: float) -> Image:
    plane = np.full((rows, columns), hu) if isinstance(hu, int) else hu
    return Image(plane.astype(np.int16), Frame(rows, columns, **spacing))


@pytest.mark.parametrize(
    ("hu", "expected"),
    [(-32768, 0.0), (-1350, 0.0), (-550, 0.5), (250, 1.0), (32767, 1.0), (-1349, 1 / 1600)],
)
def test_window(preparer: Preparer, hu: int, expected: float) -> None:
    (plane,) = preparer.prepare([image(64, 64, hu)])
    assert plane.dtype == np.float32
    assert np.allclose(plane, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "columns", "spacing", "fitted"),
    [
        (128, 128, {}, (64, 64)),
        (100, 50, {}, (64, 32)),
        (51, 100, {}, (33, 64)),
        (64, 64, {"row_mm": 1.0, "column_mm": 2.0}, (32, 64)),
        (1, 300, {}, (1, 64)),
    ],
)
def test_the_whole_field_of_view_is_fitted_and_padded_with_air(
    preparer: Preparer,
    restorer: Restorer,
    rows: int,
    columns: int,
    spacing: dict[str, float],
    fitted: tuple[int, int],
) -> None:
    picture = image(rows, columns, 100, **spacing)
    (plane,) = preparer.prepare([picture])
    assert picture.frame.fitted(SIZE) == fitted
    assert np.count_nonzero(plane) == fitted[0] * fitted[1]
    (mask,) = restorer.restore([plane], [picture.frame])
    assert mask.shape == (rows, columns)
    assert mask.all(), "the padding must not eat into the image"


def test_what_is_prepared_and_restored_stays_in_its_place(
    preparer: Preparer, restorer: Restorer
) -> None:
    hu = np.full((200, 150), -1350)
    hu[40:120, 30:60] = 250
    picture = image(200, 150, hu)
    (mask,) = restorer.restore(preparer.prepare([picture]), [picture.frame])
    truth = hu > 0
    dice = 2 * np.count_nonzero(mask & truth) / (mask.sum() + truth.sum())
    assert dice > 0.97


def test_a_result_does_not_depend_on_what_shares_its_batch(
    preparer: Preparer, restorer: Restorer
) -> None:
    noise = np.random.default_rng(0)
    pictures = [
        image(rows, columns, noise.integers(-1024, 400, (rows, columns)))
        for rows, columns in ((96, 96), (80, 120), (64, 64), (128, 90), (70, 70))
    ]
    together = preparer.prepare(pictures)
    masks = restorer.restore(together, [picture.frame for picture in pictures])
    for picture, plane, mask in zip(pictures, together, masks, strict=True):
        (alone,) = preparer.prepare([picture])
        assert np.array_equal(alone, plane)
        assert np.array_equal(restorer.restore([alone], [picture.frame])[0], mask)


def test_images_prepared_together_are_as_if_prepared_alone(preparer: Preparer) -> None:
    noise = np.random.default_rng(2)
    hu = [noise.integers(-1024, 400, (96, 80)).astype(np.int16) for _ in range(9)]
    wide, turned = Frame(96, 80, column_mm=1.3), Frame(80, 96)
    pictures = [Image(plane, Frame(96, 80)) for plane in hu]
    pictures += [Image(plane[::-1, ::-1], wide) for plane in hu[:5]]
    pictures += [Image(plane.T, turned) for plane in hu[:5]] + pictures[:1]
    for picture, plane in zip(pictures, preparer.prepare(pictures), strict=True):
        (alone,) = preparer.prepare([picture])
        np.testing.assert_array_equal(plane, alone)


def test_a_plane_that_is_kept_keeps_no_other(preparer: Preparer) -> None:
    planes = preparer.prepare([image(64, 64, hu) for hu in (0, 100, 200, 300, 400)])
    assert [plane.base for plane in planes] == [None] * 5


def test_planes_restored_together_are_as_if_restored_alone(restorer: Restorer) -> None:
    noise = np.random.default_rng(1)
    frames = [Frame(100, 90), Frame(100, 90, row_mm=1.2), Frame(64, 128)]
    chosen = [frames[number] for number in (0, 0, 0, 0, 0, 1, 1, 2, 0, 2, 2, 2, 2, 2)]
    planes = [noise.random(SIZE, np.float32) for _ in chosen]
    planes[2][:] = 0.25
    for plane, frame, mask in zip(planes, chosen, restorer.restore(planes, chosen), strict=True):
        (alone,) = restorer.restore([plane], [frame])
        np.testing.assert_array_equal(mask, alone)
        assert mask.any() != (plane is planes[2])


def test_a_run_that_failed_leaves_nothing_behind(preparer: Preparer) -> None:
    """What was fed to it must not come out of the next run."""
    for bad in (
        Image(np.full((64, 64), 250, np.int16), Frame(64, 64, row_mm=1e308)),
        Image(np.full((64, 64, 1), 250, np.int16), Frame(64, 64)),
    ):
        with pytest.raises((OverflowError, ValueError, RuntimeError, TypeError)):
            preparer.prepare([bad])
    for hu, expected in ((-550, 0.5), (250, 1.0), (-1350, 0.0)):
        (plane,) = preparer.prepare([image(64, 64, hu)])
        assert np.allclose(plane, expected)


def test_planes_below_the_threshold_are_empty(restorer: Restorer) -> None:
    (mask,) = restorer.restore([np.full(SIZE, 0.49, np.float32)], [Frame(128, 128)])
    assert mask.shape == (128, 128)
    assert not mask.any()
