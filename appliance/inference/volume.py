"""A whole scan held in memory, segmented at once.

The scan's state machine, the plane store, the queue and the inference are the
daemon's own; only the network, the disk and the worker's thread are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from appliance.inference.parts import LungDivision, PartsJob, SliceRuns
from appliance.inference.planes import PlaneStore
from appliance.inference.queue import InferenceQueue, Job
from appliance.inference.slab_inference import Failure, Outcome, Result, SlabInference
from appliance.quantify.norms import NO_NORMS, Norms
from appliance.quantify.regions import RegionTallies
from appliance.quantify.tally import SliceTally
from appliance.scan.events import CompletedBy, Event, Refused, SlabReady
from appliance.scan.masks import decode_runs
from appliance.scan.scan import Scan, ScanPhase, ScanPolicy
from appliance.scan.slice import Slice, SliceHeader
from appliance.scan.summary import Summary, summarize
from engines.divider import Divider
from engines.preprocess import Mask
from engines.runtimes import DeviceError
from engines.segmenter import Segmenter

_SCAN_ID = "volume"


class VolumeError(Exception):
    """A volume that could not be segmented; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class SliceResult:
    """One segmented slice.

    Parameters
    ----------
    header
        Of the slice.
    lung, lesion
        Masks as sent (not turned), shape (rows, columns); lesion lies inside lung.
    tally
        Counts of the slice.
    """

    header: SliceHeader
    lung: Mask
    lesion: Mask
    tally: SliceTally


def segment_volume(
    slices: Sequence[Slice], segmenter: Segmenter, policy: ScanPolicy
) -> list[SliceResult]:
    """Lung and lesion of every slice of a scan, as the daemon finds them.

    Parameters
    ----------
    slices
        Of one series, in any order; the result does not depend on it.
    segmenter
        Warm engines.
    policy
        How the scan is cut; its shapes are those of the segmenter's models
        (:func:`appliance.inference.shapes.slab_shapes`).

    Returns
    -------
    One result a slice, foot to head; none for no slices.

    Raises
    ------
    VolumeError
        When a slice is refused or cannot be inferred.
    """
    if not slices:
        return []
    volume = _Volume(slices, segmenter, policy)
    for item in slices:
        volume.offer(item)
    return volume.results()


def score_volume(
    slices: Sequence[Slice],
    segmenter: Segmenter,
    policy: ScanPolicy,
    dividers: Sequence[Divider] = (),
    norms: Norms = NO_NORMS,
) -> Summary:
    """All that the daemon reports of a scan; parameters and errors of :func:`segment_volume`.

    Parameters
    ----------
    slices
        At least one.
    dividers
        Of lobes and segments; there are no scores by what has none.
    norms
        What the scan is measured against.

    Raises
    ------
    VolumeError
        Also when it cannot be divided.
    """
    volume = _Volume(slices, segmenter, policy)
    for item in slices:
        volume.offer(item)
    return volume.summary(dividers, norms)


class _Volume:
    """A scan, the queue it fills and the inference that empties it."""

    def __init__(self, slices: Sequence[Slice], segmenter: Segmenter, policy: ScanPolicy) -> None:
        by_uid = {item.header.sop_instance_uid: item for item in slices}
        self._scan = Scan(slices[0].header.series_instance_uid, policy)
        self._planes = PlaneStore(lambda _, uid: by_uid[uid])
        self._queue: InferenceQueue[Job] = InferenceQueue()
        self._segmenter = segmenter
        self._inference = SlabInference(segmenter, self._planes)

    def offer(self, item: Slice) -> None:
        self._planes.add(_SCAN_ID, item)
        self._follow(self._scan.offer(item.header))

    def results(self) -> list[SliceResult]:
        return [self._decoded(result) for result in self._inferred()]

    def summary(self, dividers: Sequence[Divider], norms: Norms) -> Summary:
        results = self._inferred()
        if not dividers or self._scan.scores().po is None:
            return summarize(self._scan, norms)
        return summarize(self._scan, norms, self._parts(dividers, results))

    def _parts(
        self, dividers: Sequence[Divider], results: Sequence[Result]
    ) -> dict[str, RegionTallies]:
        segmenter, roles = self._segmenter, tuple(divider.role for divider in dividers)
        division = LungDivision(dividers, self._planes, segmenter.prepare, segmenter.lung.size)
        job = PartsJob(_SCAN_ID, tuple(SliceRuns.of(result) for result in results), roles)
        (outcome,) = division.outcomes(job)
        for role, failed in outcome.failed.items():
            raise VolumeError(f"the {role} could not be found: {failed.error}") from failed.error
        return {role: parts.tallies for role, parts in outcome.found.items()}

    def _inferred(self) -> list[Result]:
        """Infer what is in the queue now: slabs that were replaced since are not in it."""
        self._follow(self._scan.complete(CompletedBy.END))
        found: dict[str, Result] = {}
        while self._queue:
            for outcome in self._next_outcomes():
                if isinstance(outcome, Failure):
                    raise VolumeError(
                        f"slice {outcome.job.slab.target} could not be inferred: {outcome.error}"
                    ) from outcome.error
                self._follow(self._scan.record(outcome.job.slab, outcome.tally))
                found[outcome.job.slab.target] = outcome
        assert self._scan.phase is ScanPhase.FINISHED
        return [found[uid] for uid in self._scan.stack.ids]

    def _next_outcomes(self) -> Sequence[Outcome]:
        try:
            return self._inference.outcomes(self._queue.take(self._inference.batch))
        except DeviceError as error:
            raise VolumeError(f"the device failed: {error}") from error

    def _follow(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case Refused(uid, refusal):
                    raise VolumeError(f"slice {uid}: {refusal.message}")
                case SlabReady(slab):
                    geometry = self._scan.headers[slab.target].geometry
                    self._queue.put(Job(_SCAN_ID, slab, geometry))

    def _decoded(self, result: Result) -> SliceResult:
        header = self._scan.headers[result.job.slab.target]
        rows, columns = header.geometry.rows, header.geometry.columns
        return SliceResult(
            header,
            decode_runs(result.lung_runs, rows, columns),
            decode_runs(result.lesion_runs, rows, columns),
            result.tally,
        )
