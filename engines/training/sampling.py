"""Which slice or block of which case is learnt next."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engines.training.cases import UNLABELLED, Case
from engines.training.models import ModelPlan, Role, plane_indices, windowed
from engines.training.synthetic import Painter

#: Of what is drawn, where there are real cases too.
PHANTOM_SHARE = 0.14
_LESION_SHARE = 0.65
_THICKENED_SHARE = 0.35
_THICK_MM = (2.0, 6.5)
#: What the second annotation counts where there is one: it marks more, and neither is the truth.
_SECOND_SHARE = 0.3
#: Windows that may lie anywhere in the frame.
_ANYWHERE_SHARE = 0.2
#: Scans coarser than this are interpolated into blocks, seldom.
_COARSE_MM, _COARSE_WEIGHT = 3.0, 0.5


@dataclass(frozen=True)
class _Shares:
    """How often each thing is painted into a sample, and how large consolidation gets."""

    surroundings: float
    gas: float
    opacity: float
    largest_dense: float
    settled: float
    motion: float


_PAINTED: dict[Role, _Shares] = {
    "lung": _Shares(0.65, gas=0.3, opacity=0.2, largest_dense=26.0, settled=0.08, motion=0.06),
    "lesion": _Shares(0.3, gas=0.05, opacity=0.15, largest_dense=30.0, settled=0.06, motion=0.04),
}


@dataclass(frozen=True)
class Sample:
    """Planes and labels of one slice or block.

    Parameters
    ----------
    planes
        float32, shape (planes, rows, columns), 0 to 1.
    label
        float32, shape (maps, rows, columns), 0 to 1; for lesions the maps of the
        lung follow those of the lesion.
    known
        bool, shape of `label`: where the label counts.
    focus
        Row and column that a window should show; None for anywhere.
    """

    planes: npt.NDArray[np.float32]
    label: npt.NDArray[np.float32]
    known: npt.NDArray[np.bool_]
    focus: tuple[int, int] | None = None


@dataclass(frozen=True)
class _Drawn:
    """Planes, and the labels of the targets among them, shape (targets, rows, columns).

    Labels are shares from 0 to 1, NaN where nobody looked.
    """

    planes: npt.NDArray[np.float32]
    lung: npt.NDArray[np.float32]
    lesion: npt.NDArray[np.float32]


class Sampler:
    """Draws samples: patients evenly, slices with disease more often, thin slices also thickened.

    Parameters
    ----------
    cases
        To draw from.
    plan
        The model that is trained.
    rng
        Where all chance comes from.
    phantom_share
        Share of samples, 0 to 1, that synthetic cases make up where there are real ones too.
    """

    def __init__(
        self,
        cases: list[Case],
        plan: ModelPlan,
        rng: np.random.Generator,
        phantom_share: float = PHANTOM_SHARE,
    ) -> None:
        self._plan, self._rng = plan, rng
        self._painter, self._shares = Painter(rng), _PAINTED[plan.role]
        self._cases = [case for case in cases if _label(case, plan).min() < UNLABELLED]
        self._case_odds = _case_odds(self._cases, plan, phantom_share)
        self._slice_odds = [self._slices(case) for case in self._cases]

    def seeded(self, rng: np.random.Generator) -> Sampler:
        """The same sampler with other chance."""
        other = copy.copy(self)
        other._rng, other._painter = rng, self._painter.seeded(rng)
        return other

    def draw(self, planes: int | None = None) -> Sample:
        """One sample; a block may have other than the model's number of planes."""
        which = int(self._rng.choice(len(self._cases), p=self._case_odds))
        case, odds = self._cases[which], self._slice_odds[which]
        target = int(self._rng.choice(len(odds), p=odds))
        return self._painted(self._drawn(case, target, planes or self._plan.planes))

    def _drawn(self, case: Case, target: int, planes: int) -> _Drawn:
        if self._plan.is_block:
            return self._block(case, target, planes)
        thickness = self._thickness(case)
        if thickness > 1:
            return self._thickened(case, target, thickness)
        return self._plain(case, target)

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
        one = slice(target, target + 1)
        return _Drawn(windowed(case.hu[chosen]), _shares(case.lung[one]), _lesion(case, one))

    def _painted(self, drawn: _Drawn) -> Sample:
        """The sample with surroundings, gas and opacities that the scan did not show."""
        planes, lung, lesion = drawn.planes, drawn.lung, drawn.lesion
        shares, draw = self._shares, self._rng.random
        if draw() < shares.settled:
            planes = self._painter.settled(planes, lung)
        if draw() < shares.opacity:
            planes, region = self._painter.opacity(planes, lung, shares.largest_dense)
            lesion = np.where(region & (lesion < 1), np.float32(1), lesion)
        if draw() < shares.gas:
            planes = self._painter.gas(planes, lung)
        if draw() < shares.surroundings:
            planes, outside = self._painter.surround(planes)
            lung = np.where(outside, np.float32(0), lung)
        if draw() < shares.motion:
            planes = self._painter.moved(planes)
        label = lung if self._plan.role == "lung" else np.concatenate([lesion, lung])
        known = ~np.isnan(label)
        label = np.where(known, label, 0).astype(np.float32)
        return Sample(planes, label, known, self._focus(lesion, lung))

    def _focus(
        self, lesion: npt.NDArray[np.float32], lung: npt.NDArray[np.float32]
    ) -> tuple[int, int] | None:
        """A place in the lesion or the lung: most of a frame is of no use to learn lesions."""
        if self._plan.role == "lung" or self._rng.random() < _ANYWHERE_SHARE:
            return None
        choices = (lesion, lung) if self._rng.random() < 0.6 else (lung, lesion)
        for label in choices:
            places = np.argwhere((label > 0.5).any(axis=0))
            if len(places):
                row, column = places[self._rng.integers(len(places))]
                return int(row), int(column)
        return None

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
        lung, lesion = _shares(case.lung[middle]), _lesion(case, middle)
        return _Drawn(planes, lung.mean(axis=0)[None], lesion.mean(axis=0)[None])

    def _block(self, case: Case, target: int, planes: int) -> _Drawn:
        """A block around a slice, its planes anywhere between the slices, as a scan would have."""
        step = self._plan.neighbour_mm * self._rng.uniform(0.8, 1.25)
        before = self._rng.uniform(0, planes - 1)
        heights = target * case.spacing + (np.arange(planes) - before) * step
        mix = [_mixture(height, step, case.spacing, len(case.hu)) for height in heights]
        return _Drawn(
            np.stack([_mixed(windowed(case.hu[run]), weights) for run, weights in mix]),
            np.stack([_mixed(_shares(case.lung[run]), weights) for run, weights in mix]),
            np.stack([_mixed(_lesion(case, run), weights) for run, weights in mix]),
        )


def _mixture(
    height: float, step: float, spacing: float, count: int
) -> tuple[slice, npt.NDArray[np.float32]]:
    """Slices that make the plane at a height, and their weights.

    The mean of those within half a step; between coarser slices the two nearest, by distance.
    """
    place = min(max(height / spacing, 0.0), count - 1.0)
    if spacing <= step:
        reach = step / spacing / 2
        first, last = int(np.ceil(place - reach)), int(np.ceil(place + reach))
        first, last = max(first, 0), min(last, count)
        if first < last:
            return slice(first, last), np.full(last - first, 1 / (last - first), np.float32)
    below = min(int(place), count - 1)
    share = place - below
    if below + 1 == count or share == 0:
        return slice(below, below + 1), np.ones(1, np.float32)
    return slice(below, below + 2), np.array([1 - share, share], np.float32)


def _mixed(
    stack: npt.NDArray[np.float32], weights: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    return np.asarray(np.tensordot(weights, stack, axes=1), np.float32)


def _shares(label: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """0, 1, and NaN where nobody looked."""
    return np.where(label == UNLABELLED, np.float32(np.nan), label.astype(np.float32))


def _lesion(case: Case, run: slice) -> npt.NDArray[np.float32]:
    """The lesion label, of both annotators where there are two."""
    first = _shares(case.lesion[run])
    if case.lesion_b is None:
        return first
    return (1 - _SECOND_SHARE) * first + _SECOND_SHARE * _shares(case.lesion_b[run])


def _run(centre: int, length: int, count: int) -> slice:
    first = min(max(centre - length // 2, 0), max(count - length, 0))
    return slice(first, min(first + length, count))


def _label(case: Case, plan: ModelPlan) -> npt.NDArray[np.uint8]:
    return case.lung if plan.role == "lung" else case.lesion


def _case_odds(cases: list[Case], plan: ModelPlan, phantom_share: float) -> npt.NDArray[np.float64]:
    """Patients evenly among real cases; phantoms share what is theirs."""
    patients = Counter((case.synthetic, case.patient) for case in cases)
    odds = np.array([1 / patients[case.synthetic, case.patient] for case in cases])
    if plan.is_block:
        odds *= [_COARSE_WEIGHT if case.spacing > _COARSE_MM else 1.0 for case in cases]
    synthetic = np.array([case.synthetic for case in cases])
    if synthetic.all() or not synthetic.any():
        return np.asarray(odds / odds.sum(), np.float64)
    odds[synthetic] *= phantom_share / odds[synthetic].sum()
    odds[~synthetic] *= (1 - phantom_share) / odds[~synthetic].sum()
    return np.asarray(odds, np.float64)
