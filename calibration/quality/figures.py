"""How well moved slices are told from slices at rest, and what noise does to PO."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from appliance.quantify.quality import scan_quality
from calibration.evaluation.discrimination import delong, proportion, youden_cut
from calibration.quality.motion import Movement
from calibration.quality.taking import Noisy, Taken

Record = dict[str, object]
Values = npt.NDArray[np.float64]
_ON_THE_THRESHOLD = 1.0
_TWO_SIDED_95 = 1.96


def motion_figures(taken: Sequence[Taken]) -> Record:
    """All figures, for JSON.

    Rest is the slice that was projected and reconstructed without movement, so what
    is told apart is movement and not the simulation.
    """
    as_taken = [one for one in taken if one.motion is None]
    still = [one for one in taken if one.motion and one.motion.amplitude_mm == 0]
    return {
        "patients": len({one.patient for one in taken}),
        "slices": len(as_taken),
        "specificity_as_taken": _share(as_taken, lambda one: not _moved(one)),
        "specificity_at_rest": _share(still, lambda one: not _moved(one)),
        "po_as_taken": _mean_po(as_taken),
        "po_at_rest": _mean_po(still),
        "movements": [
            _movement(movement, amplitude, taken, still)
            for movement in Movement
            for amplitude in _amplitudes(taken, movement)
        ],
    }


def noise_figures(taken: Sequence[Noisy]) -> list[Record]:
    """By the noise that was added: what was measured, and how far PO moved from no noise."""
    plain = {(one.case, one.index): one.po for one in taken if one.added_hu == 0}
    return [
        _noise(added, [one for one in taken if one.added_hu == added], plain)
        for added in sorted({one.added_hu for one in taken})
    ]


def _noise(added: float, some: Sequence[Noisy], plain: dict[tuple[str, int], float]) -> Record:
    measured = []
    for case in sorted({one.case for one in some}):
        slices = [one.quality for one in some if one.case == case]
        measured.append(scan_quality(slices, [1.0] * len(slices)))
    noise = [one.noise_hu for one in measured if one.noise_hu is not None]
    moved = [abs(one.po - plain[one.case, one.index]) for one in some]
    return {
        "added_hu": added,
        "noise_hu": [round(float(one), 1) for one in np.quantile(noise, (0, 0.5, 1))]
        if noise
        else None,
        "po_moved_mean": round(float(np.mean(moved)), 3),
        "po_moved_most": round(max(moved), 3),
        "flagged": sum(one.has_strong_noise for one in measured),
        "called_moved": sum(one.has_motion for one in measured),
        "scans": len(measured),
    }


def _movement(
    movement: Movement, amplitude_mm: float, taken: Sequence[Taken], still: Sequence[Taken]
) -> Record:
    moved = [
        one
        for one in taken
        if one.motion and (one.motion.movement, one.motion.amplitude_mm) == (movement, amplitude_mm)
    ]
    area, variance = delong(_scores(moved), _scores(still))
    reach = _TWO_SIDED_95 * variance**0.5
    sensitivity, specificity = _by_patient(moved, still)
    return {
        "movement": movement.value,
        "amplitude_mm": amplitude_mm,
        "sensitivity": _share(moved, _moved),
        "auc": round(area, 4),
        "auc_interval": [round(max(0.0, area - reach), 4), round(min(1.0, area + reach), 4)],
        "sensitivity_cut_of_others": sensitivity,
        "specificity_cut_of_others": specificity,
        "po": _mean_po(moved),
    }


def _by_patient(moved: Sequence[Taken], still: Sequence[Taken]) -> tuple[float, float]:
    """Sensitivity and specificity of each patient's slices at a cut picked on all others."""
    hits, spared = [], []
    for patient in sorted({one.patient for one in still}):
        others = [[one for one in part if one.patient != patient] for part in (moved, still)]
        cut = _cut(_scores(others[0]), _scores(others[1]))
        hits += [one.score > cut for one in moved if one.patient == patient]
        spared += [one.score <= cut for one in still if one.patient == patient]
    return round(float(np.mean(hits)), 4), round(float(np.mean(spared)), 4)


def _cut(moved: Values, still: Values) -> float:
    """The cut with the largest Youden index; above everything where all scores are equal."""
    if moved.min() == moved.max() == still.min() == still.max():
        return float(moved.max())
    return youden_cut(moved, still).value


def _moved(one: Taken) -> bool:
    return one.score >= _ON_THE_THRESHOLD


def _share(some: Sequence[Taken], holds: Callable[[Taken], bool]) -> Record:
    found = proportion(sum(map(holds, some)), len(some))
    low, high = found.interval
    return {
        "count": found.count,
        "of": found.total,
        "share": round(found.share, 4),
        "interval": [round(low, 4), round(high, 4)],
    }


def _scores(some: Sequence[Taken]) -> Values:
    return np.array([one.score for one in some], np.float64)


def _mean_po(some: Sequence[Taken]) -> float:
    return round(float(np.mean([one.po for one in some])), 3)


def _amplitudes(taken: Sequence[Taken], movement: Movement) -> list[float]:
    return sorted(
        {
            one.motion.amplitude_mm
            for one in taken
            if one.motion and one.motion.movement is movement and one.motion.amplitude_mm > 0
        }
    )
