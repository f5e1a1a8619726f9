"""The main job on real CT, where it is at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from breathhold.v1 import types_pb2
from tests.box import Answers, Box
from tests.e2e.conftest import Outgoing
from tests.e2e.test_phantom import (
    breathhold,
    runs,
    send,
    send_through_kills,
    shuffled_and_doubled,
)


@pytest.fixture(scope="module")
def series(shared_ct: Path) -> Path:
    return shared_ct / "dicom" / "ricord-419639"


@pytest.fixture(scope="module")
def answers(shipped_box: Box, series: Path, outgoing: Outgoing) -> Answers:
    return send(shipped_box.grpc, outgoing(series, rate=40, send_masks=True))


def test_a_real_scan_is_scored_while_it_arrives(answers: Answers) -> None:
    report = answers.report
    assert report is not None
    before_the_end = [score for score in answers.scores if score.slices_received < 248]
    assert sum(score.scores.HasField("po") for score in before_the_end) > 10
    assert report.slices == 248
    assert report.section == types_pb2.SECTION_THIN
    assert not report.missing
    assert 0.5 < report.scores.po < 60
    assert 2000 < report.scores.lung_ml < 9000
    assert report.timing.last_slice_to_report_s < 10


def test_masks_of_a_whole_thin_scan_fit_into_two_megabytes(answers: Answers) -> None:
    assert len(answers.masks) == 248
    assert sum(mask.ByteSize() for mask in answers.masks.values()) < 2e6


def test_shuffled_doubled_and_killed_three_times(
    answers: Answers, series: Path, outgoing: Outgoing, tmp_path: Path
) -> None:
    """Report and masks are the undisturbed ones, bit for bit."""
    scan = shuffled_and_doubled(outgoing(series, send_masks=True), seed=1)
    other = send_through_kills(tmp_path, scan, kills=[40, 120, 210])
    assert other.final_report == answers.final_report
    assert runs(other) == runs(answers)


@pytest.fixture(scope="module")
def odd(shared_ct: Path) -> Path:
    return shared_ct / "dicom"


def test_head_slices_with_tilt_are_refused_by_name(shipped_box: Box, odd: Path) -> None:
    run = breathhold("send", odd / "tilted", "--to", shipped_box.grpc, "--json")
    assert "GANTRY_TILT" in run.stdout
    assert '"po": null' in run.stdout.splitlines()[-1]


def test_half_a_chest_with_a_hole_is_not_scored(shipped_box: Box, odd: Path) -> None:
    run = breathhold("send", odd / "gap", "--to", shipped_box.grpc, "--json", "--all")
    reports = [line for line in run.stdout.splitlines() if '"event": "report"' in line]
    assert len(reports) == 2
    assert all('"po": null' in report for report in reports)
