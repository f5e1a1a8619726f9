"""A database that a clean stop left is not read through at the start; any other one is."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

import pytest

from appliance.storage import soundness
from appliance.storage.recovery import open_results
from appliance.storage.results import ResultsStore
from breathhold.v1 import triage_pb2


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Results of a hundred scans, left by a clean stop."""
    path = tmp_path / "results.sqlite"
    with ResultsStore(path) as store:
        for number in range(100):
            uid = f"1.2.{number}"
            store.save_summary(
                triage_pb2.ScanSummary(scan_id=uid, series_instance_uid=uid, station="CT" * 30)
            )
    return path


def damage(path: Path) -> None:
    """As a disk does it: no time of change tells."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(5000)
        file.write(b"\xff" * 3000)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_what_a_clean_stop_left_is_not_read_through(path: Path) -> None:
    for _ in range(2):
        store = open_results(path)
        assert not store.checked
        store.close()


def test_what_a_kill_left_is_read_through(path: Path, tmp_path: Path) -> None:
    store = open_results(path)
    store.forget("1.2.3")
    left = tmp_path / "left"
    left.mkdir()
    for part in tmp_path.glob("results.sqlite*"):
        shutil.copy2(part, left)
    store.close()
    again = open_results(left / "results.sqlite")
    assert again.checked
    assert not again.damaged
    again.close()


def test_what_somebody_changed_is_read_through_and_set_aside(path: Path) -> None:
    damage(path)
    path.touch()
    with open_results(path) as store:
        assert store.summaries(10).summaries == ()
    assert path.with_name("results.sqlite.damaged-1").exists()


def test_damage_that_is_found_later_is_set_aside_at_the_next_start(path: Path) -> None:
    damage(path)
    store = open_results(path)
    assert not store.checked
    assert not store.fault
    assert store.check()
    assert store.fault == "the results are damaged"
    store.close()
    with open_results(path) as store:
        assert store.summaries(10).summaries == ()
    assert path.with_name("results.sqlite.damaged-1").exists()


def test_a_look_can_be_stopped(path: Path) -> None:
    asked: list[bool] = []

    def stop(*, now: bool) -> bool:
        asked.append(now)
        return now

    assert soundness.damage(path, partial(stop, now=False)) == ""
    assert len(asked) > 1
    asked.clear()
    assert soundness.damage(path, partial(stop, now=True)) == ""
    assert asked == [True]


def test_a_note_that_cannot_be_read_is_none(path: Path) -> None:
    assert soundness.is_as_left(path)
    path.with_name("results.sqlite.left").write_bytes(b"\xff")
    assert not soundness.is_as_left(path)
