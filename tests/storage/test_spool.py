import asyncio
import errno
import random
from pathlib import Path

import pytest

from appliance.storage.errors import (
    SpoolBrokenError,
    SpoolClosedError,
    SpoolCorruptError,
    SpoolNotRecoveredError,
    SpoolReadError,
    SpoolUnknownScanError,
    SpoolVersionError,
    SpoolWriteError,
    StateLockedError,
)
from appliance.storage.record import (
    FORMAT_VERSION,
    RECORD_HEADER_BYTES,
    Record,
    RecordHeader,
    RecordKind,
    _pack_header,
    pack_file_header,
)
from appliance.storage.spool import Spool
from tests.storage.conftest import HeldDisk, content_of, slice_record


def keep(spool: Spool, scan_id: str, *keys: str) -> None:
    for future in [spool.submit(scan_id, slice_record(key)) for key in keys]:
        future.result(30)


def keys(spool: Spool, scan_id: str) -> list[str]:
    return [ref.key for ref in spool.records(scan_id)]


def log_path(state: Path, scan_id: str) -> Path:
    return state / "spool" / scan_id / "scan.log"


def test_what_was_appended_is_there_after_a_restart(state: Path) -> None:
    records = [
        Record(RecordKind.OPEN, "1.2.3", b"opened"),
        slice_record("1.2.3.4"),
        Record(RecordKind.END, "", b""),
    ]

    async def append() -> None:
        with Spool(state) as spool:
            for record in records:
                ref = await spool.append("ab", record)
                assert spool.read(ref) == record.payload

    asyncio.run(append())
    with Spool(state) as spool:
        assert spool.scans() == ["ab"]
        recovered = spool.recover("ab")
        found = [Record(ref.kind, ref.key, spool.read(ref)) for ref in recovered.records]
        assert found == records
        assert recovered.torn_bytes == 0
        assert tuple(spool.records("ab")) == recovered.records == spool.recover("ab").records
        keep(spool, "ab", "5")
        assert keys(spool, "ab") == ["1.2.3", "1.2.3.4", "", "5"]
        assert spool.bytes_used() == log_path(state, "ab").stat().st_size


def test_appends_of_one_scan_land_in_order_though_the_queue_is_full(state: Path) -> None:
    sizes = random.Random(3)
    records = [slice_record(str(n), sizes.randrange(2000)) for n in range(300)]

    async def append_all(spool: Spool) -> None:
        async with asyncio.TaskGroup() as group:
            for record in records:
                group.create_task(spool.append("ab", record))
                group.create_task(spool.append("cd", record))

    with Spool(state, queue_bytes=4000) as spool:
        asyncio.run(append_all(spool))
        assert keys(spool, "ab") == keys(spool, "cd") == [record.key for record in records]


def test_a_full_queue_makes_append_wait_and_never_the_loop(state: Path, disk: HeldDisk) -> None:
    async def fill(spool: Spool) -> None:
        disk.hold()
        appends = [asyncio.create_task(spool.append("ab", slice_record(str(n)))) for n in range(20)]
        await asyncio.to_thread(disk.reached.wait, 10)
        for _ in range(10):
            await asyncio.sleep(0)
        assert spool.queued_bytes <= 1000
        assert not any(append.done() for append in appends)
        appends[-1].cancel()
        disk.open.set()
        done = await asyncio.gather(*appends, return_exceptions=True)
        assert isinstance(done[-1], asyncio.CancelledError)

    with Spool(state, queue_bytes=1000) as spool:
        asyncio.run(fill(spool))
        assert keys(spool, "ab") == [str(n) for n in range(19)]
        assert spool.queued_bytes == 0


def test_a_log_of_an_earlier_run_takes_nothing_before_it_is_recovered(state: Path) -> None:
    with Spool(state) as spool:
        keep(spool, "ab", "1")
    with Spool(state) as spool:
        with pytest.raises(SpoolNotRecoveredError):
            spool.submit("ab", slice_record("2"))
        with pytest.raises(SpoolNotRecoveredError):
            next(spool.records("ab"))
        spool.recover("ab")
        keep(spool, "ab", "2")
        assert keys(spool, "ab") == ["1", "2"]


def test_an_unknown_scan_is_named(state: Path) -> None:
    with Spool(state) as spool:
        with pytest.raises(SpoolUnknownScanError):
            spool.recover("ab")
        with pytest.raises(SpoolUnknownScanError):
            next(spool.records("ab"))


def test_a_broken_scan_goes_on_after_recovery_without_the_unacknowledged(
    state: Path, disk: HeldDisk
) -> None:
    with Spool(state) as spool:
        keep(spool, "ab", "1")
        disk.errors = [OSError(errno.ENOSPC, "full")] * 2
        with pytest.raises(SpoolWriteError, match="ENOSPC") as failure:
            keep(spool, "ab", "2")
        with pytest.raises(SpoolWriteError):
            keep(spool, "cd", "1")
        assert failure.value.errno == errno.ENOSPC
        with pytest.raises(SpoolBrokenError):
            keep(spool, "ab", "3")
        assert [ref.key for ref in spool.recover("ab").records] == ["1"]
        assert spool.recover("cd").records == ()
        keep(spool, "ab", "4")
        keep(spool, "cd", "5")
        assert (keys(spool, "ab"), keys(spool, "cd")) == (["1", "4"], ["5"])
    with Spool(state) as spool:
        scans = spool.recover_all().scans
        assert [ref.key for ref in scans["ab"].records] == ["1", "4"]


def test_a_damaged_log_is_set_aside_and_the_others_go_on(state: Path) -> None:
    with Spool(state) as spool:
        keep(spool, "ab", "1", "2")
        keep(spool, "cd", "1")
    path = log_path(state, "ab")
    data = path.read_bytes()
    path.write_bytes(data.replace(content_of("1"), content_of("x")))
    with Spool(state) as spool:
        recovery = spool.recover_all()
        assert list(recovery.scans) == ["cd"]
        assert isinstance(recovery.failed["ab"], SpoolCorruptError)
        assert "ab.corrupt-1" in str(recovery.failed["ab"])
        assert (state / "spool" / "ab.corrupt-1" / "scan.log").exists()
        assert spool.was_damaged("ab")
        keep(spool, "ab", "7")
        assert keys(spool, "ab") == ["7"]


def flip(path: Path, content: bytes) -> None:
    """Change one bit of some bytes in a file."""
    data = path.read_bytes()
    assert data.count(content) == 1
    path.write_bytes(data.replace(content, bytes([content[0] ^ 1]) + content[1:]))


def opened_and_ended(spool: Spool, scan_id: str) -> None:
    spool.submit(scan_id, Record(RecordKind.OPEN, "", b"opened")).result(30)
    keep(spool, scan_id, "1", "2", "3")
    spool.submit(scan_id, Record(RecordKind.END, "end", b"")).result(30)


@pytest.mark.parametrize("restarted", [True, False])
def test_what_is_sound_of_a_damaged_log_goes_on(state: Path, restarted: bool) -> None:
    """What comes behind the damage too, but not the word that the scan is whole."""
    spool = Spool(state)
    opened_and_ended(spool, "ab")
    damaged = log_path(state, "ab")
    if restarted:
        spool.close()
        spool = Spool(state)
    flip(damaged, content_of("2"))
    with spool:
        content = damaged.read_bytes()
        with pytest.raises(SpoolCorruptError, match=r"ab.corrupt-1, 3 of its records are kept"):
            spool.recover("ab")
        recovered = spool.recover("ab")
        assert [ref.key for ref in recovered.records] == ["", "1", "3"]
        assert spool.read(recovered.records[2]) == content_of("3")
        assert (state / "spool" / "ab.corrupt-1" / "scan.log").read_bytes() == content
        keep(spool, "ab", "2")
    with Spool(state) as spool:
        assert [ref.key for ref in spool.recover("ab").records] == ["", "1", "3", "2"]
        assert spool.was_damaged("ab")
        assert spool.forget_set_aside(["ab.corrupt-1"]) == []
        spool.remove("ab")
        assert not spool.was_damaged("ab")
        assert spool.forget_set_aside(["ab.corrupt-1"]) == ["ab"]
        assert spool.bytes_used() == 0


def test_a_disk_that_is_full_leaves_the_damaged_log_where_it_is(
    state: Path, disk: HeldDisk
) -> None:
    with Spool(state) as spool:
        opened_and_ended(spool, "ab")
    flip(log_path(state, "ab"), content_of("2"))
    with Spool(state) as spool:
        disk.errors = [OSError(errno.ENOSPC, "full")]
        with pytest.raises(SpoolWriteError, match="ENOSPC"):
            spool.recover("ab")
        with pytest.raises(SpoolCorruptError, match="3 of its records"):
            spool.recover("ab")
        assert len(spool.recover("ab").records) == 3


def test_damage_while_the_daemon_runs_is_seen_on_reading(state: Path) -> None:
    with Spool(state) as spool:
        keep(spool, "ab", "1", "2")
        refs = list(spool.records("ab"))
        path = log_path(state, "ab")
        path.write_bytes(path.read_bytes().replace(content_of("2"), content_of("x")))
        assert spool.read(refs[0]) == content_of("1")
        with pytest.raises(SpoolCorruptError):
            spool.read(refs[1])
        with pytest.raises(SpoolCorruptError):
            keys(spool, "ab")
        path.unlink()
        with pytest.raises(SpoolReadError, match="ENOENT"):
            spool.read(refs[0])
        with pytest.raises(SpoolReadError, match="ENOENT"):
            keys(spool, "ab")


def newer_file(data: bytes) -> bytes:
    return pack_file_header(1, FORMAT_VERSION + 1) + b"something new"


def newer_kind(data: bytes) -> bytes:
    salt = int.from_bytes(data[12:20], "little")
    offset = len(data)
    return data + _pack_header(RecordHeader(200, 0, 0, 0, offset), salt, offset)


@pytest.mark.parametrize("newer", [newer_file, newer_kind])
def test_a_newer_log_is_refused_with_a_sentence_and_left_alone(state: Path, newer: object) -> None:
    with Spool(state) as spool:
        keep(spool, "ab", "1")
        keep(spool, "cd", "1")
    path = log_path(state, "ab")
    data = newer(path.read_bytes())  # type: ignore[operator]
    path.write_bytes(data)
    with Spool(state) as spool:
        recovery = spool.recover_all()
        assert list(recovery.scans) == ["cd"]
        assert isinstance(recovery.failed["ab"], SpoolVersionError)
        assert "newer Breathhold" in str(recovery.failed["ab"])
        with pytest.raises(SpoolNotRecoveredError):
            spool.submit("ab", slice_record("2"))
    assert path.read_bytes() == data


def test_a_removed_scan_stays_removed_and_may_begin_again(state: Path) -> None:
    with Spool(state) as spool:
        keep(spool, "ab", "1")
        keep(spool, "cd", "1")
        spool.remove("ab")
        spool.remove("ef")
        assert spool.scans() == ["cd"]
        keep(spool, "ab", "2")
        spool.remove("ab")
    with Spool(state) as spool:
        assert spool.scans() == ["cd"]
        spool.remove("cd")
        assert spool.bytes_used() == 0
        keep(spool, "cd", "2")
        assert keys(spool, "cd") == ["2"]


def test_two_daemons_cannot_share_a_state_folder(state: Path) -> None:
    with Spool(state), pytest.raises(StateLockedError, match="in use"):
        Spool(state)
    Spool(state).close()


def test_a_closed_spool_refuses(state: Path) -> None:
    with Spool(state) as spool:
        keep(spool, "ab", "1")
    with pytest.raises(SpoolClosedError):
        spool.submit("ab", slice_record("2"))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SpoolWriteError, match="EEXIST"):
        Spool(tmp_path / "file" / "state")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "spool").write_bytes(b"")
    with pytest.raises(SpoolWriteError, match=r"EEXIST|ENOTDIR"):
        Spool(tmp_path / "state")
    (tmp_path / "state" / "spool").unlink()
    Spool(tmp_path / "state").close()


def test_no_file_handle_is_left_open(state: Path) -> None:
    def handles() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with Spool(state) as spool:
        before = handles()
        for number in range(40):
            keep(spool, f"{number:02x}", "1", "2")
            list(spool.records(f"{number:02x}"))
        assert handles() == before


def test_a_mark_is_no_record(state: Path) -> None:
    with Spool(state) as spool:
        keep(spool, "ab", "1")
        keep(spool, "ab", "2")
        (first, second) = spool.records("ab")
        assert second.offset == first.end + RECORD_HEADER_BYTES
