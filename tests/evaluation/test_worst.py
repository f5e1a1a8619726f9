from __future__ import annotations

import numpy as np
import pytest

from calibration.evaluation.worst import worst_of, worst_slices
from tests.evaluation.made_cases import made_case, made_masks

WRONG = [0, 3, 5, 4, 0, 0, 2, 9]


def made() -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.uint8]], ...]:
    """Lesion labels and findings that differ in WRONG pixels, and lung of 10 pixels a slice."""
    label, found, lung = np.zeros((3, len(WRONG), 4, 5), np.uint8)
    lung[:, :2] = 1
    for index, wrong in enumerate(WRONG):
        label[index].flat[: wrong // 2] = 1
        found[index].flat[10 : 10 + wrong - wrong // 2] = 1
    label[7] = 255
    return label, found, lung


def test_worst_first_and_apart() -> None:
    label, found, lung = made()
    worst = worst_slices(made_case(label, lung, spacing_mm=(12, 1, 1)), made_masks(found, lung))
    # Slices 2 and 4 lie 12 mm from the worst; nobody labelled the last.
    assert [one.number for one in worst] == [3, 7]
    assert worst[0].missed == pytest.approx(100 * 2 / 10)
    assert worst[0].painted == pytest.approx(100 * 3 / 10)
    assert worst[0].slices == 8
    near = worst_slices(made_case(label, lung, spacing_mm=(30, 1, 1)), made_masks(found, lung))
    assert [one.number for one in near] == [3, 4, 2, 7]
    assert [one.number for one in worst_of([*near, *worst], shown=2)] == [3, 3]


def test_a_right_case_has_none() -> None:
    label, _, lung = made()
    assert not worst_slices(made_case(label, lung), made_masks(label == 1, lung))


def test_a_case_without_any_lung_is_ranked_too() -> None:
    label, _, lung = made()
    nothing = np.zeros_like(lung)
    (worst,) = worst_slices(made_case(label, nothing), made_masks(nothing, nothing), shown=1)
    assert worst.missed == pytest.approx(100 * 2 / 20)
