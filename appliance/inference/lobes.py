"""The lobes of a complete scan: found once, at low resolution, and counted on the slices' grid."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.inference.coarse import COARSE
from appliance.inference.coarse_grid import CoarseGrid
from appliance.inference.planes import ForgottenSliceError, PlaneStore, Prepare
from appliance.inference.slab_inference import Result
from appliance.quantify.cells import Cells
from appliance.quantify.regions import RegionCounts, RegionTallies, count_regions
from appliance.scan.geometry import SliceGeometry
from engines.lobes import LOBE_NAMES, LobeFinder
from engines.runtimes import DeviceLostError
from engines.warm_up import Engine

logger = logging.getLogger(__name__)

Labels = npt.NDArray[np.uint8]
Runs = npt.NDArray[np.uint32]

#: Lung that is too little of a coarse pixel to have a lobe lies at most so far from one that has.
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
class LobeJob:
    """One complete scan whose lobes are wanted.

    Parameters
    ----------
    slices
        Foot to head, at least one.
    scan_id, urgency, generation
        See :class:`appliance.inference.queue.Job`.
    """

    scan_id: str
    slices: tuple[SliceRuns, ...]
    urgency: int = 0
    generation: int = 0

    @property
    def target(self) -> str:
        """Its name among the jobs of its scan; no slice has it."""
        return ""


@dataclass(frozen=True, slots=True, eq=False)
class LobesFound:
    """Pixels of each slice by lobe, and who found them."""

    job: LobeJob
    tallies: RegionTallies
    engine: Engine


@dataclass(frozen=True, slots=True, eq=False)
class LobesFailed:
    """A scan that has to do without lobes."""

    job: LobeJob
    error: Exception


LobeOutcome = LobesFound | LobesFailed


class LobeDivision:
    """Divides scans into lobes, on the caller's thread.

    Parameters
    ----------
    finder
        Warm.
    planes
        The pixels of the slices.
    prepare, size
        Of the caller's device: makes prepared planes, and their rows and columns.
    """

    def __init__(
        self, finder: LobeFinder, planes: PlaneStore, prepare: Prepare, size: tuple[int, int]
    ) -> None:
        self._finder, self._planes = finder, planes
        self._prepare, self._size = prepare, size

    def outcomes(self, job: LobeJob) -> list[LobeOutcome]:
        """What became of a job; nothing when its scan was forgotten.

        Raises
        ------
        DeviceLostError
            When the device is lost.
        """
        try:
            return [LobesFound(job, self._tallies(job), self._finder.engine)]
        except DeviceLostError:
            raise
        except ForgottenSliceError:
            return []
        except Exception as error:
            logger.exception("the lobes of a scan could not be found")
            return [LobesFailed(job, error)]

    def _tallies(self, job: LobeJob) -> RegionTallies:
        grid = CoarseGrid(job.slices[0].geometry, self._size)
        labels = self._labels(job, grid)
        counts = [
            _count_slice(grid, runs, of_slice)
            for runs, of_slice in zip(job.slices, labels, strict=True)
        ]
        return RegionTallies(LOBE_NAMES, tuple(counts))

    def _labels(self, job: LobeJob, grid: CoarseGrid) -> Labels:
        """Shape (slices, COARSE, COARSE), foot to head, standard view."""
        keys = [(job.scan_id, runs.sop_instance_uid) for runs in job.slices]
        coarse = np.stack(self._planes.coarse(keys, self._prepare))
        planes = coarse.astype(np.float32) / np.float32(255)
        lung = np.stack([grid.sample(runs.lung) for runs in job.slices])
        positions = np.array([runs.geometry.along_mm for runs in job.slices])
        return self._finder.find(planes, lung, positions, grid.pixel_mm)


def _count_slice(grid: CoarseGrid, runs: SliceRuns, labels: Labels) -> RegionCounts:
    lung = grid.count(runs.lung)
    kinds = (lung, grid.count(runs.lesion), grid.count(runs.high_opacity))
    return count_regions(_spread(labels, lung), kinds, len(LOBE_NAMES))


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
