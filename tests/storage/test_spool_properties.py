"""Properties of the spool: whatever happens to the files, never a wrong record."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.storage.errors import SpoolCorruptError, SpoolUnknownScanError
from appliance.storage.record import (
    FILE_HEADER_BYTES,
    RECORD_HEADER_BYTES,
    RECORD_MAGIC,
    Record,
    RecordKind,
    RecordRef,
)
from appliance.storage.spool import Spool

Groups = list[list[tuple[str, Record]]]
Kept = dict[str, list[tuple[RecordRef, Record]]]

#: Thousands of syncs are quick where there is no disk behind the files.
MEMORY = next((place for place in ("/dev/shm",) if Path(place).is_dir()), None)

RECORDS = st.builds(
    Record,
    st.sampled_from([RecordKind.OPEN, RecordKind.SLICE, RecordKind.END]),
    st.text(max_size=12),
    st.binary(max_size=60) | st.just(RECORD_MAGIC * 20),
)
GROUPS = st.lists(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), RECORDS), min_size=1, max_size=6),
    min_size=1,
    max_size=5,
)


def append(spool: Spool, groups: Groups) -> Kept:
    """Append each group at once and wait for its acknowledgements."""
    kept: Kept = {}
    for group in groups:
        futures = [(spool.submit(scan_id, record), record) for scan_id, record in group]
        for future, record in futures:
            ref = future.result(30)
            kept.setdefault(ref.scan_id, []).append((ref, record))
    return kept


def read(spool: Spool, refs: tuple[RecordRef, ...]) -> list[Record]:
    return [Record(ref.kind, ref.key, spool.read(ref)) for ref in refs]


@contextmanager
def written(groups: Groups) -> Iterator[tuple[Path, Kept]]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        with Spool(Path(folder)) as spool:
            kept = append(spool, groups)
        yield Path(folder), kept


@given(groups=GROUPS, more=GROUPS, data=st.data())
@settings(deadline=None, max_examples=120)
def test_a_log_cut_anywhere_gives_back_what_was_kept_before_the_cut(
    groups: Groups, more: Groups, data: st.DataObject
) -> None:
    with written(groups) as (state, kept):
        victim = data.draw(st.sampled_from(sorted(kept)))
        path = state / "spool" / victim / "scan.log"
        size = data.draw(st.integers(0, path.stat().st_size))
        with path.open("r+b") as file:
            file.truncate(size)
        expected = {scan_id: [record for _, record in pairs] for scan_id, pairs in kept.items()}
        expected[victim] = [record for ref, record in kept[victim] if ref.end <= size]
        with Spool(state) as spool:
            recovery = spool.recover_all()
            assert recovery.failed == {}
            found = {key: read(spool, scan.records) for key, scan in recovery.scans.items()}
            assert found == expected
            for scan_id, pairs in append(spool, more).items():
                expected.setdefault(scan_id, []).extend(record for _, record in pairs)
        with Spool(state) as spool:
            scans = spool.recover_all().scans
            found = {key: read(spool, scan.records) for key, scan in scans.items()}
            assert {key: found.get(key, []) for key in expected} == expected


@given(groups=GROUPS, data=st.data())
@settings(deadline=None, max_examples=150)
def test_a_flipped_bit_is_detected_wherever_it_is(groups: Groups, data: st.DataObject) -> None:
    with written(groups) as (state, kept):
        victim = data.draw(st.sampled_from(sorted(kept)))
        path = state / "spool" / victim / "scan.log"
        content = bytearray(path.read_bytes())
        bit = data.draw(st.integers(0, len(content) * 8 - 1))
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        with Spool(state) as spool:
            recovery = spool.recover_all()
            for scan_id in set(kept) - {victim}:
                found = read(spool, recovery.scans[scan_id].records)
                assert found == [record for _, record in kept[scan_id]]
            if bit // 8 < len(content) - RECORD_HEADER_BYTES:
                assert isinstance(recovery.failed[victim], SpoolCorruptError)
                assert_salvaged(spool, victim, kept[victim], bit // 8)
            else:  # the last mark: nothing was kept in it
                found = read(spool, recovery.scans[victim].records)
                assert found == [record for _, record in kept[victim]]


def assert_salvaged(
    spool: Spool, scan_id: str, kept: list[tuple[RecordRef, Record]], place: int
) -> None:
    """All is there but the record at the damaged place, and each END."""
    sound = [record for ref, record in kept if not ref.offset <= place < ref.end]
    left = [record for record in sound if record.kind is not RecordKind.END]
    worth = place >= FILE_HEADER_BYTES and left and left[0].kind is RecordKind.OPEN
    if worth:
        assert read(spool, spool.recover(scan_id).records) == left
    else:
        with pytest.raises(SpoolUnknownScanError):
            spool.recover(scan_id)


@given(groups=GROUPS, junk=st.binary(min_size=1, max_size=200))
@settings(deadline=None, max_examples=60)
def test_junk_behind_the_end_is_cut_off(groups: Groups, junk: bytes) -> None:
    with written(groups) as (state, kept):
        for scan_id in kept:
            with (state / "spool" / scan_id / "scan.log").open("ab") as file:
                file.write(junk)
        with Spool(state) as spool:
            recovery = spool.recover_all()
            for scan_id, pairs in kept.items():
                assert recovery.scans[scan_id].torn_bytes == len(junk)
                found = read(spool, recovery.scans[scan_id].records)
                assert found == [record for _, record in pairs]


@given(content=st.binary(max_size=400))
@settings(deadline=None, max_examples=100)
def test_a_file_of_anything_is_never_read_as_records(content: bytes) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path = Path(folder) / "spool" / "ab" / "scan.log"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        with Spool(Path(folder)) as spool:
            if len(content) < FILE_HEADER_BYTES:
                assert spool.recover("ab").records == ()
                return
            with pytest.raises(SpoolCorruptError):
                spool.recover("ab")
