import errno
from pathlib import Path

import pytest

from appliance.storage.errors import SpoolCorruptError, SpoolReadError, SpoolWriteError
from appliance.storage.logfile import LOG_NAME, LogFile, cut, first_record, read_log, repair
from appliance.storage.reader import read_payload
from appliance.storage.record import FILE_HEADER_BYTES, RECORD_HEADER_BYTES
from tests.storage.conftest import HeldDisk, content_of, slice_record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ab" / LOG_NAME


def keep(log: LogFile, *keys: str) -> None:
    log.write([slice_record(key) for key in keys])
    log.sync()


def keys(path: Path) -> list[str]:
    content = read_log(path)
    assert content is not None
    return [ref.key for ref in content.records]


def test_records_read_back_with_their_payloads(path: Path) -> None:
    log = LogFile(path)
    refs = log.write([slice_record("1"), slice_record("2", 0)])
    log.sync()
    content = read_log(path)
    assert content is not None
    assert list(content.records) == refs
    assert content.torn_bytes == 0
    assert content.end == log.end == path.stat().st_size
    assert [read_payload(path, ref) for ref in refs] == [content_of("1"), b""]


def test_a_recovered_log_goes_on(path: Path) -> None:
    keep(LogFile(path), "1")
    content = repair(path)
    assert content is not None
    keep(LogFile(path, content.end, content.salt), "2", "3")
    assert keys(path) == ["1", "2", "3"]


def test_the_first_record_is_read_alone_and_nothing_changed(path: Path) -> None:
    assert first_record(path) is None
    log = LogFile(path)
    (first, _) = log.write([slice_record("1"), slice_record("2")])
    log.sync()
    content = path.read_bytes()
    path.write_bytes(content + b"torn")
    assert first_record(path) == slice_record("1")
    assert path.read_bytes() == content + b"torn"
    path.write_bytes(content[: first.offset] + b"?" + content[first.offset + 1 :])
    assert first_record(path) is None
    path.write_bytes(b"")
    assert first_record(path) is None


def test_what_was_written_but_never_synced_is_cut_off_when_damaged(path: Path) -> None:
    log = LogFile(path)
    keep(log, "1")
    (torn,) = log.write([slice_record("2")])
    with path.open("r+b") as file:
        file.seek(torn.payload_offset)
        file.write(b"????")
    content = repair(path)
    assert content is not None
    assert [ref.key for ref in content.records] == ["1"]
    assert content.torn_bytes == torn.end - torn.offset
    assert path.stat().st_size == content.end
    log.discard()


def test_pages_of_an_unsynced_group_may_reach_the_disk_in_any_order(path: Path) -> None:
    log = LogFile(path)
    keep(log, "1")
    first, second = log.write([slice_record("2"), slice_record("3")])
    with path.open("r+b") as file:
        file.seek(first.offset)
        file.write(bytes(first.end - first.offset))
    content = repair(path)
    assert content is not None
    assert [ref.key for ref in content.records] == ["1"]
    assert content.torn_bytes == second.end - first.offset
    log.discard()


def test_damage_in_front_of_a_synced_record_is_no_torn_tail(path: Path) -> None:
    log = LogFile(path)
    (ref,) = log.write([slice_record("1")])
    log.sync()
    before = path.read_bytes()
    damaged = before[: ref.offset] + bytes(ref.end - ref.offset) + before[ref.end :]
    path.write_bytes(damaged)
    with pytest.raises(SpoolCorruptError, match=f"byte {FILE_HEADER_BYTES}"):
        repair(path)
    assert path.read_bytes() == damaged


def test_discarding_cuts_back_to_what_was_synced(path: Path) -> None:
    log = LogFile(path)
    keep(log, "1")
    log.write([slice_record("2")])
    log.discard()
    assert path.stat().st_size == log.end
    keep(log, "3")
    assert keys(path) == ["1", "3"]


def test_a_failed_sync_is_not_durable(path: Path, disk: HeldDisk) -> None:
    log = LogFile(path)
    keep(log, "1")
    end = log.end
    log.write([slice_record("2")])
    disk.errors = [OSError(errno.EIO, "broken disk")]
    with pytest.raises(OSError, match="broken disk"):
        log.sync()
    log.discard()
    assert log.end == end == path.stat().st_size


@pytest.mark.parametrize("size", [0, 1, FILE_HEADER_BYTES - 1])
def test_a_log_that_lost_its_header_in_being_created_is_removed(path: Path, size: int) -> None:
    keep(LogFile(path), "1")
    cut(path, FILE_HEADER_BYTES)
    with path.open("r+b") as file:
        file.truncate(size)
    assert repair(path) is None
    assert not path.exists()


def test_a_missing_mark_costs_nothing(path: Path) -> None:
    log = LogFile(path)
    keep(log, "1", "2")
    cut(path, log.end - RECORD_HEADER_BYTES)
    assert keys(path) == ["1", "2"]


def test_the_system_refusing_is_named(path: Path) -> None:
    with pytest.raises(SpoolReadError) as reading:
        read_log(path)
    with pytest.raises(SpoolWriteError, match="ENOENT") as cutting:
        cut(path, 100)
    assert reading.value.errno == cutting.value.errno == errno.ENOENT
