"""Editions side by side on devices: each scan gets its own, and what nobody holds is freed."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path

import pytest

from appliance.inference.editions import Edition
from appliance.inference.queue import Job
from appliance.inference.serving import DeviceState
from appliance.inference.slab_inference import Failure, Result
from engines.models import ModelError, load_repository
from engines.runtimes import RUNTIMES, DeviceLostError
from engines.versions import load_version
from tests.bench_runtime import BenchRuntime, Registering
from tests.inference.test_pool import SCAN, SLICES, Room
from tests.tiny_models import add_lesion_version, write_tiny_repository

OTHER = "other scan"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_tiny_repository(tmp_path_factory.mktemp("repository"))
    add_lesion_version(folder, 2, -480.0)
    return folder


@pytest.fixture
def newer(repository: Path) -> Edition:
    edition = Edition.of(load_repository(repository))
    return edition.with_spec(load_version(repository / "lesion", 2))


class TwoScans(Room):
    """The scan of a room, and the same pixels as another scan of a newer edition."""

    def __init__(self, repository: Path, newer: Edition, runtime: str = "bench") -> None:
        super().__init__(repository, runtime=runtime)
        for item in SLICES:
            self.planes.add(OTHER, item)
        self.others = [
            Job(OTHER, job.slab, job.geometry, edition=newer)
            for job in self.jobs
            if isinstance(job, Job)
        ]

    def put_mixed(self) -> None:
        """The slabs of both in turn, so that they share batches."""
        for one, other in zip(self.jobs, self.others, strict=True):
            self.queue.put(one)
            self.queue.put(other)

    def found(self) -> dict[str, dict[str, Result]]:
        """Results by scan and target, once there is one for each slab."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.outcomes) >= 2 * len(self.jobs), 60)
        found: dict[str, dict[str, Result]] = {SCAN: {}, OTHER: {}}
        for outcome in self.outcomes:
            assert isinstance(outcome, Result)
            found[outcome.job.scan_id][outcome.job.target] = outcome
        return found


def of(results: dict[str, Result]) -> dict[str, tuple[object, ...]]:
    return {uid: (one.tally, one.lesion_runs, one.lung_runs) for uid, one in results.items()}


def alone(repository: Path, newer: Edition) -> dict[str, dict[str, tuple[object, ...]]]:
    """What each edition finds where there is no other."""
    found = {}
    for scan, edition in ((SCAN, Edition.of(load_repository(repository))), (OTHER, newer)):
        room = Room(repository, runtime="openvino")
        room.pool.shelf.prepare(edition)
        with room.running():
            for job in room.jobs:
                room.queue.put(Job(SCAN, job.slab, job.geometry, edition=edition))
            outcomes = room.all_outcomes()
        found[scan] = of({uid: one for uid, one in outcomes.items() if isinstance(one, Result)})
    assert found[SCAN] != found[OTHER]
    return found


def test_what_shares_a_batch_is_inferred_by_its_own_edition(
    repository: Path, newer: Edition, bench: Registering
) -> None:
    bench(a="x", b="x")
    room = TwoScans(repository, newer)
    with room.running():
        room.pool.shelf.prepare(newer)
        room.put_mixed()
        found = room.found()
    assert {scan: of(results) for scan, results in found.items()} == alone(repository, newer)


def test_what_takes_over_has_every_edition_that_is_held(
    repository: Path, newer: Edition, bench: Registering
) -> None:
    runtime = bench(a="x", b="x")
    room = TwoScans(repository, newer)
    for device in runtime.devices.values():
        device.fails_from = 4
    with room.running():
        room.pool.shelf.prepare(newer)
        runtime.arm()
        room.put_mixed()
        found = room.found()
        assert room.states["cpu"] is DeviceState.SERVING
        for edition in (room.edition, newer):
            engines = room.pool.shelf.serving_of(edition).engines.values()
            assert {engine.runtime for engine in engines} == {"openvino"}
    assert {scan: of(results) for scan, results in found.items()} == alone(repository, newer)


def test_engines_are_freed_after_the_last_scan_that_held_them(
    repository: Path, newer: Edition
) -> None:
    room = Room(repository, runtime="openvino")
    shelf = room.pool.shelf
    with room.running():
        scans = [shelf.hold(), shelf.hold()]
        executable = shelf.serving_of(room.edition).engines["lesion"].executable
        old = weakref.ref(executable)
        del executable
        shelf.prepare(newer)
        shelf.use(newer)
        assert shelf.hold() == newer
        assert [engine.spec.version for engine in shelf.finishing] == [1]
        for edition in scans:
            gc.collect()
            assert old() is not None
            shelf.let_go(edition)
        gc.collect()
        assert old() is None
        assert not shelf.finishing
        assert not shelf.serving_of(room.edition).engines
        assert room.pool.serving.engines["lesion"].spec.version == 2


def test_a_task_of_an_edition_that_nobody_holds_is_of_a_forgotten_scan(
    repository: Path, newer: Edition
) -> None:
    room = TwoScans(repository, newer, runtime="openvino")
    with room.running():
        for job in room.others:
            room.queue.put(job)
        room.await_left(0)
        room.put_all()
        assert len(room.all_outcomes()) == len(room.jobs)
    assert {outcome.job.scan_id for outcome in room.outcomes} == {SCAN}


def test_one_device_that_cannot_load_it_refuses_it_for_all(
    repository: Path, newer: Edition, bench: Registering
) -> None:
    runtime = bench(a="x", b="x")
    room = Room(repository)
    with room.running():
        runtime.devices["b"].loads_fail = True
        with pytest.raises(DeviceLostError):
            room.pool.shelf.prepare(newer)
        assert not room.pool.shelf.serving_of(newer).engines
        assert room.pool.shelf.edition == room.edition
        room.put_all()
        assert not [one for one in room.all_outcomes().values() if isinstance(one, Failure)]
        assert set(room.states.values()) == {DeviceState.SERVING}


def test_equal_devices_run_what_the_first_chose_for_the_new_version(
    repository: Path, newer: Edition, bench: Registering
) -> None:
    runtime = bench(a="x", b="x")
    room = Room(repository)
    room.pool.load()
    before = {name: len(device.loaded) for name, device in runtime.devices.items()}
    room.pool.shelf.prepare(newer)
    after = {name: device.loaded[before[name] :] for name, device in runtime.devices.items()}
    assert after == {name: ["lesion fp32", "lung fp32"] for name in "ab"}


@pytest.mark.parametrize(
    "error", [ModelError("the artefact is not the recorded one"), OSError("the disk failed")]
)
def test_a_lazy_load_that_fails_costs_only_its_own_scans(
    repository: Path,
    newer: Edition,
    bench: Registering,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    """The device that took over cannot load what a scan in progress holds."""
    runtime: BenchRuntime = bench(a="x")
    runtime.devices["a"].fails_from = 1
    room = TwoScans(repository, newer)
    load, refused = RUNTIMES["openvino"].load, threading.Event()

    def load_but_one(spec: object, artefact: object) -> object:
        if getattr(spec, "version", 0) == 2:
            refused.set()
            raise error
        return load(spec, artefact)  # type: ignore[arg-type]

    with room.running():
        room.pool.shelf.prepare(newer)
        runtime.arm()
        monkeypatch.setattr(RUNTIMES["openvino"], "load", load_but_one)
        room.put_mixed()
        with room._news:
            assert room._news.wait_for(lambda: len(room.outcomes) >= 2 * len(room.jobs), 60)
    assert refused.is_set()
    kinds = {(one.job.scan_id, type(one)) for one in room.outcomes}
    assert kinds == {(SCAN, Result), (OTHER, Failure)}
