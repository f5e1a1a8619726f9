from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from calibration.evaluation.measures import Mask, Overlap, mean_hu, percent_difference, percent_of

MASKS = st.tuples(arrays(bool, (3, 4, 5)), arrays(bool, (3, 4, 5)))


def test_counts_by_hand() -> None:
    found = np.array([1, 1, 1, 0, 0, 0], bool)
    reference = np.array([0, 1, 1, 1, 1, 0], bool)
    overlap = Overlap.of(found, reference)
    assert overlap == Overlap(found=3, reference=4, both=2)
    assert overlap.dice == pytest.approx(4 / 7)
    assert overlap.jaccard == pytest.approx(2 / 5)
    assert overlap.false_negative == pytest.approx(2 / 4)
    assert overlap.false_positive == pytest.approx(1 / 3)


@given(MASKS)
def test_dice_and_jaccard_belong_together(masks: tuple[Mask, Mask]) -> None:
    overlap = Overlap.of(*masks)
    if overlap.dice is None:
        assert overlap.jaccard is None
        assert not masks[0].any()
        assert not masks[1].any()
        return
    assert overlap.jaccard == pytest.approx(overlap.dice / (2 - overlap.dice))
    assert 0 <= overlap.jaccard <= overlap.dice <= 1


@given(MASKS)
def test_exchanged_masks_exchange_the_kinds_of_error(masks: tuple[Mask, Mask]) -> None:
    there, back = Overlap.of(*masks), Overlap.of(*masks[::-1])
    assert there.dice == back.dice
    assert there.false_negative == back.false_positive
    if there.dice and there.false_negative is not None and there.false_positive is not None:
        found, missed = 1 - there.false_positive, 1 - there.false_negative
        assert there.dice == pytest.approx(2 * found * missed / (found + missed))


@given(arrays(bool, (3, 4, 5)))
def test_a_mask_agrees_with_itself(mask: Mask) -> None:
    overlap = Overlap.of(mask, mask)
    assert overlap.dice == (1 if mask.any() else None)
    assert overlap.false_negative == (0 if mask.any() else None)


def test_differences_have_the_sign_of_too_much_and_too_dense() -> None:
    assert percent_difference(11.0, 10.0) == pytest.approx(10)
    assert percent_difference(-600.0, -800.0) == pytest.approx(25)
    assert percent_difference(5.0, 0.0) is None
    assert percent_difference(None, 5.0) is None


def test_without_a_whole_there_is_no_percentage() -> None:
    assert percent_of(1, 8) == 12.5
    assert percent_of(0, 0) is None


def test_mean_hu_does_not_overflow() -> None:
    hu = np.full((300, 300), -1000, np.int16)
    assert mean_hu(hu, np.ones((300, 300), bool)) == -1000
    assert mean_hu(hu, np.zeros((300, 300), bool)) is None
