import errno
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.storage.errors import (
    SpoolBrokenError,
    SpoolClosedError,
    SpoolFullError,
    SpoolStalledError,
    SpoolWriteError,
)
from appliance.storage.logfile import LOG_NAME, read_log
from appliance.storage.writer import GroupWriter
from tests.storage.conftest import HeldDisk, slice_record

SIZE = slice_record("1").size


@pytest.fixture
def writer(tmp_path: Path, disk: HeldDisk) -> Iterator[GroupWriter]:
    writer = GroupWriter(tmp_path, queue_bytes=10 * SIZE)
    yield writer
    disk.open.set()
    writer.close()


def keys(tmp_path: Path, scan_id: str) -> list[str]:
    content = read_log(tmp_path / scan_id / LOG_NAME)
    return [ref.key for ref in content.records] if content else []


def test_what_gathers_during_a_sync_shares_the_next_one(
    writer: GroupWriter, disk: HeldDisk, tmp_path: Path
) -> None:
    disk.hold()
    first = writer.submit("a", slice_record("0"))
    assert disk.reached.wait(10)
    more = [writer.submit("a", slice_record(str(n))) for n in range(1, 8)]
    other = writer.submit("b", slice_record("9"))
    assert not first.done()
    disk.open.set()
    offsets = [future.result(10).offset for future in (first, *more)]
    assert other.result(10).scan_id == "b"
    assert disk.syncs == 3
    assert offsets == sorted(offsets)
    assert keys(tmp_path, "a") == [str(n) for n in range(8)]


def test_the_queue_is_bounded_and_counts_what_is_being_written(
    writer: GroupWriter, disk: HeldDisk
) -> None:
    disk.hold()
    futures = [writer.submit("a", slice_record("0"))]
    assert disk.reached.wait(10)
    futures += [writer.submit("a", slice_record(str(n))) for n in range(1, 10)]
    assert writer.queued_bytes == 10 * SIZE
    with pytest.raises(SpoolFullError):
        writer.submit("b", slice_record("x"))
    room = writer.room(SIZE)
    assert not room.done()
    disk.open.set()
    assert room.result(10) is None
    assert [future.result(10).key for future in futures] == [str(n) for n in range(10)]
    assert writer.room(10 * SIZE).result(10) is None
    assert writer.queued_bytes == 0


def test_a_record_larger_than_the_queue_goes_through_alone(writer: GroupWriter) -> None:
    large = slice_record("1", 20 * SIZE)
    assert writer.submit("a", large).result(10).length == 20 * SIZE


def test_a_cancelled_record_is_not_kept(
    writer: GroupWriter, disk: HeldDisk, tmp_path: Path
) -> None:
    disk.hold()
    first = writer.submit("a", slice_record("0"))
    assert disk.reached.wait(10)
    cancelled, last = writer.submit("a", slice_record("1")), writer.submit("a", slice_record("2"))
    assert cancelled.cancel()
    disk.open.set()
    first.result(10), last.result(10)
    assert keys(tmp_path, "a") == ["0", "2"]


def test_a_failed_sync_fails_its_scan_and_no_other(writer: GroupWriter, disk: HeldDisk) -> None:
    writer.submit("a", slice_record("0")).result(10)
    disk.hold()
    disk.errors = [OSError(errno.EIO, "broken disk")]
    failing = writer.submit("a", slice_record("1"))
    assert disk.reached.wait(10)
    behind = writer.submit("a", slice_record("2"))
    other = writer.submit("b", slice_record("3"))
    disk.open.set()
    failure = failing.exception(10)
    assert isinstance(failure, SpoolWriteError)
    assert failure.errno == errno.EIO
    assert isinstance(behind.exception(10), SpoolBrokenError)
    with pytest.raises(SpoolBrokenError):
        writer.submit("a", slice_record("4"))
    assert other.result(10).key == "3"
    assert writer.room(10 * SIZE).result(10) is None
    assert writer.queued_bytes == 0


def test_closing_writes_what_is_queued_and_refuses_more(
    writer: GroupWriter, disk: HeldDisk, tmp_path: Path
) -> None:
    futures = [writer.submit("a", slice_record(str(n))) for n in range(5)]
    writer.close()
    assert [future.result(0).key for future in futures] == keys(tmp_path, "a")
    with pytest.raises(SpoolClosedError):
        writer.submit("a", slice_record("6"))
    with pytest.raises(SpoolClosedError):
        writer.room(1)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_writer_that_died(writer: GroupWriter, disk: HeldDisk) -> None:
    disk.hold()
    disk.errors = [MemoryError()]
    futures = [writer.submit("a", slice_record("0"))]
    assert disk.reached.wait(10)
    futures += [writer.submit("a", slice_record(str(n))) for n in range(1, 10)]
    room = writer.room(SIZE)
    disk.open.set()
    assert all(isinstance(future.exception(10), SpoolClosedError) for future in futures)
    assert room.result(10) is None
    with pytest.raises(SpoolClosedError):
        writer.submit("a", slice_record("x"))
    assert writer.stalled


def test_a_sync_that_hangs_is_told_until_it_is_done(tmp_path: Path, disk: HeldDisk) -> None:
    writer = GroupWriter(tmp_path, queue_bytes=10 * SIZE, stall_s=0.05)
    disk.hold()
    first = writer.submit("a", slice_record("0"))
    assert disk.reached.wait(10)
    assert not writer.stalled
    time.sleep(0.1)
    assert writer.stalled
    with pytest.raises(SpoolStalledError, match="not answered for"):
        writer.submit("a", slice_record("1"))
    with pytest.raises(SpoolStalledError):
        writer.drop("a")
    disk.open.set()
    assert first.result(10).key == "0"
    assert not writer.stalled
    assert writer.submit("a", slice_record("1")).result(10).key == "1"
    writer.close()
    assert not writer.stalled
    assert keys(tmp_path, "a") == ["0", "1"]


def test_dropping_waits_for_what_is_queued(
    writer: GroupWriter, disk: HeldDisk, tmp_path: Path
) -> None:
    futures = [writer.submit("a", slice_record(str(n))) for n in range(5)]
    writer.drop("a")
    assert all(future.done() for future in futures)
    assert writer.log("a") is None
