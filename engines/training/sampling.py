"""Which slice of which case is learnt next."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engines.training.cases import UNLABELLED, Case
from engines.training.models import ModelPlan, Role, plane_indices, windowed
from engines.training.synthetic import Painter

_SYNTHETIC_SHARE = 0.14
_LESION_SHARE = 0.65
_THICKENED_SHARE = 0.35
_THICK_MM = (2.0, 6.5)


@dataclass(frozen=True)
class _Shares:
    """How often each thing is painted into a sample, and how large consolidation gets."""

    surroundings: float
    gas: float
    opacity: float
    largest_dense: float


_PAINTED: dict[Role, _Shares] = {
    "lung": _Shares(surroundings=0.65, gas=0.3, opacity=0.2, largest_dense=26.0),
    "lesion": _Shares(surroundings=0.4, gas=0.08, opacity=0.2, largest_dense=60.0),
}


@dataclass(frozen=True)
class Sample:
    """Planes and label of one slice.

    Parameters
    ----------
    planes
        float32, shape (planes, rows, columns), 0 to 1.
    label
        float32, shape (rows, columns), 0 to 1.
    known
        bool, shape of `label`: where the label counts.
    """

    planes: npt.NDArray[np.float32]
    label: npt.NDArray[np.float32]
    known: npt.NDArray[np.bool_]


#: Planes, lung label, lesion label of one slice.
_Drawn = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


class Sampler:
    """Draws samples: patients evenly, slices with disease more often, thin slices also thickened.

    Parameters
    ----------
    cases
        To draw from; synthetic ones make up a fixed small share.
    plan
        The model that is trained.
    rng
        Where all chance comes from.
    """

    def __init__(self, cases: list[Case], plan: ModelPlan, rng: np.random.Generator) -> None:
        self._plan, self._rng = plan, rng
        self._painter, self._shares = Painter(rng), _PAINTED[plan.role]
        self._cases = [case for case in cases if _label(case, plan).min() < UNLABELLED]
        self._case_odds = _case_odds(self._cases)
        self._slice_odds = [self._slices(case) for case in self._cases]

    def draw(self) -> Sample:
        """One sample."""
        which = int(self._rng.choice(len(self._cases), p=self._case_odds))
        case, odds = self._cases[which], self._slice_odds[which]
        target = int(self._rng.choice(len(odds), p=odds))
        thickness = self._thickness(case)
        if thickness > 1:
            return self._painted(self._thickened(case, target, thickness))
        return self._painted(self._plain(case, target))

    def _slices(self, case: Case) -> npt.NDArray[np.float64]:
        """How likely each slice is: any labelled one, or by its diseased area."""
        usable = (_label(case, self._plan) != UNLABELLED).any(axis=(1, 2)).astype(float)
        area = np.sqrt(((case.lesion == 1).sum(axis=(1, 2)) * usable).astype(float))
        odds = usable / usable.sum()
        if area.sum() > 0:
            share = _LESION_SHARE if self._plan.role == "lesion" else 0.35
            odds = (1 - share) * odds + share * area / area.sum()
        return np.asarray(odds, np.float64)

    def _thickness(self, case: Case) -> int:
        """How many slices are averaged into one."""
        if case.spacing > 1.5 or self._rng.random() > _THICKENED_SHARE:
            return 1
        return max(1, round(self._rng.uniform(*_THICK_MM) / case.spacing))

    def _plain(self, case: Case, target: int) -> _Drawn:
        plan, count = self._plan, len(case.hu)
        reach = plan.neighbour_mm * self._rng.uniform(0.7, 1.4)
        chosen = plane_indices(target, count, case.spacing, plan.planes, reach)
        if plan.planes > 1 and self._rng.random() < 0.06:
            chosen = self._with_gap(chosen, target, count)
        return windowed(case.hu[chosen]), case.lung[target], case.lesion[target]

    def _painted(self, sample: _Drawn) -> Sample:
        """The sample with surroundings, gas and opacities that the scan did not show."""
        planes, lung, lesion = sample
        if self._rng.random() < self._shares.opacity:
            planes, region = self._painter.opacity(planes, lung, self._shares.largest_dense)
            lesion = np.where(region & (lesion == 0), np.uint8(1), lesion)
        if self._rng.random() < self._shares.gas:
            planes = self._painter.gas(planes, lung)
        if self._rng.random() < self._shares.surroundings:
            planes, outside = self._painter.surround(planes)
            lung = np.where(outside, np.uint8(0), lung)
        label = lung if self._plan.role == "lung" else lesion
        return Sample(planes, (label == 1).astype(np.float32), label != UNLABELLED)

    def _with_gap(self, chosen: list[int], target: int, count: int) -> list[int]:
        """A neighbour that is missing: the next one further away, or none beyond the end."""
        jump = int(self._rng.integers(0, 8)) * int(self._rng.choice([-1, 1]))
        place = 0 if jump < 0 else len(chosen) - 1
        moved = list(chosen)
        moved[place] = min(max(target + jump, 0), count - 1)
        return moved

    def _thickened(self, case: Case, target: int, thickness: int) -> _Drawn:
        plan, count = self._plan, len(case.hu)
        centres = plane_indices(
            target, count, case.spacing, plan.planes, max(thickness * case.spacing, 3.0)
        )
        runs = [_run(centre, thickness, count) for centre in centres]
        planes = np.stack([windowed(case.hu[run].mean(axis=0)) for run in runs])
        middle = runs[plan.planes // 2]
        return planes, _averaged(case.lung[middle]), _averaged(case.lesion[middle])


def _averaged(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """What most of the slices say; unlabelled where any is."""
    known = (labels != UNLABELLED).all(axis=0)
    most = (labels == 1).mean(axis=0) > 0.5
    return np.where(known, most, UNLABELLED).astype(np.uint8)


def _run(centre: int, length: int, count: int) -> slice:
    first = min(max(centre - length // 2, 0), max(count - length, 0))
    return slice(first, min(first + length, count))


def _label(case: Case, plan: ModelPlan) -> npt.NDArray[np.uint8]:
    return case.lung if plan.role == "lung" else case.lesion


def _case_odds(cases: list[Case]) -> npt.NDArray[np.float64]:
    """Patients evenly among real cases; phantoms share what is theirs."""
    patients = Counter((case.synthetic, case.patient) for case in cases)
    odds = np.array([1 / patients[case.synthetic, case.patient] for case in cases])
    synthetic = np.array([case.synthetic for case in cases])
    if synthetic.all() or not synthetic.any():
        return np.asarray(odds / odds.sum(), np.float64)
    odds[synthetic] *= _SYNTHETIC_SHARE / odds[synthetic].sum()
    odds[~synthetic] *= (1 - _SYNTHETIC_SHARE) / odds[~synthetic].sum()
    return np.asarray(odds, np.float64)
