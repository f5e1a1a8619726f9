"""Several devices on one queue: spread, lost, and what takes over."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from appliance.config import EngineConfig
from appliance.inference import pool
from appliance.inference.devices import choose_devices, choose_fallback
from appliance.inference.editions import Edition
from appliance.inference.planes import PlaneStore
from appliance.inference.pool import DevicePool
from appliance.inference.queue import InferenceQueue, Job
from appliance.inference.serving import DeviceState
from appliance.inference.shapes import slab_shapes
from appliance.inference.slab_inference import Failure, Outcome, Result
from appliance.scan.cutting import final_slabs
from appliance.scan.stack import Section, Stack
from appliance.scan.verdicts import NoticeReason
from engines.models import ModelError, load_repository
from engines.runtimes import RUNTIMES, DeviceError, DeviceLostError
from tests.bench_runtime import BenchRuntime, Registering
from tests.inference.test_volume import made_slices
from tests.tiny_models import write_block_repository, write_tiny_repository

SCAN = "scan"
SLICES = made_slices(80, 1.25)
STALL_S = 20.0


@pytest.fixture(scope="module", params=[write_tiny_repository, write_block_repository])
def repository(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = request.param(tmp_path_factory.mktemp("repository"))
    return folder


@pytest.fixture(scope="module")
def undisturbed(repository: Path) -> dict[str, Outcome]:
    """Every result of one OpenVINO worker."""
    room = Room(repository, runtime="openvino")
    with room.running():
        room.put_all()
        return room.all_outcomes()


class Room:
    """A thin scan with its final slabs, the devices, and what they delivered."""

    def __init__(self, repository: Path, *, fallback: bool = True, runtime: str = "bench") -> None:
        specs = load_repository(repository)
        engine = EngineConfig(repository=repository, runtime=runtime, batch=4)
        by_uid = {item.header.sop_instance_uid: item for item in SLICES}
        self.planes = PlaneStore(lambda _, uid: by_uid[uid])
        stack = Stack()
        for item in SLICES:
            self.planes.add(SCAN, item)
            stack.insert(item.header.geometry.along_mm, item.header.sop_instance_uid)
        slabs = final_slabs(stack, slab_shapes(specs)[Section.THIN], 1.25)
        self.edition = Edition.of(specs)
        self.jobs = [
            Job(SCAN, slab, by_uid[slab.target].header.geometry, edition=self.edition)
            for slab in slabs
        ]
        self.queue = InferenceQueue()
        devices = choose_devices(engine)
        other = choose_fallback(engine, specs, devices) if fallback else None
        self.pool = DevicePool(devices, other, self.queue, self.edition)
        self.outcomes: list[Outcome] = []
        self._news = threading.Condition()

    @contextmanager
    def running(self, runtime: BenchRuntime | None = None) -> Iterator[None]:
        self.pool.load()
        if runtime:
            runtime.arm()
        self.pool.start(self.planes, self._deliver)
        try:
            yield
        finally:
            self.pool.stop()

    def _deliver(self, outcome: Outcome) -> None:
        with self._news:
            self.outcomes.append(outcome)
            self._news.notify_all()

    def put_all(self) -> None:
        for job in self.jobs:
            self.queue.put(job)

    def all_outcomes(self) -> dict[str, Outcome]:
        """By target, once there is one for each slab."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.outcomes) >= len(self.jobs), 60)
        assert len(self.outcomes) == len(self.jobs)
        return {outcome.job.slab.target: outcome for outcome in self.outcomes}

    def await_state(self, name: str, state: DeviceState) -> None:
        until = time.monotonic() + 60
        while self.states.get(name) is not state:
            assert time.monotonic() < until, self.states
            time.sleep(0.01)

    def await_left(self, count: int) -> None:
        """Until at most so many jobs wait."""
        until = time.monotonic() + 60
        while len(self.queue) > count:
            assert time.monotonic() < until
            time.sleep(0.01)

    @property
    def states(self) -> dict[str, DeviceState]:
        return {device.name: device.state for device in self.pool.devices}

    @property
    def notices(self) -> list[str]:
        notices = self.pool.serving.notices
        assert {notice.reason for notice in notices} <= {NoticeReason.DEVICE_LOST}
        return [notice.message for notice in notices]


def test_it_does_not_show_which_of_two_devices_worked(
    repository: Path, undisturbed: dict[str, Outcome], bench: Registering
) -> None:
    runtime = bench(a="x", b="x")
    runtime.work_together()
    room = Room(repository)
    with room.running(runtime):
        room.put_all()
        assert room.all_outcomes() == undisturbed
    assert all(device.calls for device in runtime.devices.values())
    assert room.states == dict.fromkeys("ab", DeviceState.SERVING)
    assert not room.notices


def test_what_a_lost_device_had_in_hand_is_inferred_by_the_other(
    repository: Path, undisturbed: dict[str, Outcome], bench: Registering
) -> None:
    runtime = bench(a="x", b="x")
    runtime.devices["b"].fails_from = 4
    runtime.devices["a"].gate = runtime.devices["b"].failed
    room = Room(repository)
    with room.running(runtime):
        room.put_all()
        assert room.all_outcomes() == undisturbed
        assert room.pool.healthy(STALL_S)
    assert runtime.devices["b"].calls == 4
    assert room.states == {"a": DeviceState.SERVING, "b": DeviceState.LOST}
    assert len(room.notices) == 1
    assert "b was lost" in room.notices[0]
    assert "from a" in room.notices[0]
    assert next(one.words for one in room.pool.devices if one.name == "b").startswith("memcpy")


def test_after_the_last_device_the_cpu_takes_over(
    repository: Path, undisturbed: dict[str, Outcome], bench: Registering
) -> None:
    runtime = bench(a="x", b="x")
    for device, calls in zip(runtime.devices.values(), (3, 5), strict=True):
        device.fails_from = calls
    room = Room(repository)
    with room.running(runtime):
        assert {engine.runtime for engine in room.pool.serving.engines.values()} == {"bench"}
        room.put_all()
        assert room.all_outcomes() == undisturbed
        assert room.pool.healthy(STALL_S)
    assert room.states == {
        **dict.fromkeys("ab", DeviceState.LOST),
        "cpu": DeviceState.SERVING,
    }
    assert {engine.runtime for engine in room.pool.serving.engines.values()} == {"openvino"}
    assert len(room.notices) == 2
    assert "from cpu" in room.notices[1]


def test_with_nothing_left_every_job_waits_and_nothing_beats(
    repository: Path, bench: Registering
) -> None:
    runtime = bench(a="x")
    runtime.devices["a"].fails_from = 4
    room = Room(repository, fallback=False)
    with room.running(runtime):
        assert room.pool.beating(STALL_S)
        room.put_all()
        room.await_state("a", DeviceState.LOST)
        room.pool._places[0].worker.join(60)  # type: ignore[union-attr]
        assert not room.pool.beating(STALL_S)
        waiting = room.queue.take(100)
    delivered = {outcome.job.slab.target for outcome in room.outcomes}
    assert delivered.isdisjoint(job.slab.target for job in waiting)
    assert len(delivered) + len(waiting) == len(room.jobs)


@pytest.mark.parametrize("error", [RuntimeError, DeviceError])
def test_a_batch_that_fails_once_is_tried_again_on_its_device(
    repository: Path, undisturbed: dict[str, Outcome], bench: Registering, error: type[Exception]
) -> None:
    runtime = bench(a="x")
    device = runtime.devices["a"]
    device.fails_from, device.failures, device.error = 3, 1, error
    room = Room(repository)
    with room.running(runtime):
        room.put_all()
        assert room.all_outcomes() == undisturbed
    assert device.failed.is_set()
    assert room.states == {"a": DeviceState.SERVING}


def test_a_device_that_fails_on_a_slab_by_itself_is_lost(
    repository: Path, undisturbed: dict[str, Outcome], bench: Registering
) -> None:
    runtime = bench(a="x")
    device = runtime.devices["a"]
    device.fails_from, device.error = 3, DeviceError
    room = Room(repository)
    with room.running(runtime):
        room.put_all()
        assert room.all_outcomes() == undisturbed
    assert room.states == {"a": DeviceState.LOST, "cpu": DeviceState.SERVING}


def test_any_other_fault_is_the_slabs_and_no_loss(repository: Path, bench: Registering) -> None:
    runtime = bench(a="x")
    device = runtime.devices["a"]
    device.fails_from, device.error = 3, RuntimeError
    room = Room(repository)
    with room.running(runtime):
        room.put_all()
        outcomes = room.all_outcomes().values()
        assert any(isinstance(outcome, Result) for outcome in outcomes)
        assert any(isinstance(outcome, Failure) for outcome in outcomes)
        assert room.pool.beating(STALL_S)
        assert not room.pool.healthy(STALL_S)
    assert room.states == {"a": DeviceState.SERVING}


def test_a_device_that_hangs_is_not_hidden_by_one_that_works(
    repository: Path, undisturbed: dict[str, Outcome], bench: Registering
) -> None:
    runtime = bench(a="x", b="x")
    released = runtime.devices["b"].gate = threading.Event()
    room = Room(repository)
    with room.running(runtime):
        assert room.pool.beating(STALL_S)
        room.put_all()
        until = time.monotonic() + 60
        while room.pool.beating(1.5):  # a waits for jobs at most 1 s
            assert time.monotonic() < until
            time.sleep(0.05)
        assert not room.pool.healthy(1.5)
        released.set()
        assert room.all_outcomes() == undisturbed


def test_what_is_lost_from_the_start_is_told(
    repository: Path, undisturbed: dict[str, Outcome], bench: Registering
) -> None:
    bench(a="x", b="x").devices["a"].loads_fail = True
    room = Room(repository)
    with room.running():
        room.put_all()
        assert room.all_outcomes() == undisturbed
    assert room.states == {"a": DeviceState.LOST, "b": DeviceState.SERVING}
    assert len(room.notices) == 1


@pytest.mark.parametrize("fallback", [True, False])
def test_all_lost_from_the_start(repository: Path, bench: Registering, *, fallback: bool) -> None:
    for device in bench(a="x", b="x").devices.values():
        device.loads_fail = True
    room = Room(repository, fallback=fallback)
    if fallback:
        room.pool.load()
        assert room.states["cpu"] is DeviceState.SERVING
        assert len(room.notices) == 2
        assert all("from cpu" in notice for notice in room.notices)
    else:
        with pytest.raises(DeviceLostError):
            room.pool.load()


def test_a_fallback_that_cannot_be_loaded_leaves_nothing_that_beats(
    repository: Path, bench: Registering, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = bench(a="x")
    runtime.devices["a"].fails_from = 1
    room = Room(repository)

    def damaged(*_: object) -> None:
        raise ModelError("the artefact is not the recorded one")

    with room.running(runtime):
        monkeypatch.setattr(RUNTIMES["openvino"], "load", partial(damaged))
        room.put_all()
        room.await_state("cpu", DeviceState.LOST)
        assert not room.pool.beating(STALL_S)
        assert len(room.notices) == 2
        assert "waits for a restart" in room.notices[1]


def test_a_stop_waits_for_all_that_hang_together(
    repository: Path, bench: Registering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_STOP_S", 1.0)
    names = "abcd"
    runtime, released = bench(**dict.fromkeys(names, "x")), threading.Event()
    for device in runtime.devices.values():
        device.gate = released
    room = Room(repository)
    with room.running(runtime):
        room.put_all()
        room.await_left(len(room.jobs) - len(names) * 4)
        begun = time.monotonic()
        room.pool.stop()
        took_s = time.monotonic() - begun
        released.set()
    assert took_s < len(names) * 0.75
