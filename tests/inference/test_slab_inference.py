"""Blocks on the way from prepared planes to masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pytest

from appliance.inference.planes import ForgottenSliceError, PlaneStore
from appliance.inference.queue import Job
from appliance.inference.shapes import slab_shapes
from appliance.inference.slab_inference import Failure, Outcome, Result, SlabInference
from appliance.scan.cutting import final_slabs
from appliance.scan.slabs import Block, Slab
from appliance.scan.slice import Slice
from appliance.scan.stack import Section, Stack
from engines.models import load_repository
from engines.runtimes import choose
from engines.segmenter import Answer, Prepared, Segmenter
from tests.inference.test_volume import made_slices
from tests.tiny_models import write_block_repository

SCAN = "scan"


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    folder = write_block_repository(tmp_path_factory.mktemp("repository"))
    return Segmenter(load_repository(folder), choose("openvino"), batch=4)


class Rooms:
    """A thin scan, its final slabs, and how often each of its blocks was inferred."""

    def __init__(
        self,
        segmenter: Segmenter,
        monkeypatch: pytest.MonkeyPatch,
        answer_bytes: int = 2**24,
        *,
        lesion: bool = True,
    ) -> None:
        self.slices = made_slices(80, 1.25)
        if not lesion:
            self.slices = [Slice(item.header, np.full_like(item.hu, 40)) for item in self.slices]
        self.by_uid = {item.header.sop_instance_uid: item for item in self.slices}
        self.planes = PlaneStore(self.reload, answer_bytes=answer_bytes)
        stack = Stack()
        for item in self.slices:
            self.planes.add(SCAN, item)
            stack.insert(item.header.geometry.along_mm, item.header.sop_instance_uid)
        shape = slab_shapes(segmenter.lesion_models)[Section.THIN]
        self.slabs = final_slabs(stack, shape, 1.25)
        self.inference = SlabInference(segmenter, self.planes)
        self.inferred = 0
        answer = segmenter.answer_block

        def counted(model: str, planes: Sequence[Sequence[Prepared]]) -> Answer[Prepared]:
            self.inferred += 1
            return answer(model, planes)

        monkeypatch.setattr(segmenter, "answer_block", counted)

    def reload(self, scan_id: str, uid: str) -> Slice:
        return self.by_uid[uid]

    def job(self, slab: Slab) -> Job:
        return Job(SCAN, slab, self.by_uid[slab.target].header.geometry)

    def outcomes(self, batch: int = 4) -> list[Outcome]:
        jobs = [self.job(slab) for slab in self.slabs]
        return [
            outcome
            for start in range(0, len(jobs), batch)
            for outcome in self.inference.outcomes(jobs[start : start + batch])
        ]

    @property
    def blocks(self) -> list[Block]:
        return list(dict.fromkeys(share.block for slab in self.slabs for share in slab.shares))


def test_a_block_is_inferred_once(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    rooms = Rooms(segmenter, monkeypatch)
    assert len(rooms.outcomes()) == 80
    assert rooms.inferred == len(rooms.blocks) > 3


def test_memory_for_one_answer_changes_the_work_but_nothing_else(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = Rooms(segmenter, monkeypatch).outcomes()
    scarce = Rooms(segmenter, monkeypatch, answer_bytes=1)
    assert scarce.outcomes(batch=1) == reference
    assert scarce.inferred > len(scarce.blocks)


def test_where_there_is_no_lung_no_block_is_inferred(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = Rooms(segmenter, monkeypatch, lesion=False)
    assert all(isinstance(one, Result) and not one.lesion_runs for one in rooms.outcomes())
    assert rooms.inferred == 0


def test_a_block_that_fails_costs_only_the_slices_it_has_a_share_in(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = Rooms(segmenter, monkeypatch)
    broken = rooms.blocks[1]
    answer: Callable[..., Answer[Prepared]] = rooms.planes.answer

    def failing(scan_id: str, model: str, block: Block, *made_by: object) -> object:
        if block == broken:
            raise RuntimeError("a broken block")
        return answer(scan_id, model, block, *made_by)

    monkeypatch.setattr(rooms.planes, "answer", failing)
    failed = {one.job.slab.target for one in rooms.outcomes() if isinstance(one, Failure)}
    needing = {
        slab.target for slab in rooms.slabs if broken in [share.block for share in slab.shares]
    }
    assert failed == needing
    assert 0 < len(failed) < 80


def test_the_answer_is_that_of_the_mean_planes(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = Rooms(segmenter, monkeypatch)
    block = rooms.blocks[2]
    given: list[npt.NDArray[np.float32]] = []
    executable = segmenter.engines["lesion_thin"].executable

    def noting(slabs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        given.extend(slabs)
        return run(slabs)

    run = executable.run
    monkeypatch.setattr(executable, "run", noting)
    infer = partial(segmenter.answer_block, "lesion_thin")
    rooms.planes.answer(SCAN, "lesion_thin", block, segmenter.prepare, infer)
    (planes,) = given
    for plane, uids in zip(planes, block.planes, strict=True):
        prepared = rooms.planes.prepared([(SCAN, uid) for uid in uids], segmenter.prepare)
        np.testing.assert_allclose(plane, np.mean(list(prepared.values()), axis=0), atol=1e-6)


def test_the_answers_of_a_forgotten_scan_take_no_memory(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms = Rooms(segmenter, monkeypatch)
    rooms.outcomes()
    rooms.planes.forget(SCAN)
    assert rooms.planes.bytes_used == 0
    assert rooms.inference.outcomes([rooms.job(rooms.slabs[40])]) == []

    def forgetting(planes: Sequence[Sequence[Prepared]]) -> Answer[Prepared]:
        rooms.planes.forget(SCAN)
        return np.stack([np.asarray(plane) for plane, *_ in planes])

    for item in rooms.slices:
        rooms.planes.add(SCAN, item)
    with pytest.raises(ForgottenSliceError):
        rooms.planes.answer(SCAN, "itself", rooms.blocks[2], segmenter.prepare, forgetting)
    assert rooms.planes.bytes_used == 0
