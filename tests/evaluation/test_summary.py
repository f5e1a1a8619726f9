from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from calibration.evaluation import CaseFigures, RegionFigures, compare, overall
from tests.evaluation.made_cases import made_case, made_masks


def figures(
    name: str, section: str, dice: float | None, po: float | None, reference: float | None
) -> CaseFigures:
    one = np.ones((1, 2, 2))
    plain = compare(made_case(one, one), made_masks(one, one))
    lesion = RegionFigures(dice=dice, volume_ml=9.0, volume_reference_ml=10.0 + (po or 0))
    return replace(
        plain, case=name, section=section, lesion=lesion, po=po, po_reference=reference, pho=po
    )


CASES = [
    figures("a", "thin", 0.9, 12.0, 10.0),
    figures("b", "thick", 0.8, 3.0, 4.0),
    figures("c", "thick", 0.2, 0.6, 0.4),
    figures("d", "thick", None, None, None),
]


def test_means_and_worst_over_the_cases_that_have_a_figure() -> None:
    found = overall(CASES)
    assert found["cases"] == 4
    assert found["cases_without_score"] == 1
    assert found["dice_lesion_mean"] == pytest.approx((0.9 + 0.8 + 0.2) / 3)
    assert found["dice_lesion_worst"] == 0.2
    assert found["po_error_mean"] == pytest.approx((2 + 1 + 0.2) / 3)
    assert found["po_error_worst"] == pytest.approx(2)
    assert found["dice_lung_worst"] == 1
    assert found["false_negative_lesion_mean"] is None


def test_differences_have_a_mean_with_and_without_sign() -> None:
    denser = [
        replace(CASES[0], lung=RegionFigures(hu=-800.0 + step, hu_reference=-800.0))
        for step in (-4.0, 10.0)
    ]
    found = overall(denser)
    assert found["hu_difference_lung_mean"] == pytest.approx(3)
    assert found["hu_difference_lung_mean_absolute"] == pytest.approx(7)
    assert found["hu_difference_lung_worst"] == pytest.approx(10)


def test_sections_apart_and_thick_ones_with_opacity() -> None:
    parts = overall(CASES)["sections"]
    assert isinstance(parts, dict)
    assert set(parts) == {"thin", "thick", "thick_with_opacity"}
    assert parts["thick"]["cases"] == 3
    assert parts["thick_with_opacity"]["cases"] == 1
    assert parts["thick_with_opacity"]["dice_lesion_mean"] == 0.8


def test_agreement_is_part_of_it_and_all_of_it_is_json() -> None:
    found = overall(CASES)
    assert isinstance(found["po"], dict)
    assert found["po"]["cases"] == 3
    assert found["po"]["pearson"]["coefficient"] > 0.9
    json.dumps(found, allow_nan=False)
    json.dumps(overall([]), allow_nan=False)
