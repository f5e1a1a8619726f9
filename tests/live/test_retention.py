"""Ages by the box's own time: a wall clock that is wrong makes nothing old, time off does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.live.retention import SETTLED_S, Retention
from appliance.storage.results import ResultsStore
from breathhold.v1 import triage_pb2, types_pb2

HOUR_S, DAY_S = 3600.0, 86400.0
KEEP_S = 30 * DAY_S
NOW_S = 1_800_000_000.0


@pytest.fixture
def results(tmp_path: Path) -> Iterator[ResultsStore]:
    with ResultsStore(tmp_path / "results.sqlite") as store:
        yield store


class Run:
    """One run of the box, on clocks that the test moves."""

    def __init__(self, results: ResultsStore, unix_s: float) -> None:
        self.unix_s, self.elapsed_s = unix_s, 1000.0
        self._results = results
        self._retention = Retention(results, lambda: self.unix_s, lambda: self.elapsed_s)
        self.look()

    def look(self) -> None:
        asyncio.run(self._retention.look())

    def goes_on(self, seconds: float) -> None:
        """Time passes, and the clocks are looked at now and then."""
        for _ in range(12):
            self.unix_s += seconds / 12
            self.elapsed_s += seconds / 12
            self.look()

    def reports(self, name: str) -> None:
        scan = {"scan_id": name, "series_instance_uid": f"1.{len(name)}.{ord(name[0])}"}
        summary = triage_pb2.ScanSummary(**scan, updated_unix_s=self.unix_s)
        self._results.save_report(types_pb2.Report(**scan), [], summary)
        self.look()

    def aside(self, *names: str) -> list[str]:
        """What lies aside for long enough, of all that lies there."""
        return asyncio.run(self._retention.aside_longer_than(names, KEEP_S))

    @property
    def old(self) -> list[str]:
        """What was kept long enough."""
        return asyncio.run(self._retention.kept_longer_than(KEEP_S))


def test_what_was_kept_long_enough_while_the_box_ran_is_old(results: ResultsStore) -> None:
    run = Run(results, NOW_S)
    run.reports("a")
    run.goes_on(2 * DAY_S)
    run.reports("b")
    run.goes_on(KEEP_S - 2.5 * DAY_S)
    assert run.old == []
    run.goes_on(DAY_S)
    assert run.old == ["a"]
    run.goes_on(2 * DAY_S)
    assert run.old == ["a", "b"]


def test_time_off_counts_once_the_clock_was_seen_to_run_evenly(results: ResultsStore) -> None:
    run = Run(results, NOW_S)
    run.reports("a")
    run.goes_on(DAY_S)
    back = Run(results, run.unix_s + KEEP_S)
    back.reports("new")
    back.goes_on(SETTLED_S - 60)
    assert back.old == []
    back.goes_on(120)
    assert back.old == ["a"]
    back.goes_on(KEEP_S)
    assert back.old == ["a", "new"]


def test_what_lies_aside_grows_old_as_reports_do(results: ResultsStore) -> None:
    run = Run(results, NOW_S)
    assert run.aside("a", "b") == []
    run.unix_s += 10 * KEEP_S  # a clock that is wrong
    run.goes_on(KEEP_S - DAY_S)
    assert run.aside("a", "b", "c") == []
    run.goes_on(2 * DAY_S)
    assert run.aside("b", "c") == ["b"]
    assert run.aside("a", "b", "c") == ["b"]  # the name is given again to another


def test_a_box_that_is_off_every_night(results: ResultsStore) -> None:
    unix_s = NOW_S
    for day in range(33):
        run = Run(results, unix_s)
        if not day:
            run.reports("a")
        run.goes_on(8 * HOUR_S)
        assert run.old == (["a"] if day >= 30 else [])
        unix_s = run.unix_s + 16 * HOUR_S


def test_a_short_start_with_a_clock_ahead(results: ResultsStore) -> None:
    run = Run(results, NOW_S)
    run.reports("a")
    run.goes_on(DAY_S)
    Run(results, run.unix_s + 31 * DAY_S).goes_on(SETTLED_S / 2)
    again = Run(results, run.unix_s + HOUR_S)
    again.goes_on(2 * SETTLED_S)
    assert again.old == []


def test_a_clock_that_begins_years_back_and_is_set_right(results: ResultsStore) -> None:
    run = Run(results, NOW_S)
    run.reports("a")
    run.goes_on(DAY_S)
    failed = Run(results, 0.0)
    failed.reports("b")
    failed.goes_on(DAY_S)
    failed.unix_s = run.unix_s + 2 * DAY_S
    failed.goes_on(DAY_S)
    right = Run(results, failed.unix_s + HOUR_S)
    right.goes_on(DAY_S)
    assert right.old == []
    right.goes_on(KEEP_S - 4.5 * DAY_S)
    assert right.old == []
    right.goes_on(DAY_S)
    assert right.old == ["a"]


@pytest.mark.parametrize("step_s", [31 * DAY_S, -31 * DAY_S, 20 * 365 * DAY_S])
def test_a_clock_that_is_set_while_the_box_runs(results: ResultsStore, step_s: float) -> None:
    run = Run(results, NOW_S)
    run.reports("a")
    run.goes_on(DAY_S)
    run.unix_s += step_s
    run.goes_on(DAY_S)
    assert run.old == []
    run.goes_on(KEEP_S - DAY_S)
    assert run.old == ["a"]


def test_a_report_that_is_made_anew_is_kept_anew(results: ResultsStore) -> None:
    run = Run(results, NOW_S)
    run.reports("a")
    run.goes_on(KEEP_S - DAY_S)
    run.reports("a")
    run.goes_on(2 * DAY_S)
    assert run.old == []
