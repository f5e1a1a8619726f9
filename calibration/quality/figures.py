"""How well moved slices are told from slices at rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from calibration.evaluation.discrimination import delong, proportion, youden_cut
from calibration.quality.motion import Movement
from calibration.quality.taking import Taken

Record = dict[str, object]
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
        cut = youden_cut(_scores(others[0]), _scores(others[1])).value
        hits += [one.score > cut for one in moved if one.patient == patient]
        spared += [one.score <= cut for one in still if one.patient == patient]
    return round(float(np.mean(hits)), 4), round(float(np.mean(spared)), 4)


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


def _scores(some: Sequence[Taken]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
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
