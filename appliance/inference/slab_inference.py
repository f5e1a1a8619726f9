"""Inference of slabs, one batch at a time: what every worker, and a whole volume, runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from appliance.failpoints import hit
from appliance.inference.planes import ForgottenSliceError, Key, PlaneStore, frame_of
from appliance.inference.queue import Job
from appliance.quantify.quality import SliceQuality, measure_slice
from appliance.quantify.tally import SliceTally, high_opacity, tally_slice
from appliance.scan.geometry import SliceGeometry, from_standard, to_standard
from appliance.scan.masks import encode_runs
from engines.preprocess import Mask
from engines.runtimes import DeviceError, DeviceLostError
from engines.segmenter import Prepared, Segmenter, SegmentRequest, SliceMasks

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What inference found on one slice; runs are those of `breathhold.v1.SliceMask`.

    `high_opacity_runs` are of the lesion that counts as high opacity.
    """

    job: Job
    tally: SliceTally
    lesion_runs: tuple[int, ...]
    lung_runs: tuple[int, ...]
    high_opacity_runs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that could not be inferred."""

    job: Job
    error: Exception


Outcome = Result | Failure


class SlabInference:
    """Runs the engines on batches of jobs, on the caller's thread.

    Parameters
    ----------
    segmenter
        Warm engines.
    planes
        The pixels of the slices.
    """

    def __init__(self, segmenter: Segmenter, planes: PlaneStore) -> None:
        self._segmenter, self._planes = segmenter, planes

    @property
    def batch(self) -> int:
        """The largest number of jobs worked on at once."""
        return self._segmenter.batch

    def outcomes(self, jobs: Sequence[Job]) -> Sequence[Outcome]:
        """What became of each job of a batch, except those of forgotten scans.

        When a batch fails, each of its jobs is tried by itself, so that one
        that cannot be inferred costs only itself.

        Raises
        ------
        DeviceError
            When the device is lost, or fails on a job by itself too: no job of the
            batch is answered then.
        """
        try:
            return self._infer(jobs)
        except DeviceLostError:
            raise
        except Exception as error:
            if len(jobs) == 1:
                if isinstance(error, DeviceError):
                    raise
                if isinstance(error, ForgottenSliceError):
                    return []
                logger.exception("inference of a slab failed")
                return [Failure(jobs[0], error)]
            if not isinstance(error, ForgottenSliceError):
                logger.warning("a batch of %d slabs failed, trying them one by one", len(jobs))
            return [outcome for job in jobs for outcome in self.outcomes([job])]

    def _infer(self, jobs: Sequence[Job]) -> list[Result]:
        keys = {(job.scan_id, uid) for job in jobs for uid in job.slab.planes}
        segmenter = self._segmenter
        planes = self._planes.prepared(sorted(keys), segmenter.prepare, segmenter.memory)
        requests = [
            SegmentRequest(
                job.slab.model,
                tuple(planes[job.scan_id, uid] for uid in job.slab.planes),
                frame_of(job.geometry),
                partial(self._blended, job) if job.slab.shares else None,
            )
            for job in jobs
        ]
        hit("engine")
        found = segmenter.segment(requests)
        hit("engine.answer")
        targets: list[Key] = [(job.scan_id, job.slab.target) for job in jobs]
        self._planes.hold_coarse({key: planes[key] for key in targets})
        return [self._result(job, masks) for job, masks in zip(jobs, found, strict=True)]

    def _blended(self, job: Job) -> Prepared:
        """The probability of a target from its blocks, summed in the order of their shares."""
        segmenter, model = self._segmenter, job.slab.model
        infer = partial(segmenter.answer_block, model)
        answers = [
            self._planes.answer(
                job.scan_id, model, share.block, segmenter.prepare, infer, segmenter.memory
            )[share.plane]
            for share in job.slab.shares
        ]
        return segmenter.blend([share.weight for share in job.slab.shares], answers)

    def _result(self, job: Job, masks: SliceMasks) -> Result:
        key: Key = (job.scan_id, job.slab.target)
        lung, lesion = _as_sent(masks.lung, job), _as_sent(masks.lesion, job)
        hu = self._planes.hu(key)
        return Result(
            job,
            replace(tally_slice(hu, lung, lesion), quality=_quality(hu, masks.lung, job.geometry)),
            tuple(encode_runs(lesion)),
            tuple(encode_runs(lung)),
            tuple(encode_runs(high_opacity(hu, lung, lesion))),
        )


def _quality(hu: npt.NDArray[np.int16], lung: Mask, geometry: SliceGeometry) -> SliceQuality:
    """Measured in the standard view, as which `lung` lies; `hu` is as sent."""
    frame = frame_of(geometry)
    seen = to_standard(hu, geometry).astype(np.int16, copy=False)
    return measure_slice(seen, lung.astype(np.bool_, copy=False), (frame.row_mm, frame.column_mm))


def _as_sent(mask: Mask, job: Job) -> Mask:
    return np.ascontiguousarray(from_standard(mask, job.geometry)).astype(np.bool_, copy=False)
