from __future__ import annotations

import json

import numpy as np
import pytest

from appliance.quantify.movement import MotionCounts
from appliance.quantify.quality import SliceQuality, measure_slice
from calibration.evaluation import LabelledCase
from calibration.quality.__main__ import main
from calibration.quality.figures import motion_figures, noise_figures
from calibration.quality.motion import Motion, Movement
from calibration.quality.noise import noise_plane, noisier
from calibration.quality.taking import Noisy, Taken, motions, spread_slices

STILL, MOVED = MotionCounts(500, 0, 500, 0), MotionCounts(500, 20, 500, 30)


def taken(patient: int, motion: Motion | None, counts: MotionCounts, po: float) -> Taken:
    return Taken(f"case{patient}", f"patient{patient}", 5, motion, counts, po)


def one_of_each(patient: int, breath: MotionCounts) -> list[Taken]:
    return [
        taken(patient, None, STILL, 1.0),
        taken(patient, Motion(Movement.BREATH, 0.0), STILL, 1.5),
        taken(patient, Motion(Movement.BREATH, 6.0), breath, 4.0),
        taken(patient, Motion(Movement.HEART, 6.0), STILL, 1.5),
    ]


def test_motion_is_told_from_rest_by_movement() -> None:
    some = [*one_of_each(1, MOVED), *one_of_each(2, MOVED), *one_of_each(3, STILL)]
    figures = motion_figures(some)
    assert figures["patients"] == 3
    assert figures["specificity_at_rest"]["share"] == 1.0  # type: ignore[index]
    breath, heart = figures["movements"]  # type: ignore[misc]
    assert breath["sensitivity"] == {
        "count": 2,
        "of": 3,
        "share": 0.6667,
        "interval": breath["sensitivity"]["interval"],
    }
    assert breath["auc"] == pytest.approx(1 - 1 / 6, abs=1e-3)
    assert breath["po"] == 4.0
    assert heart["auc"] == 0.5
    json.dumps(figures, allow_nan=False)


def test_a_score_of_one_lies_on_the_threshold() -> None:
    on = MotionCounts(1000, 4, 1000, 8)
    assert taken(1, None, on, 0.0).score == pytest.approx(1.0)
    assert on.moved
    below = MotionCounts(1000, 3, 1000, 8)
    assert taken(1, None, below, 0.0).score < 1
    assert not below.moved
    assert taken(1, None, MotionCounts(), 0.0).score == 0


def test_noise_moves_po_from_what_it_was_without() -> None:
    quality = SliceQuality()
    some = [Noisy("a", 1, 0.0, quality, 2.0), Noisy("a", 2, 0.0, quality, 3.0)]
    some += [
        Noisy("a", index, 40.0, measure_slice(tissue(40.0), lung(), (1.4, 1.4)), po)
        for index, po in ((1, 2.5), (2, 1.5))
    ]
    plain, noisy = noise_figures([one for one in some if one.added_hu] + some[:2])[::-1]
    assert (noisy["po_moved_mean"], noisy["po_moved_most"]) == (0.0, 0.0)
    assert plain["po_moved_mean"] == 1.0
    assert plain["po_moved_most"] == 1.5


def tissue(noise: float) -> np.ndarray:
    hu = np.full((128, 128), 50, np.int16)
    return noisier(hu, noise, np.random.default_rng(0))


def lung() -> np.ndarray:
    return np.zeros((128, 128), bool)


def test_noise_has_the_strength_and_texture_of_back_projection() -> None:
    plane = noise_plane(128, np.random.default_rng(1))
    middle = plane[32:96, 32:96]
    assert middle.std() == pytest.approx(1.0, abs=1e-3)
    low = middle.reshape(8, 8, 8, 8).mean(axis=(1, 3)).std()
    assert low < 0.1  # white noise would have 1/8: the ramp filter takes the low frequencies


def test_slices_are_spread_over_those_that_somebody_labelled() -> None:
    label = np.zeros((40, 64, 64), np.uint8)
    label[10:30, 5:55, 5:55] = 1
    label[28:30] = 255
    case = LabelledCase("made", np.zeros(label.shape, np.int16), label, label, None, (5, 1, 1))
    chosen = spread_slices(case, 3)
    assert len(chosen) == 3
    assert 10 <= min(chosen) < max(chosen) < 28
    assert spread_slices(case, 1) == [chosen[1]]


def test_every_movement_is_made_with_every_amplitude() -> None:
    made = motions([3.0, 6.0], np.random.default_rng(0))
    assert made[0].amplitude_mm == 0
    assert [(one.movement, one.amplitude_mm) for one in made[1:]] == [
        (movement, amplitude) for movement in Movement for amplitude in (3.0, 6.0)
    ]


def test_a_folder_without_cases_is_named(capsys: pytest.CaptureFixture[str], tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SystemExit) as stopped:
        main(["--data", str(tmp_path)])
    assert stopped.value.code == 1
    assert "holds no case" in capsys.readouterr().err
