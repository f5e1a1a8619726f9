"""DICOM read in processes of their own, which crash, hang and are replaced."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from appliance.failpoints import VARIABLE
from appliance.ingest import DEFAULT_LIMITS, SliceRefusedError, read_dicom
from appliance.ingest.apart import ReaderPool
from appliance.ingest.errors import ReadersUnavailableError
from appliance.ingest.process import ReaderProcess
from appliance.ingest.tags import Tag
from appliance.scan.verdicts import RefusalReason
from calibration.phantom import make_phantom, write_dicom_series
from tests.ingest import synthetic


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("phantom")
    write_dicom_series(make_phantom(3, section="thick", slices=12), folder)
    return [path.read_bytes() for path in sorted(folder.glob("*.dcm"))]


@pytest.fixture
def pool() -> Iterator[ReaderPool]:
    made = ReaderPool(1, DEFAULT_LIMITS, patience_s=30.0)
    yield made
    made.close()


def children() -> list[psutil.Process]:
    found = psutil.Process().children()
    return [one for one in found if "appliance.ingest.child" in " ".join(one.cmdline())]


def test_a_slice_is_the_same_there_as_here(pool: ReaderPool, files: list[bytes]) -> None:
    for dicom in files[:3]:
        there, here = pool.read(dicom), read_dicom(dicom, DEFAULT_LIMITS)
        assert there.header == here.header
        np.testing.assert_array_equal(there.hu, here.hu)
        assert there.hu.dtype == here.hu.dtype


def test_a_refusal_comes_with_its_reason(pool: ReaderPool, files: list[bytes]) -> None:
    for dicom in (b"no DICOM", files[0][: len(files[0]) // 2]):
        with pytest.raises(SliceRefusedError) as there:
            pool.read(dicom)
        with pytest.raises(SliceRefusedError) as here:
            read_dicom(dicom, DEFAULT_LIMITS)
        assert there.value.refusal == here.value.refusal
    assert len(children()) == 1


def test_what_is_larger_than_the_shared_memory_is_refused(files: list[bytes]) -> None:
    limits = replace(DEFAULT_LIMITS, max_bytes=len(files[0]))
    pool = ReaderPool(1, limits)
    try:
        with pytest.raises(SliceRefusedError) as refused:
            pool.read(files[0] + bytes(1))
        assert refused.value.refusal.reason is RefusalReason.TOO_LARGE
        assert pool.read(files[0]).header == read_dicom(files[0]).header
    finally:
        pool.close()


def test_a_slice_outlasts_the_next_one(pool: ReaderPool, files: list[bytes]) -> None:
    first = pool.read(files[0])
    pool.read(files[-1])
    np.testing.assert_array_equal(first.hu, read_dicom(files[0]).hu)


def test_a_process_that_crashes_costs_no_slice(
    files: list[bytes], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The slice it had is read in a fresh one."""
    monkeypatch.setenv(VARIABLE, "decoder=kill@2")
    pool = ReaderPool(1, DEFAULT_LIMITS)
    try:
        for dicom in files[:2]:
            assert pool.read(dicom).header == read_dicom(dicom, DEFAULT_LIMITS).header
        assert "died of SIGKILL" in caplog.text
    finally:
        pool.close()


def test_a_slice_that_ends_two_processes_is_refused(
    files: list[bytes], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(VARIABLE, "decoder=kill")
    pool = ReaderPool(1, DEFAULT_LIMITS)
    try:
        with pytest.raises(SliceRefusedError) as refused:
            pool.read(files[0])
        assert refused.value.refusal.reason is RefusalReason.UNDECODABLE
        assert caplog.text.count("died of SIGKILL") == 2
        monkeypatch.delenv(VARIABLE)
        assert pool.read(files[0]).header == read_dicom(files[0], DEFAULT_LIMITS).header
    finally:
        pool.close()


def test_processes_that_die_while_idle_cost_no_slice_and_no_try(
    files: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel ends them when memory is short; the next one dies of its first slice."""
    pool = ReaderPool(1, DEFAULT_LIMITS)
    try:
        pool.read(files[0])
        (idle,) = children()
        monkeypatch.setenv(VARIABLE, "decoder=kill@2")
        idle.kill()
        idle.wait(10)
        assert [pool.read(dicom).header.digest for dicom in files[:2]]
    finally:
        pool.close()


def test_an_answer_that_was_not_read_is_not_that_of_the_next_slice(
    pool: ReaderPool, files: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_memory(*_: object) -> bytes:
        raise MemoryError

    pool.read(files[0])
    with monkeypatch.context() as patched:
        patched.setattr(ReaderProcess, "_packet", without_memory)
        with pytest.raises(MemoryError):
            pool.read(files[0])
    there, here = pool.read(files[1]), read_dicom(files[1], DEFAULT_LIMITS)
    assert there.header == here.header
    np.testing.assert_array_equal(there.hu, here.hu)


def test_a_box_without_processes_says_nothing_of_the_slice(files: list[bytes]) -> None:
    pool = ReaderPool(1, DEFAULT_LIMITS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        (idle,) = children()
        idle.kill()
        idle.wait(10)
        lowest_free = os.open(os.devnull, os.O_RDONLY)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + 1, hard))
        try:
            with pytest.raises(ReadersUnavailableError, match="Too many open files"):
                pool.read(files[0])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert pool.read(files[0]).header == read_dicom(files[0], DEFAULT_LIMITS).header
    finally:
        pool.close()


def test_a_box_without_memory_says_nothing_of_the_slice(files: list[bytes]) -> None:
    size = 2048
    matrix: dict[int, synthetic.Value] = {Tag.ROWS: size, Tag.COLUMNS: size}
    greatest = synthetic.ct_file(matrix, stored=synthetic.stored_pixels(size=size))
    pool = ReaderPool(1, DEFAULT_LIMITS)
    try:
        pool.read(files[0])
        (child,) = children()
        _, hard = resource.prlimit(child.pid, resource.RLIMIT_AS)
        resource.prlimit(child.pid, resource.RLIMIT_AS, (child.memory_info().vms, hard))
        with pytest.raises(ReadersUnavailableError):
            pool.read(greatest)
        resource.prlimit(child.pid, resource.RLIMIT_AS, (hard, hard))
        assert pool.read(greatest).hu.shape == (2048, 2048)
        assert children() == [child]
    finally:
        pool.close()


def test_a_slow_process_is_made_up_for(files: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its slice waits; the others go on beside it, in a further process, while that lasts."""
    monkeypatch.setenv(VARIABLE, "decoder=hang@2")
    pool = ReaderPool(1, DEFAULT_LIMITS, patience_s=60.0, slow_s=0.2)
    try:
        pool.read(files[0])
        (hanging,) = children()
        monkeypatch.delenv(VARIABLE)
        with ThreadPoolExecutor(1) as beside:
            slow = beside.submit(pool.read, files[1])
            time.sleep(0.3)
            for dicom in files[2:5]:
                assert pool.read(dicom).header == read_dicom(dicom, DEFAULT_LIMITS).header
            assert not slow.done()
            assert len(children()) == 2
            hanging.kill()
            assert slow.result(30).header == read_dicom(files[1], DEFAULT_LIMITS).header
        assert len(children()) == 1
    finally:
        pool.close()


def test_a_process_is_the_first_that_the_kernel_ends(pool: ReaderPool, files: list[bytes]) -> None:
    pool.read(files[0])
    (child,) = children()
    assert Path(f"/proc/{child.pid}/oom_score_adj").read_text().strip() == "1000"
    assert child.num_threads() == 1


def test_a_process_cannot_take_the_shared_memory_away(files: list[bytes]) -> None:
    """To read what is no longer there would end the daemon."""
    pool = ReaderPool(1, DEFAULT_LIMITS)
    try:
        pool.read(files[0])
        folder = Path(f"/proc/{children()[0].pid}/fd")
        memory = next(link for link in folder.iterdir() if "memfd:slice" in str(link.readlink()))
        with memory.open("r+b") as file, pytest.raises(PermissionError):
            os.ftruncate(file.fileno(), 0)
    finally:
        pool.close()


def test_a_process_that_hangs_is_ended(files: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "decoder=hang@2")
    pool = ReaderPool(1, DEFAULT_LIMITS, patience_s=1.0)
    try:
        pool.read(files[0])
        (hanging,) = children()
        started = time.monotonic()
        with pytest.raises(SliceRefusedError):
            pool.read(files[1])
        assert time.monotonic() - started < 30
        assert not hanging.is_running()
        assert pool.read(files[1]).hu.size
    finally:
        pool.close()


def test_nothing_is_left_of_a_closed_pool(files: list[bytes]) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    pool = ReaderPool(2, DEFAULT_LIMITS)
    pool.read(files[0])
    assert len(children()) == 2
    pool.close()
    assert not children()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_processes_end_with_their_parent() -> None:
    code = (
        "import os; from appliance.ingest import DEFAULT_LIMITS\n"
        "from appliance.ingest.apart import ReaderPool\n"
        "pool = ReaderPool(1, DEFAULT_LIMITS)\n"
        "import psutil; (child,) = psutil.Process().children()\n"
        "print(child.pid, flush=True); os.kill(os.getpid(), 9)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    pid = int(ran.stdout)
    deadline = time.monotonic() + 30
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.pid_exists(pid)
