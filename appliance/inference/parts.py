"""The lobes and segments of a complete scan.

They are found once, at low resolution, and counted on the slices' grid.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.inference.coarse import COARSE
from appliance.inference.coarse_grid import CoarseGrid
from appliance.inference.editions import NO_MODELS, Edition
from appliance.inference.planes import ForgottenSliceError, PlaneStore, Prepare
from appliance.inference.slab_inference import Result
from appliance.quantify.cells import Cells
from appliance.quantify.regions import RegionCounts, RegionTallies, count_regions
from appliance.scan.geometry import SliceGeometry
from engines.divider import Divider
from engines.runtimes import DeviceLostError
from engines.warm_up import Engine

logger = logging.getLogger(__name__)

Labels = npt.NDArray[np.uint8]
Runs = npt.NDArray[np.uint32]

#: Lung that is too little of a coarse pixel to have a label lies at most so far from one that has.
_REACH = 4


@dataclass(frozen=True, slots=True, eq=False)
class SliceRuns:
    """The masks of one slice, as `breathhold.v1.SliceMask` describes runs."""

    sop_instance_uid: str
    geometry: SliceGeometry
    lung: Runs
    lesion: Runs
    high_opacity: Runs

    @classmethod
    def of(cls, result: Result) -> SliceRuns:
        """What inference found on a slice."""
        found = (result.lung_runs, result.lesion_runs, result.high_opacity_runs)
        lung, lesion, high_opacity = (np.array(lengths, np.uint32) for lengths in found)
        return cls(result.job.target, result.job.geometry, lung, lesion, high_opacity)


@dataclass(frozen=True, slots=True, eq=False)
class PartsJob:
    """One complete scan whose parts are wanted.

    Parameters
    ----------
    slices
        Foot to head, at least one.
    roles
        Of the models that divide it, "lobes" or "segments".
    scan_id, urgency, generation, edition
        See :class:`appliance.inference.queue.Job`.
    """

    scan_id: str
    slices: tuple[SliceRuns, ...]
    roles: tuple[str, ...]
    urgency: int = 0
    generation: int = 0
    edition: Edition = NO_MODELS

    @property
    def target(self) -> str:
        """Its name among the jobs of its scan; no slice has it."""
        return ""


@dataclass(frozen=True, slots=True, eq=False)
class PartsFound:
    """Pixels of each slice by lobe or segment, and who found them."""

    role: str
    tallies: RegionTallies
    engine: Engine


@dataclass(frozen=True, slots=True, eq=False)
class PartsFailed:
    """A scan has to do without its lobes, or its segments."""

    role: str
    error: Exception


@dataclass(frozen=True, slots=True, eq=False)
class Divided:
    """What became of a job, one answer a role."""

    job: PartsJob
    answers: tuple[PartsFound | PartsFailed, ...]

    @property
    def found(self) -> dict[str, PartsFound]:
        """By role."""
        return {one.role: one for one in self.answers if isinstance(one, PartsFound)}

    @property
    def failed(self) -> dict[str, PartsFailed]:
        """By role."""
        return {one.role: one for one in self.answers if isinstance(one, PartsFailed)}


@dataclass(frozen=True, slots=True, eq=False)
class _CoarseScan:
    """What dividers see: shapes (slices, COARSE, COARSE), foot to head, standard view."""

    planes: npt.NDArray[np.float32]
    lung: npt.NDArray[np.bool_]
    positions_mm: npt.NDArray[np.float64]
    grid: CoarseGrid


class LungDivision:
    """Divides scans into lobes and segments, on the caller's thread.

    Parameters
    ----------
    dividers
        Warm, at most one a role.
    planes
        The pixels of the slices.
    prepare, size
        Of the caller's device: makes prepared planes, and their rows and columns.
    """

    def __init__(
        self,
        dividers: Sequence[Divider],
        planes: PlaneStore,
        prepare: Prepare,
        size: tuple[int, int],
    ) -> None:
        self._dividers = {divider.role: divider for divider in dividers}
        self._planes, self._prepare, self._size = planes, prepare, size

    def outcomes(self, job: PartsJob) -> list[Divided]:
        """What became of a job; nothing when its scan was forgotten.

        A role that fails costs the others nothing.

        Raises
        ------
        DeviceLostError
            When the device is lost.
        """
        try:
            return [Divided(job, tuple(self._answers(job)))]
        except ForgottenSliceError:
            return []

    def _answers(self, job: PartsJob) -> Iterator[PartsFound | PartsFailed]:
        try:
            scan = self._coarse(job)
        except (DeviceLostError, ForgottenSliceError):
            raise
        except Exception as error:
            logger.exception("a scan could not be divided")
            yield from (PartsFailed(role, error) for role in job.roles)
            return
        for role in job.roles:
            try:
                divider = self._dividers[role]
                yield PartsFound(role, _tallies(divider, scan, job.slices), divider.engine)
            except DeviceLostError:
                raise
            except Exception as error:
                logger.exception("the %s of a scan could not be found", role)
                yield PartsFailed(role, error)

    def _coarse(self, job: PartsJob) -> _CoarseScan:
        grid = CoarseGrid(job.slices[0].geometry, self._size)
        keys = [(job.scan_id, runs.sop_instance_uid) for runs in job.slices]
        coarse = np.stack(self._planes.coarse(keys, self._prepare))
        return _CoarseScan(
            np.divide(coarse, np.float32(255), dtype=np.float32),
            np.stack([grid.sample(runs.lung) for runs in job.slices]),
            np.array([runs.geometry.along_mm for runs in job.slices]),
            grid,
        )


def _tallies(divider: Divider, scan: _CoarseScan, slices: Sequence[SliceRuns]) -> RegionTallies:
    labels = divider.divide(scan.planes, scan.lung, scan.positions_mm, scan.grid.pixel_mm)
    counts = [
        _count_slice(scan.grid, runs, of_slice, len(divider.parts))
        for runs, of_slice in zip(slices, labels, strict=True)
    ]
    return RegionTallies(divider.parts, tuple(counts))


def _count_slice(grid: CoarseGrid, runs: SliceRuns, labels: Labels, parts: int) -> RegionCounts:
    lung = grid.count(runs.lung)
    kinds = (lung, grid.count(runs.lesion), grid.count(runs.high_opacity))
    return count_regions(_spread(labels, lung), kinds, parts)


def _spread(labels: Labels, lung: Cells) -> Labels:
    """Labels of every coarse pixel with any lung in it: those without one take a neighbour's."""
    wide = np.zeros((COARSE + 2, COARSE + 2), np.uint8)
    wide[1:-1, 1:-1] = labels
    row, column = divmod(np.flatnonzero((lung > 0) & (labels == 0)), COARSE)
    flat, places = wide.ravel(), (row + 1) * wide.shape[1] + column + 1
    for _ in range(_REACH):
        if not places.size:
            break
        beside = [flat[places + step] for step in (-1, 1, -wide.shape[1], wide.shape[1])]
        flat[places] = np.max(beside, axis=0)
        places = places[flat[places] == 0]
    return wide[1:-1, 1:-1]
