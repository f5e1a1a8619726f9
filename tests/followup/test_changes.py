"""Directions at the edge of each dead band, and changes that must be exactly nothing."""

from __future__ import annotations

import pytest

from appliance.followup.changes import DEAD_BANDS, DeadBand, changes, direction
from breathhold.v1 import types_pb2 as pb
from tests.followup.made_reports import made_report

UNCHANGED, UP, DOWN = (
    pb.DIRECTION_UNCHANGED,
    pb.DIRECTION_INCREASED,
    pb.DIRECTION_DECREASED,
)


@pytest.mark.parametrize("name", DEAD_BANDS)
@pytest.mark.parametrize("before", [0.0, 1.0, 30.0, 5000.0])
def test_within_the_dead_band_nothing_changes(name: str, before: float) -> None:
    band = DEAD_BANDS[name]
    step = max(band.least, band.share * before)
    assert step > 0 or before == 0
    assert direction(name, before, before) == UNCHANGED
    assert direction(name, before, before + 0.99 * step) == UNCHANGED
    wide = 1.01 * step / (1 - band.share) + 1e-6
    assert direction(name, before, before + wide) == UP
    assert direction(name, before + wide, before) == DOWN


def test_the_wider_of_both_counts_and_the_order_does_not() -> None:
    band = DeadBand(0.5, 0.1)
    assert band.width(2.0, 1.0) == 0.5
    assert band.width(40.0, 50.0) == band.width(50.0, 40.0) == 5.0
    assert DeadBand(20.0).width(-600.0, 100.0) == 20.0


def test_changes_are_now_minus_before() -> None:
    before, now = made_report("1", 10.0).scores, made_report("2", 25.0).scores
    now.ihu = -300.0
    found = {change.name: change for change in changes(before, now)}
    assert list(found) == ["po", "pho", "ihu", "lung_ml", "lesion_ml", "high_opacity_ml"]
    assert (found["po"].before, found["po"].now, found["po"].change) == (10.0, 25.0, 15.0)
    assert found["ihu"].change == 100.0
    assert found["lesion_ml"].change == 600.0
    assert found["lung_ml"].direction == UNCHANGED
    assert {found[name].direction for name in ("po", "pho", "ihu", "lesion_ml")} == {UP}


def test_the_same_scores_change_by_exactly_nothing() -> None:
    scores = made_report("1", 100 / 3).scores
    for change in changes(scores, scores):
        assert (change.change, change.direction) == (0.0, UNCHANGED)


def test_what_one_scan_lacks_does_not_change() -> None:
    clear, ill = made_report("1", 0.0).scores, made_report("2", 10.0).scores
    assert [change.name for change in changes(clear, ill)] == [
        "po",
        "pho",
        "lung_ml",
        "lesion_ml",
        "high_opacity_ml",
    ]
