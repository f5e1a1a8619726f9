from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from appliance.quantify.coverage import lung_cut_off
from appliance.quantify.histogram import HuCounts
from appliance.quantify.scores import NoScore, Volumes, score, volumes
from appliance.quantify.tally import SliceTally, high_opacity, tally_slice

HU = np.array([[-900, -500, -100], [100, -200, -199]], dtype=np.int16)


def test_a_slice_is_counted() -> None:
    lung = np.array([[1, 1, 1], [0, 1, 1]], dtype=bool)
    lesion = np.array([[0, 1, 1], [1, 1, 1]], dtype=bool)
    tally = tally_slice(HU, lung, lesion)
    lung_hu = HuCounts.of(np.array([-900, -500, -100, -200, -199]))
    lesion_hu = HuCounts.of(np.array([-500, -100, -200, -199]))
    assert tally == SliceTally(5, 4, 2, -500 - 100 - 200 - 199, lung_hu, lesion_hu)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        tally_slice(HU, np.zeros((2, 2), bool), np.zeros((2, 3), bool))


def test_scores_of_a_known_scan() -> None:
    tallies = [SliceTally(100_000, 10_000, 1_000, -5_000_000), SliceTally(100_000, 0, 0, 0)]
    result = score(volumes(tallies, [2.0, 3.0]))
    assert result.volumes.lung_ml == pytest.approx(500.0)
    assert result.volumes.lesion_ml == pytest.approx(20.0)
    assert result.volumes.high_opacity_ml == pytest.approx(2.0)
    assert result.po == pytest.approx(4.0)
    assert result.pho == pytest.approx(0.4)
    assert result.poi == pytest.approx(0.04)
    assert result.volumes.ihu == pytest.approx(-500.0)


def test_no_lung_is_no_score_and_not_zero_percent() -> None:
    result = score(Volumes(lung_ml=10.0, lesion_ml=5.0))
    assert result.po is None
    assert result.pho is None
    assert result.no_score is NoScore.NO_LUNG


def test_without_lesion_there_is_no_mean_hu() -> None:
    result = score(volumes([SliceTally(10**6, 0, 0, 0)], [1.0]))
    assert result.po == 0.0
    assert result.volumes.ihu is None


@given(
    arrays.arrays(np.int16, (6, 7), elements=st.integers(-1024, 3000)),
    arrays.arrays(np.bool_, (6, 7)),
    arrays.arrays(np.bool_, (6, 7)),
)
def test_counts_never_exceed_each_other(
    hu: np.ndarray, lung: np.ndarray, lesion: np.ndarray
) -> None:
    tally = tally_slice(hu, lung, lesion)
    assert 0 <= tally.high_opacity_px <= tally.lesion_px <= tally.lung_px <= hu.size
    assert tally.lesion_hu_sum == int(hu[lung & lesion].astype(np.int64).sum())
    assert tally.lung_hu.counts.sum() == tally.lung_px
    assert (tally.lesion_hu.counts <= tally.lung_hu.counts).all()
    assert np.count_nonzero(high_opacity(hu, lung, lesion)) == tally.high_opacity_px


def test_cut_off_lung() -> None:
    assert lung_cut_off([0, 5, 100, 5, 0]) == (False, False)
    assert lung_cut_off([60, 90, 100, 5, 0]) == (True, False)
    assert lung_cut_off([0, 90, 100, 50]) == (False, True)
    assert lung_cut_off([]) == (False, False)
