"""Left and right lung."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.lobes.sides import split_sides
from tests.lobes.made_lungs import SPACING, made_lobes


@pytest.mark.parametrize("touching", [False, True])
def test_lungs_part_also_where_they_touch(touching: bool) -> None:
    labels = made_lobes(touching=touching)
    right, left = split_sides(labels > 0, SPACING)
    assert not (right & left).any()
    np.testing.assert_array_equal(right | left, labels > 0)
    wrong = (right & (labels > 3)) | (left & (labels > 0) & (labels <= 3))
    assert wrong.sum() < 0.005 * (labels > 0).sum()


def test_specks_go_to_the_side_they_lie_on() -> None:
    labels = made_lobes()
    lung = labels > 0
    lung[2, 40, 5] = lung[2, 40, 75] = True
    right, left = split_sides(lung, SPACING)
    assert right[2, 40, 5]
    assert left[2, 40, 75]


def test_one_lung_does_not_part() -> None:
    with pytest.raises(ValueError, match="does not part"):
        split_sides(np.isin(made_lobes(), (1, 2, 3)), SPACING)
