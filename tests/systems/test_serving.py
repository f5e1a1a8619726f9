"""A system by the name of its repository, in a daemon of its own process."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from breathhold.v1 import scan_pb2 as pb
from tests.box import Box, send_scan
from tests.made_scans import raw_slices

OPEN = pb.OpenScan(series_instance_uid="1.2.3", station="CT1", send_masks=True)


@pytest.mark.parametrize(
    ("system", "lung"), [("colinet", "colinet_lung"), ("covidlesionnet", "lung")]
)
def test_the_daemon_serves_a_system(systems: Path, tmp_path: Path, system: str, lung: str) -> None:
    """Everything is lung and lesion to these networks; the order of slices changes nothing."""
    slices = raw_slices(24, 5.0)
    shuffled = random.Random(2).sample(slices, len(slices))
    with Box(tmp_path, systems / system) as box:
        answers = send_scan(box.grpc, OPEN, slices)
        again = pb.OpenScan(series_instance_uid="1.2.4", station="CT1", send_masks=True)
        other = send_scan(box.grpc, again, shuffled)
    report = answers.final_report
    assert {name: entry.name for name, entry in report.models.items()} == {
        "lung": lung,
        "lesion": system,
    }
    assert report.scores.po == pytest.approx(100)
    assert len(answers.masks) == 24
    assert other.final_report.scores == report.scores
    shown = [sum(mask.runs[1::2]) for mask in answers.masks.values()]
    rows = 187 / 256 if system == "colinet" else 1
    assert shown == pytest.approx([64 * 64 * rows] * 24, rel=0.03)
