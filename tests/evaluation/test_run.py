from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.inference.volume import segment_volume
from calibration.evaluation import (
    EvaluationError,
    compare,
    evaluate_case,
    find_cases,
    load_engines,
    read_case,
    segment_case,
)
from calibration.evaluation.cases import slices_of
from engines.models import SHIPPED
from tests.evaluation.made_cases import made_case, made_chest, made_masks, write_case
from tests.tiny_models import write_tiny_repository

#: Cases read for the reference figures: two spacings, partial and whole lung labels.
CHECKED = ("corona006", "medseg2", "medseg8")


def planes(*rows: list[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Slices of one row each."""
    return np.array(rows)[:, None, :]


def test_scores_count_the_slices_with_both_labels() -> None:
    case = made_case(
        lesion=planes([1, 1, 0, 0], [1, 0, 0, 0], [255] * 4),
        lung=planes([1, 1, 1, 0], [255] * 4, [1, 1, 1, 1]),
        hu=planes([-100, -300, -800, 40], [-100] * 4, [-100] * 4),
    )
    found = made_masks(
        lesion=planes([1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]),
        lung=planes([1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]),
    )
    figures = compare(case, found)
    assert figures.slices_with_both_labels == 1
    assert figures.po == pytest.approx(100 * 1 / 4)
    assert figures.pho == pytest.approx(100 * 1 / 4)
    assert figures.po_reference == pytest.approx(100 * 2 / 3)
    assert figures.pho_reference == pytest.approx(100 * 1 / 3)
    assert figures.po_error == pytest.approx(25 - 200 / 3)
    assert figures.po_error_percent == pytest.approx(-62.5)
    assert (figures.po_whole, figures.pho_whole, figures.seconds) == (12.5, 1.5, 0.5)


def test_a_region_counts_the_slices_labelled_for_it() -> None:
    case = made_case(
        lesion=planes([1, 1, 0, 0], [1, 0, 0, 0], [255] * 4),
        lung=planes([1, 1, 1, 0], [255] * 4, [1, 1, 1, 1]),
        hu=planes([-100, -300, -800, 40], [-500] * 4, [-100] * 4),
    )
    found = made_masks(
        lesion=planes([1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]),
        lung=planes([1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]),
    )
    figures = compare(case, found)
    assert figures.lesion.dice == pytest.approx(2 * 2 / (3 + 3))
    assert figures.lesion.false_negative == pytest.approx(1 / 3)
    assert figures.lesion.volume_ml == pytest.approx(3 * 6 / 1000)
    assert figures.lesion.volume_difference_percent == pytest.approx(0)
    assert figures.lesion.hu == pytest.approx((-100 - 500 - 500) / 3)
    assert figures.lesion.hu_reference == pytest.approx((-100 - 300 - 500) / 3)
    assert figures.lung.dice == pytest.approx(2 * 7 / (8 + 7))
    assert figures.lung.volume_difference_ml == pytest.approx(6 / 1000)


def test_a_second_annotation_is_compared_with_both() -> None:
    case = made_case(
        lesion=planes([1, 1, 0, 0]), lung=planes([1, 1, 1, 1]), lesion_b=planes([0, 1, 1, 1])
    )
    figures = compare(case, made_masks(planes([0, 0, 0, 1]), planes([1, 1, 1, 1])))
    assert figures.dice_lesion_b == pytest.approx(2 * 1 / (1 + 3))
    assert figures.dice_annotators == pytest.approx(2 * 1 / (2 + 3))


def test_without_labels_only_the_whole_scan_is_known() -> None:
    nothing = planes([255] * 4, [255] * 4)
    figures = compare(made_case(nothing, nothing), made_masks(nothing * 0, nothing * 0 + 1))
    record = figures.record()
    known = {name for name, value in record.items() if value is not None}
    numbers = {"case", "section", "spacing_mm", "pixel_mm", "slices", "slices_with_both_labels"}
    assert known == numbers | {"po", "pho", "po_whole", "pho_whole", "seconds"}
    assert (figures.po, figures.pho) == (figures.po_whole, figures.pho_whole) == (12.5, 1.5)


def test_without_lung_there_is_no_score() -> None:
    label = planes([1, 1, 0, 0])
    figures = compare(made_case(label, label), made_masks(label * 0, label * 0))
    assert (figures.po, figures.pho) == (None, None)
    assert (figures.po_reference, figures.lung.dice) == (100, 0)


def test_the_record_has_the_names_that_others_read() -> None:
    label = planes([1, 0, 0, 0])
    record = compare(made_case(label, label), made_masks(label, label)).record()
    assert list(record)[:3] == ["case", "dice_lesion", "dice_lung"]
    wanted = {"po", "po_reference", "pho", "pho_reference", "po_whole", "seconds"}
    wanted |= {"jaccard_lung", "false_negative_lesion", "false_positive_lesion", "dice_lesion_b"}
    wanted |= {"average_hausdorff_lung_mm", "mean_surface_distance_lesion_mm"}
    wanted |= {"volume_difference_lesion_ml", "volume_difference_lung_percent"}
    wanted |= {"hu_difference_lesion", "hu_difference_lung_percent"}
    assert wanted <= set(record)


def test_figures_are_those_of_the_daemons_own_path(tmp_path: Path) -> None:
    chest = made_chest()
    noise = np.random.default_rng(1).normal(0, 40, chest.hu.shape)
    chest = replace(chest, hu=np.maximum(chest.hu + noise, -1024).astype(np.int16))
    case = read_case(write_case(tmp_path / "chest", chest))
    np.testing.assert_array_equal(case.hu, chest.hu)
    segmenter, policy = load_engines()
    figures = evaluate_case(case, segmenter, policy)
    results = segment_volume(slices_of(case)[::-1], segmenter, policy)
    lung = sum(result.tally.lung_px for result in results)
    lesion = sum(result.tally.lesion_px for result in results)
    assert figures.po == pytest.approx(100 * lesion / lung)
    assert figures.po_whole == figures.po
    assert figures.section == "thick"
    assert figures.lung.dice is not None
    assert figures.lung.dice > 0.9
    assert figures.po_reference == pytest.approx(100 * chest.lesion.sum() / chest.lung.sum())


def test_a_case_that_cannot_be_segmented_is_named(tmp_path: Path) -> None:
    crowded = replace(made_chest("crowded"), spacing_mm=(0.06, 5.6, 5.6))
    segmenter, policy = load_engines(write_tiny_repository(tmp_path))
    with pytest.raises(EvaluationError, match=r"crowded: slice .* at the same position"):
        segment_case(crowded, segmenter, policy)


def test_one_lesion_model_can_serve_every_section() -> None:
    with pytest.raises(EvaluationError, match="no lesion model is called 'lung'; there are"):
        load_engines(SHIPPED, model="lung")
    names = {path.parent.name for path in SHIPPED.glob("lesion*/spec.toml")}
    segmenter, policy = load_engines(SHIPPED, model=min(names))
    assert [spec.name for spec in segmenter.lesion_models] == [min(names)]
    assert {shape.model for shape in policy.shapes.values()} == {min(names)}


def test_references_are_those_of_the_table_of_the_real_cases(shared_ct: Path) -> None:
    with (shared_ct / "labelled" / "cases.csv").open(newline="") as file:
        table = {row["case"]: row for row in csv.DictReader(file)}
    for folder in find_cases(shared_ct / "labelled", CHECKED):
        case = read_case(folder)
        nothing = np.zeros(case.hu.shape, bool)
        figures, row = compare(case, made_masks(nothing, nothing)), table[case.name]
        assert figures.po_reference == pytest.approx(float(row["lesion_percent_of_lung"]), abs=6e-4)
        assert figures.pho_reference == pytest.approx(
            float(row["lesion_above_-200_percent_of_lung"]), abs=6e-4
        )
        assert figures.lesion.hu_reference == pytest.approx(float(row["lesion_mean_hu"]), abs=0.06)
        assert figures.section == row["section"]
        assert figures.slices == int(row["slices"])
        if row["dice_two_annotations"]:
            expected = float(row["dice_two_annotations"])
            assert figures.dice_annotators == pytest.approx(expected, abs=6e-4)
