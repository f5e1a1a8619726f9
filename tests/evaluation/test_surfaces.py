from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from calibration.evaluation.measures import Mask
from calibration.evaluation.surfaces import SurfaceDistances, surface_distances

SPACING = (5.0, 2.0, 1.0)
ALL = np.ones(4, bool)
MASKS = st.tuples(arrays(bool, (4, 5, 6)), arrays(bool, (4, 5, 6)), arrays(bool, 4))


def block(first: int, last: int, shift: int = 0, slices: int = 6) -> Mask:
    """A block of 4 x 4 pixels in the slices `first` to `last`."""
    mask = np.zeros((slices, 10, 12), bool)
    mask[first : last + 1, 3:7, 3 + shift : 7 + shift] = True
    return mask


def test_one_pixel_beside_another() -> None:
    one, other = np.zeros((2, 4, 5, 6), bool)
    one[1, 2, 1], other[1, 2, 4] = True, True
    assert surface_distances(one, other, ALL, SPACING) == SurfaceDistances(3.0, 3.0)
    other = np.roll(other, 1, axis=0)
    far = (3.0**2 + 5.0**2) ** 0.5
    found = surface_distances(one, other, ALL, SPACING)
    assert found.average_hausdorff_mm == pytest.approx(far, rel=1e-6)
    assert found.mean_surface_mm == pytest.approx(far, rel=1e-6)


def test_shifted_blocks_by_hand() -> None:
    # One column of four lies outside the other block, 1 mm away: a quarter of each block.
    found = surface_distances(block(0, 5), block(0, 5, shift=1), np.ones(6, bool), SPACING)
    assert found.average_hausdorff_mm == pytest.approx(0.25)
    # Of the 12 pixels of each contour on a slice, the 4 of the outer column and the 2 inner ones
    # of the opposite column lie 1 mm from the other contour, the other 6 on it.
    assert found.mean_surface_mm == pytest.approx(0.5)


@settings(deadline=None, max_examples=50)
@given(MASKS)
def test_distances_are_symmetric(masks: tuple[Mask, Mask, Mask]) -> None:
    one, other, labelled = masks
    there = surface_distances(one, other, labelled, SPACING)
    back = surface_distances(other, one, labelled, SPACING)
    assert there.average_hausdorff_mm == pytest.approx(back.average_hausdorff_mm)
    assert there.mean_surface_mm == pytest.approx(back.mean_surface_mm)


@settings(deadline=None, max_examples=50)
@given(arrays(bool, (4, 5, 6)))
def test_a_mask_lies_on_itself(mask: Mask) -> None:
    expected = SurfaceDistances(0.0, 0.0) if mask.any() else SurfaceDistances()
    assert surface_distances(mask, mask, ALL, SPACING) == expected


@settings(deadline=None, max_examples=50)
@given(MASKS, arrays(bool, (4, 5, 6)))
def test_what_was_found_on_unlabelled_slices_does_not_matter(
    masks: tuple[Mask, Mask, Mask], other_finding: Mask
) -> None:
    found, reference, labelled = masks
    changed = np.where(labelled[:, None, None], found, other_finding)
    assert surface_distances(changed, reference, labelled, SPACING) == surface_distances(
        found, reference, labelled, SPACING
    )


def test_where_labelled_slices_end_there_is_no_surface() -> None:
    """Ends drawn there would lie on each other and draw the mean down."""
    labelled = np.array([0, 1, 1, 1, 0, 0], bool)
    cut = surface_distances(block(0, 5), block(0, 5, shift=1), labelled, SPACING)
    whole = surface_distances(block(0, 5), block(0, 5, shift=1), np.ones(6, bool), SPACING)
    assert cut == whole


def test_a_true_end_is_a_surface() -> None:
    labelled = np.ones(6, bool)
    same_end = surface_distances(block(1, 3), block(1, 3, shift=1), labelled, SPACING)
    open_end = surface_distances(block(0, 5), block(0, 5, shift=1), labelled, SPACING)
    assert same_end.mean_surface_mm is not None
    assert open_end.mean_surface_mm is not None
    assert same_end.mean_surface_mm < open_end.mean_surface_mm


def test_nothing_has_no_distance() -> None:
    nothing = np.zeros((6, 10, 12), bool)
    assert surface_distances(nothing, block(0, 5), np.ones(6, bool), SPACING) == SurfaceDistances()
    nowhere = surface_distances(block(0, 5), block(0, 5), np.zeros(6, bool), SPACING)
    assert nowhere == SurfaceDistances()
