"""``breathhold report``: the course of a patient whose scan is sent again and again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from appliance.cli.sending.playing import Playing, play
from appliance.client import ScanClient
from tests.box import Box
from tests.cli.command import Command
from tests.made_series import write_series


@pytest.fixture(scope="module")
def sent(box: Box, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Scan ids of a series of a patient of its own, sent as it is and then as another scan."""
    series = write_series(tmp_path_factory.mktemp("course"), series_uid="1.2.7.1")
    for path in series.iterdir():
        data = pydicom.dcmread(path)
        data.PatientID = "course"
        data.save_as(path)
    for fresh in (False, True):
        play(series, Playing(to=box.grpc, json=True, fresh=fresh))
    with ScanClient(box.grpc) as client:
        points = client.course("1.2.7.1").points
    assert len(points) == 2
    return [point.scan_id for point in points]


def test_the_course_as_json(command: Command, box: Box, sent: list[str]) -> None:
    ran = command("report", "--of", sent[0], "--to", box.grpc, "--json")
    assert ran.code == 0, ran.err
    (course,) = ran.event("course")
    scans = {scan["scan_id"]: scan for scan in course["scans"]}
    first, second = scans[sent[0]], scans[sent[-1]]
    assert first["follow_up"] is None
    changes = second["follow_up"]["changes"]
    assert {change["change"] for change in changes.values()} == {0.0}
    assert second["follow_up"]["direction"] == "unchanged"
    assert second["po"] == first["po"] > 0
    again = command("report", "--patient", course["patient_key"], "--to", box.grpc, "--json")
    assert again.lines == ran.lines


def test_a_report_carries_the_change(command: Command, box: Box, sent: list[str]) -> None:
    ran = command("report", sent[-1], "--to", box.grpc, "--json")
    (report,) = ran.event("report")
    assert report["follow_up"]["previous_scan_id"] in sent
    assert report["follow_up"]["changes"]["po"]["change"] == 0.0
    text = command("report", sent[-1], "--to", box.grpc).out
    assert "change since" in text
    assert "+0.0 points, unchanged" in text
    first = command("report", sent[0], "--to", box.grpc)
    assert "change since" not in first.out


def test_the_course_for_people_and_as_a_plot(
    command: Command, box: Box, sent: list[str], tmp_path: Path
) -> None:
    plot = tmp_path / "new" / "course.png"
    ran = command("report", "--of", sent[0], "--to", box.grpc, "--plot", plot)
    assert ran.code == 0, ran.err
    assert "2020-04-01 12:00" in ran.out
    assert "+0.0 same" in ran.out
    assert "not a diagnosis" in ran.out
    with Image.open(plot) as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    assert (np.abs(pixels.astype(int) - [0xD9, 0x5F, 0x02]).sum(axis=-1) < 30).sum() > 50
    ran = command("report", "--of", sent[0], "--to", box.grpc, "--plot", plot, "--json")
    assert json.loads(ran.out)["files"] == [str(plot)]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("a", "--of", "b"),
        ("--of", "a", "--patient", "b"),
        ("a", "--plot", "c.png"),
        ("--of", "a", "--masks", "c", "--dicom", "d"),
    ],
)
def test_wrong_use_is_told(command: Command, arguments: tuple[str, ...]) -> None:
    ran = command("report", *arguments)
    assert ran.code == 2
    assert not ran.out


def test_an_unknown_patient_is_told(command: Command, box: Box) -> None:
    ran = command("report", "--patient", "0" * 32, "--to", box.grpc)
    assert (ran.code, ran.out) == (1, "")
    assert "There is no such patient." in ran.err
