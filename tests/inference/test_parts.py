"""Complete scans divided into lobes and segments, by real networks that are tiny."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.inference.parts import Divided, LungDivision, PartsFound, PartsJob, SliceRuns
from appliance.inference.planes import PlaneStore
from appliance.inference.queue import Job
from appliance.inference.shapes import slab_shapes
from appliance.inference.slab_inference import Result, SlabInference
from appliance.inference.tasks import DeviceInference
from appliance.scan.cutting import final_slabs
from appliance.scan.slice import Slice
from appliance.scan.stack import Section, Stack
from engines.divider import Divider, load_dividers
from engines.models import load_repository
from engines.runtimes import DeviceError, DeviceLostError, choose
from engines.segmenter import Segmenter
from tests.inference.test_volume import made_slices
from tests.tiny_models import write_segments_repository

SCAN = "scan"
Dividers = tuple[Divider, ...]
NONE = np.array([], np.uint32)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_segments_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def segmenter(repository: Path) -> Segmenter:
    return Segmenter(load_repository(repository), choose("openvino"), batch=4)


@pytest.fixture(scope="module")
def dividers(repository: Path) -> tuple[Divider, ...]:
    return load_dividers(load_repository(repository), choose("openvino"))


class Rooms:
    """A scan that was inferred, in whatever order, and what divides it."""

    def __init__(
        self, segmenter: Segmenter, dividers: Sequence[Divider], *, coarse_bytes: int = 2**24
    ) -> None:
        self.slices = made_slices(40, 5.0)
        self.by_uid = {item.header.sop_instance_uid: item for item in self.slices}
        self.planes = PlaneStore(self.reload, coarse_bytes=coarse_bytes)
        stack = Stack()
        for item in self.slices:
            self.planes.add(SCAN, item)
            stack.insert(item.header.geometry.along_mm, item.header.sop_instance_uid)
        slabs = SlabInference(segmenter, self.planes)
        jobs = [
            Job(SCAN, slab, self.by_uid[slab.target].header.geometry)
            for slab in final_slabs(stack, slab_shapes(segmenter.lesion_models)[Section.THICK], 5.0)
        ]
        results = {one.job.target: one for one in slabs.outcomes(jobs) if isinstance(one, Result)}
        self.results = [results[uid] for uid in stack.ids]
        division = LungDivision(dividers, self.planes, segmenter.prepare, segmenter.lung.size)
        self.inference = DeviceInference(slabs, division)
        self.job = PartsJob(SCAN, tuple(map(SliceRuns.of, self.results)), ("lobes", "segments"))

    def reload(self, scan_id: str, uid: str) -> Slice:
        return self.by_uid[uid]

    def found(self, role: str = "lobes") -> PartsFound:
        (outcome,) = self.inference.outcomes([self.job])
        assert isinstance(outcome, Divided)
        return outcome.found[role]


@pytest.mark.parametrize("role", ["lobes", "segments"])
def test_every_counted_pixel_is_in_a_part(
    segmenter: Segmenter, dividers: Dividers, role: str
) -> None:
    rooms = Rooms(segmenter, dividers)
    counts = np.array(rooms.found(role).tallies.slices)
    tallies = [result.tally for result in rooms.results]
    expected = [(one.lung_px, one.lesion_px, one.high_opacity_px) for one in tallies]
    np.testing.assert_array_equal(counts.sum(axis=2), expected)
    assert (counts[:, :, 0] == 0).all()
    assert counts.sum(axis=0)[0, 1:].min() > 100
    assert counts.sum(axis=0)[1].sum() > 0


def test_right_and_left_upper_and_lower_are_told_apart(
    segmenter: Segmenter, dividers: Dividers
) -> None:
    rooms = Rooms(segmenter, dividers)
    lung = np.array(rooms.found().tallies.slices)[:, 0, 1:]
    heights = [np.average(np.arange(len(lung)), weights=lobe) for lobe in lung.T]
    assert heights[0] > heights[1] > heights[2]
    assert heights[3] > heights[4]
    assert lung.sum(axis=0)[:3].sum() == pytest.approx(lung.sum(axis=0)[3:].sum(), rel=0.05)


def test_memory_for_one_plane_changes_nothing(segmenter: Segmenter, dividers: Dividers) -> None:
    plenty = Rooms(segmenter, dividers).found()
    scarce = Rooms(segmenter, dividers, coarse_bytes=1).found()
    np.testing.assert_array_equal(scarce.tallies.slices, plenty.tallies.slices)
    assert scarce.engine.spec.role == "lobes"


def test_what_a_lobe_job_shares_its_turn_with_changes_nothing(
    segmenter: Segmenter, dividers: Dividers
) -> None:
    rooms = Rooms(segmenter, dividers)
    jobs = [result.job for result in rooms.results[:3]]
    *results, lobes = rooms.inference.outcomes([jobs[0], rooms.job, *jobs[1:]])
    assert results == rooms.results[:3]
    assert isinstance(lobes, Divided)
    found = lobes.found["lobes"].tallies
    np.testing.assert_array_equal(found.slices, rooms.found().tallies.slices)


def test_the_parts_of_a_forgotten_scan_are_not_found(
    segmenter: Segmenter, dividers: Dividers
) -> None:
    rooms = Rooms(segmenter, dividers, coarse_bytes=1)
    rooms.planes.forget(SCAN)
    assert rooms.inference.outcomes([rooms.job]) == []


def test_a_scan_without_lung_has_no_parts(segmenter: Segmenter, dividers: Dividers) -> None:
    rooms = Rooms(segmenter, dividers)
    empty = tuple(
        replace(runs, lung=NONE, lesion=NONE, high_opacity=NONE) for runs in rooms.job.slices
    )
    rooms.job = replace(rooms.job, slices=empty)
    for role in ("lobes", "segments"):
        assert not np.any(rooms.found(role).tallies.slices)


class Failing:
    """An engine that cannot answer."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def run(self, slabs: np.ndarray) -> np.ndarray:
        raise self._error


@pytest.mark.parametrize("error", [RuntimeError("no answer"), DeviceError("it failed")])
@pytest.mark.parametrize(("failing", "other"), [("lobes", "segments"), ("segments", "lobes")])
def test_a_part_that_fails_costs_nothing_else(
    segmenter: Segmenter,
    dividers: Dividers,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    failing: str,
    other: str,
) -> None:
    rooms = Rooms(segmenter, dividers)
    whole = rooms.found(other).tallies.slices
    (divider,) = (one for one in dividers if one.role == failing)
    monkeypatch.setattr(divider, "engine", replace(divider.engine, executable=Failing(error)))
    first, divided = rooms.inference.outcomes([rooms.results[0].job, rooms.job])
    assert first == rooms.results[0]
    assert isinstance(divided, Divided)
    assert {role: one.error for role, one in divided.failed.items()} == {failing: error}
    assert divided.found.keys() == {other}
    np.testing.assert_array_equal(divided.found[other].tallies.slices, whole)


def test_planes_that_cannot_be_made_again_fail_every_part(
    segmenter: Segmenter, dividers: Dividers, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = Rooms(segmenter, dividers, coarse_bytes=1)
    monkeypatch.setattr("appliance.inference.planes.PixelCache.get", lambda self, key: None)
    rooms.by_uid.clear()
    (divided,) = rooms.inference.outcomes([rooms.job])
    assert isinstance(divided, Divided)
    assert divided.failed.keys() == {"lobes", "segments"}
    assert not divided.found


@pytest.mark.parametrize("role", ["lobes", "segments"])
def test_a_lost_device_hands_the_job_to_another(
    segmenter: Segmenter, dividers: Dividers, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    rooms = Rooms(segmenter, dividers)
    failing = Failing(DeviceLostError("gone"))
    (divider,) = (one for one in dividers if one.role == role)
    monkeypatch.setattr(divider, "engine", replace(divider.engine, executable=failing))
    with pytest.raises(DeviceLostError):
        rooms.inference.outcomes([rooms.job])


def test_a_role_without_a_model_fails_alone(segmenter: Segmenter, dividers: Dividers) -> None:
    rooms = Rooms(segmenter, dividers[:1])
    (divided,) = rooms.inference.outcomes([rooms.job])
    assert isinstance(divided, Divided)
    assert divided.found.keys() == {"lobes"}
    assert divided.failed.keys() == {"segments"}
