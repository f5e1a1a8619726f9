"""The slices on which lesion was labelled most wrongly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.evaluation.cases import LabelledCase
from calibration.evaluation.measures import Mask, count
from calibration.evaluation.run import FoundMasks
from engines.training.cases import UNLABELLED

#: How many slices a report shows.
SHOWN = 10
#: Slices of one case that are shown lie at least this far apart: neighbours show one fault twice.
APART_MM = 20.0


@dataclass(frozen=True, eq=False)
class WrongSlice:
    """One slice, what was found on it and what was labelled.

    Parameters
    ----------
    case, number, slices
        Which slice, counted from 1 at the feet, of how many.
    hu
        int16, shape (rows, columns), front on top, the patient's right on the left.
    found_lesion, found_lung, lesion, lung
        Found and labelled, shape of `hu`; `lung` is None where it is not labelled.
    missed, painted
        Labelled lesion that was not found, and found lesion that is not labelled, as
        percent of what lung fills on a slice of this case on average.
    pixel_mm
        Distance between rows and columns.
    """

    case: str
    number: int
    slices: int
    hu: npt.NDArray[np.int16]
    found_lesion: Mask
    found_lung: Mask
    lesion: Mask
    lung: Mask | None
    missed: float
    painted: float
    pixel_mm: tuple[float, float]

    @property
    def wrong(self) -> float:
        """Missed and painted together: by this slices are ranked."""
        return self.missed + self.painted


def worst_slices(case: LabelledCase, found: FoundMasks, shown: int = SHOWN) -> list[WrongSlice]:
    """The worst slices of one case, worst first, at least :data:`APART_MM` apart."""
    known = case.lesion != UNLABELLED
    missed = _pixels((case.lesion == 1) & ~found.lesion)
    painted = _pixels(found.lesion & known & (case.lesion != 1))
    chosen: list[int] = []
    wrong = missed + painted
    for index in np.argsort(-wrong, kind="stable").tolist():
        apart = all(abs(index - other) * case.spacing_mm[0] >= APART_MM for other in chosen)
        if wrong[index] and apart and len(chosen) < shown:
            chosen.append(index)
    percent = 100 / _mean_lung(case, found)
    return [
        _slice(case, found, index, float(missed[index]) * percent, float(painted[index]) * percent)
        for index in chosen
    ]


def worst_of(slices: Iterable[WrongSlice], shown: int = SHOWN) -> list[WrongSlice]:
    """The worst of several cases' slices, worst first."""
    return sorted(slices, key=lambda one: -one.wrong)[:shown]


def _slice(
    case: LabelledCase, found: FoundMasks, index: int, missed: float, painted: float
) -> WrongSlice:
    lung = case.lung[index]
    return WrongSlice(
        case=case.name,
        number=index + 1,
        slices=len(case.hu),
        hu=case.hu[index].copy(),
        found_lesion=found.lesion[index].copy(),
        found_lung=found.lung[index].copy(),
        lesion=case.lesion[index] == 1,
        lung=None if (lung == UNLABELLED).all() else lung == 1,
        missed=missed,
        painted=painted,
        pixel_mm=case.spacing_mm[1:],
    )


def _mean_lung(case: LabelledCase, found: FoundMasks) -> float:
    """Pixels of lung, found or labelled, on an average slice that has any; never 0."""
    pixels = _pixels(found.lung | (case.lung == 1))
    return float(pixels[pixels > 0].mean()) if pixels.any() else float(case.hu[0].size)


def _pixels(mask: Mask) -> npt.NDArray[np.int64]:
    return np.array([count(plane) for plane in mask])
