import asyncio
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.storage.database import MIGRATIONS
from appliance.storage.errors import (
    ResultsBusyError,
    ResultsConflictError,
    ResultsCorruptError,
    ResultsUnavailableError,
    ResultsVersionError,
)
from appliance.storage.results import Origin, ResultsStore
from breathhold.v1 import triage_pb2, types_pb2

LUNG, LESION = types_pb2.MASK_KIND_LUNG, types_pb2.MASK_KIND_LESION
RECEIVING, COMPLETING = types_pb2.SCAN_STATE_RECEIVING, types_pb2.SCAN_STATE_COMPLETING
REPORTED, ABANDONED = types_pb2.SCAN_STATE_REPORTED, types_pb2.SCAN_STATE_ABANDONED


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.db"


@pytest.fixture
def store(path: Path) -> Iterator[ResultsStore]:
    with ResultsStore(path, busy_timeout_s=0.1) as store:
        yield store


def summary(
    scan_id: str, po: float | None = None, **fields: int | float | str
) -> triage_pb2.ScanSummary:
    made = triage_pb2.ScanSummary(scan_id=scan_id, series_instance_uid=f"1.2.{int(scan_id, 16)}")
    if po is not None:
        made.scores.po = po
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def report(of: triage_pb2.ScanSummary, **fields: int | float | str) -> types_pb2.Report:
    made = types_pb2.Report(
        scan_id=of.scan_id,
        series_instance_uid=of.series_instance_uid,
        study_instance_uid="1.9",
        state=REPORTED,
    )
    made.models["lung"].name = "lung"
    made.models["lesion"].name = "lesion"
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def mask(sop_uid: str, position_mm: float, kind: int = LESION) -> types_pb2.SliceMask:
    made = types_pb2.SliceMask(sop_instance_uid=sop_uid, position_mm=position_mm, rows=4, columns=4)
    made.kind = kind  # type: ignore[assignment]
    made.runs.extend([1, 2])
    return made


def test_a_summary_is_replaced_by_the_next(store: ResultsStore) -> None:
    assert store.summary("a") is None
    store.save_summary(summary("a"), "1.9")
    later = summary("a", po=12.5, station="CT1", slices_received=7)
    store.save_summary(later)
    assert store.summary("a") == later


def test_a_report_comes_back_as_it_was(store: ResultsStore) -> None:
    about = summary("a", po=3.0, state=REPORTED)
    final = report(about, slices=60)
    assert store.report("a") is None
    store.save_summary(about)
    assert store.report("a") is None
    store.save_report(final, [mask("2", 5.0), mask("1", 2.5), mask("1", 2.5, LUNG)], about)
    assert store.report("a") == final
    assert [found.sop_instance_uid for found in store.masks("a")] == ["1", "2"]
    assert list(store.masks("a", LUNG)) == [mask("1", 2.5, LUNG)]
    assert list(store.masks("b")) == []


def test_results_outlive_the_process(path: Path) -> None:
    about = summary("a")
    with ResultsStore(path) as store:
        store.save_report(report(about), [mask("1", 2.5)], about)
    with ResultsStore(path) as store:
        assert store.report("a") == report(about)
        assert list(store.masks("a")) == [mask("1", 2.5)]


def test_a_new_report_replaces_the_old_one_with_all_its_masks(store: ResultsStore) -> None:
    about = summary("a")
    store.save_report(report(about, slices=1), [mask("1", 1), mask("2", 2)], about)
    reading = store.masks("a")
    first = next(reading)
    store.save_report(report(about, slices=2), [mask("3", 3)], about)
    assert [first.sop_instance_uid, *(left.sop_instance_uid for left in reading)] == ["1", "2"]
    assert [found.sop_instance_uid for found in store.masks("a")] == ["3"]
    found = store.report("a")
    assert found is not None
    assert found.slices == 2


def test_a_report_that_cannot_be_saved_changes_nothing(store: ResultsStore) -> None:
    about = summary("a")
    store.save_report(report(about), [mask("1", 1)], about)
    twice = [mask("2", 2), mask("2", 3)]
    with pytest.raises(ResultsConflictError):
        store.save_report(report(about, slices=9), twice, summary("a", station="later"))

    def breaks() -> Iterator[types_pb2.SliceMask]:
        yield mask("5", 5)
        raise KeyError

    with pytest.raises(KeyError):
        store.save_report(report(about, slices=9), breaks(), about)
    assert store.report("a") == report(about)
    assert store.summary("a") == about
    assert list(store.masks("a")) == [mask("1", 1)]


def test_a_later_summary_leaves_the_report(store: ResultsStore) -> None:
    about = summary("a")
    store.save_report(report(about), [mask("1", 1)], about)
    store.save_summary(summary("a", station="later"))
    assert store.report("a") == report(about)
    assert list(store.masks("a")) == [mask("1", 1)]


def test_contradictions_are_refused(store: ResultsStore) -> None:
    store.save_summary(summary("a"))
    with pytest.raises(ResultsConflictError):
        store.save_summary(summary("b", series_instance_uid="1.2.10"))
    with pytest.raises(ResultsConflictError, match="different scans"):
        store.save_report(report(summary("b")), [], summary("c"))
    with pytest.raises(ResultsConflictError, match="needs"):
        store.save_summary(summary("b", series_instance_uid=""))


def test_a_forgotten_scan_leaves_nothing(store: ResultsStore) -> None:
    about = summary("a")
    store.save_report(report(about), [mask("1", 1)], about)
    store.forget("a")
    store.forget("a")
    assert store.summary("a") is None
    assert store.report("a") is None
    assert list(store.masks("a")) == []


SCANS = st.dictionaries(
    st.integers(0, 255).map("{:x}".format),
    st.tuples(st.integers(0, 3), st.none() | st.floats(0, 100) | st.just(5.0)),
    max_size=12,
)


@given(scans=SCANS, limit=st.integers(1, 5))
@settings(deadline=None, max_examples=40)
def test_pages_list_every_scan_once_and_worst_first(
    scans: dict[str, tuple[int, float | None]], limit: int
) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        ResultsStore(Path(folder) / "results.db") as store,
    ):
        for scan_id, (priority, po) in scans.items():
            store.save_summary(summary(scan_id, po, priority=priority))
        found, token, pages = [], "", 0
        while pages == 0 or (token and pages <= len(scans)):
            page = store.summaries(limit, token)
            found += [one.scan_id for one in page.summaries]
            token, pages = page.next_token, pages + 1
    ranks = [
        (max(1, scans[key][0]), -1.0 if scans[key][1] is None else scans[key][1]) for key in found
    ]
    assert sorted(found) == sorted(scans)
    assert ranks == sorted(ranks, reverse=True)
    assert pages == max(1, -(-len(scans) // limit))


@pytest.mark.parametrize("token", ["x", "1:2", "1:zz:a", "1:0x1p99999:a"])
def test_a_strange_page_token_is_refused(store: ResultsStore, token: str) -> None:
    with pytest.raises(ValueError, match="page token"):
        store.summaries(10, token)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_is_bounded(store: ResultsStore, limit: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        store.summaries(limit)


def test_it_serves_an_event_loop_and_threads(store: ResultsStore) -> None:
    async def save_all() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(store.run(store.save_summary, summary(f"{number:x}")))

    thread = threading.Thread(target=store.save_summary, args=(summary("ff"),))
    thread.start()
    asyncio.run(save_all())
    thread.join()
    assert len(store.summaries(100).summaries) == 21


def test_a_locked_database_is_named_and_usable_afterwards(store: ResultsStore, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ResultsBusyError, match="locked"):
            store.save_summary(summary("a"))
        assert store.summaries(10).summaries == ()
        other.execute("ROLLBACK")
    store.save_summary(summary("a"))
    assert store.summary("a") == summary("a")


def test_a_file_that_is_no_database_is_named_and_left_alone(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(ResultsCorruptError):
        ResultsStore(path)
    assert path.read_bytes() == b"not a database" * 1000


def test_a_newer_database_is_refused(path: Path) -> None:
    ResultsStore(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(ResultsVersionError, match="newer"):
        ResultsStore(path)


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultsUnavailableError):
        ResultsStore(tmp_path)


def test_a_closed_store_is_named(path: Path) -> None:
    store = ResultsStore(path)
    store.close()
    with pytest.raises(ResultsUnavailableError, match="closed"):
        store.summary("a")


def test_the_database_is_private(store: ResultsStore, path: Path) -> None:
    store.save_summary(summary("a"))
    modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("results.db*")}
    assert modes == {0o600}


def test_a_full_database_is_named_and_usable_afterwards(store: ResultsStore) -> None:
    store.save_summary(summary("a"))
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages}")
    many = [mask(str(number), number) for number in range(2000)]
    with pytest.raises(ResultsUnavailableError, match="full"):
        store.save_report(report(summary("a")), many, summary("a"))
    assert store.report("a") is None
    store._connection.execute("PRAGMA max_page_count = 1000000")
    store.save_report(report(summary("a")), many, summary("a"))
    assert len(list(store.masks("a"))) == 2000


def test_the_course_of_a_patient_goes_by_time_of_acquisition(store: ResultsStore) -> None:
    for scan_id, key, when in (("a", "k", 30.0), ("b", "k", 10.0), ("c", "other", 5.0)):
        about = summary(scan_id)
        store.save_report(report(about), [], about, Origin(key, when))
    nobody = summary("d")
    store.save_report(report(nobody), [], nobody)
    store.save_summary(summary("e"))
    assert [(one.report.scan_id, one.acquired_unix_s) for one in store.course("k")] == [
        ("b", 10.0),
        ("a", 30.0),
    ]
    assert [store.patient_key(scan_id) for scan_id in "acdef"] == ["k", "other", "", "", ""]
    assert store.course("") == []


def test_a_later_summary_leaves_the_course_and_a_new_report_moves_it(store: ResultsStore) -> None:
    about = summary("a")
    store.save_report(report(about), [], about, Origin("k", 1.0))
    store.save_summary(summary("a", station="later"))
    assert [one.acquired_unix_s for one in store.course("k")] == [1.0]
    store.save_report(report(about), [], about, Origin("l", 2.0))
    assert (store.course("k"), len(store.course("l"))) == ([], 1)
    store.forget("a")
    assert store.course("l") == []
