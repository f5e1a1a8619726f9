"""`send`, `report` and `watch` against a running daemon."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from breathhold.v1 import scan_pb2 as pb
from tests.box import Box, Call
from tests.cli.command import Command
from tests.made_scans import raw_slices
from tests.made_series import write_series

RUNNING = {"event", "po", "pho", "slices_received", "slices_inferred", "coverage", "elapsed_s"}
REPORT = {
    "event", "po", "pho", "lung_ml", "lesion_ml", "high_opacity_ml", "ihu", "section", "slices",
    "missing", "warnings", "completed_by", "models", "precision", "last_slice_to_report_s",
}  # fmt: skip


def measured(report: dict[str, Any]) -> dict[str, Any]:
    """A report without what differs from run to run."""
    names = REPORT - {"last_slice_to_report_s", "completed_by"}
    return {name: report[name] for name in names}


def test_json_lines_from_the_first_score_to_the_report(
    command: Command, box: Box, series: Path
) -> None:
    ran = command("send", series, "--to", box.grpc, "--rate", 60, "--json", "--fresh")
    assert (ran.code, ran.err) == (0, "")
    scores, (report,) = ran.event("running"), ran.event("report")
    assert scores
    for score in scores:
        assert RUNNING <= set(score) <= RUNNING | {"no_score"}
    assert ran.lines[-1] == report
    assert set(report) >= REPORT
    assert report["slices"] == 24
    assert report["section"] == "thick"
    assert report["completed_by"] == "count"
    assert 0 < report["po"] < 100
    assert report["pho"] <= report["po"]
    assert {"lung", "lesion"} == set(report["models"])
    assert report["state"] == "reported"


def test_a_finished_scan_answers_with_its_report(command: Command, box: Box, series: Path) -> None:
    first = command("send", series, "--to", box.grpc, "--json").event("report")[0]
    again = command("send", series, "--to", box.grpc, "--json")
    assert again.event("report") == [first]
    assert again.event("opened")[0]["state"] == "reported"
    by_id = command("report", first["scan_id"], "--to", box.grpc, "--json")
    by_uid = command("report", first["series_instance_uid"], "--to", box.grpc, "--json")
    assert by_id.event("report") == by_uid.event("report") == [first]


def test_the_order_does_not_matter_and_fresh_is_another_scan(
    command: Command, box: Box, series: Path
) -> None:
    def report(*options: object) -> dict[str, Any]:
        ran = command("send", series, "--to", box.grpc, "--json", "--fresh", *options)
        assert ran.code == 0
        return ran.event("report")[0]

    straight, shuffled = report(), report("--shuffle", 3)
    unannounced = report("--no-expected", "--shuffle", 4)
    assert measured(straight) == measured(shuffled) == measured(unannounced)
    assert unannounced["completed_by"] == "end"
    assert len({one["scan_id"] for one in (straight, shuffled, unannounced)}) == 3


def test_masks_and_overlays(command: Command, box: Box, series: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out" / "masks"
    ran = command("send", series, "--to", box.grpc, "--fresh", "--json", "--masks", folder)
    assert ran.code == 0
    report = ran.event("report")[0]
    volumes = {name: nibabel.load(folder / f"{name}.nii.gz") for name in ("lesion", "lung")}
    for name, image in volumes.items():
        assert image.shape == (64, 64, 24)
        voxel_ml = abs(np.linalg.det(image.affine[:3, :3])) / 1000
        millilitres = np.count_nonzero(np.asarray(image.dataobj)) * voxel_ml
        assert millilitres == pytest.approx(report[f"{name}_ml"], rel=1e-6)
    overlays = sorted(folder.glob("*.png"))
    with_lesion = np.asarray(volumes["lesion"].dataobj).any(axis=(0, 1))
    assert [path.name for path in overlays] == [
        f"slice-{index + 1:04d}.png" for index in np.flatnonzero(with_lesion)
    ]
    with Image.open(overlays[0]) as picture:
        assert picture.size == (64, 64)
    assert len(report["files"]) == 2 + len(overlays)


def test_masks_of_a_reported_scan(command: Command, box: Box, series: Path, tmp_path: Path) -> None:
    sent = command("send", series, "--to", box.grpc, "--json", "--masks", tmp_path / "sent")
    scan_id = sent.event("report")[0]["scan_id"]
    options = ("--masks", tmp_path / "later", "--dicom", series)
    ran = command("report", scan_id, "--to", box.grpc, *options)
    assert ran.code == 0
    sent_lesion = nibabel.load(tmp_path / "sent" / "lesion.nii.gz")
    later_lesion = nibabel.load(tmp_path / "later" / "lesion.nii.gz")
    np.testing.assert_array_equal(sent_lesion.dataobj, later_lesion.dataobj)
    wrong = write_series(tmp_path / "wrong", 4, "1.2.9")
    options = ("--masks", tmp_path / "none", "--dicom", wrong)
    assert "not among the files" in command("report", scan_id, "--to", box.grpc, *options).err


def test_people_get_lines_and_a_table(command: Command, box: Box, series: Path) -> None:
    ran = command("send", series, "--to", box.grpc, "--fresh", "--rate", 100)
    assert ran.code == 0
    assert re.search(r"received \d+/24, inferred \d+  PO", ran.out)
    assert "PO, opacity of lung" in ran.out
    assert "not a diagnosis" in ran.out


def test_nothing_of_the_patient_is_printed(command: Command, box: Box, series: Path) -> None:
    for options in ((), ("--json",)):
        ran = command("send", series, "--to", box.grpc, "--fresh", *options)
        assert "PHANTOM" not in ran.out + ran.err
    assert "PHANTOM" not in box.log_text()


def test_without_lung_there_is_no_score(command: Command, box: Box, tmp_path: Path) -> None:
    solid = write_series(tmp_path, 24, "1.2.77", lung=False)
    report = command("send", solid, "--to", box.grpc, "--json").event("report")[0]
    assert (report["po"], report["pho"]) == (None, None)
    assert report["no_score"] == "no lung found"
    assert "No score: no lung found." in command("send", solid, "--to", box.grpc).out


def test_refused_slices_are_named_and_the_scan_goes_on(
    command: Command, box: Box, tmp_path: Path
) -> None:
    files = sorted(write_series(tmp_path, 24, "1.2.78").iterdir())
    files[3].write_bytes(files[3].read_bytes()[:-1000])
    ran = command("send", tmp_path, "--to", box.grpc, "--json")
    assert ran.code == 0
    assert [line["reason"] for line in ran.event("refused")] == ["TRUNCATED"]
    report = ran.event("report")[0]
    assert (report["slices"], report["slices_refused"]) == (23, 1)
    assert report["completed_by"] == "end"


def test_every_series_of_a_folder(command: Command, box: Box, tmp_path: Path) -> None:
    write_series(tmp_path / "a", 24, "1.2.81")
    write_series(tmp_path / "b", 30, "1.2.82")
    options = ("--all", "--json", "--masks", tmp_path / "masks")
    ran = command("send", tmp_path, "--to", box.grpc, *options)
    assert [report["slices"] for report in ran.event("report")] == [30, 24]
    for number in (1, 2):
        assert (tmp_path / "masks" / f"series-{number}" / "lung.nii.gz").is_file()


def test_a_refused_series_does_not_hold_up_the_others(
    command: Command, box: Box, tmp_path: Path
) -> None:
    write_series(tmp_path / "a", 30, "1.2.84")
    write_series(tmp_path / "b", 24, "1.2.83")
    other = Call(box.grpc, pb.OpenScan(series_instance_uid="1.2.84", station="another"))
    other.send_slices(raw_slices(1, series="1.2.84"))
    other.wait_for_answers(1)
    ran = command("send", tmp_path, "--to", box.grpc, "--all", "--json")
    other.close()
    assert ran.code == 1
    assert [report["slices"] for report in ran.event("report")] == [24]
    assert ran.err.splitlines() == [
        "Series 1: Another station is sending this scan.",
        "breathhold: 1 of 2 series were not taken.",
    ]


def test_a_folder_of_other_files_is_one_sentence(
    command: Command, box: Box, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    ran = command("send", tmp_path, "--to", box.grpc)
    assert (ran.code, ran.out) == (1, "")
    assert len(ran.err.splitlines()) == 1
    assert "holds no DICOM images" in ran.err


def test_nobody_listens(command: Command, series: Path) -> None:
    ran = command("send", series, "--to", "127.0.0.1:1", "--patience", 0.3, "--json")
    assert ran.code == 1
    assert ran.err == "breathhold: The appliance at 127.0.0.1:1 cannot be reached.\n"


def test_an_unknown_scan(command: Command, box: Box) -> None:
    for name in ("1.2.3.4.5.6", "abc"):
        ran = command("report", name, "--to", box.grpc)
        assert (ran.code, ran.out) == (1, "")
        assert ran.err == "breathhold: There is no such scan.\n"


def test_the_board_shows_the_worst_first(
    command: Command, box: Box, series: Path, tmp_path: Path
) -> None:
    command("send", series, "--to", box.grpc, "--fresh", "--station", "CT1")
    urgent = ("--priority", "emergency", "--station", "CT9")
    command("send", series, "--to", box.grpc, "--fresh", *urgent)
    board = command("watch", "--to", box.grpc, "--once", "--json").lines
    assert board[0]["station"] == "CT9"
    assert board[0]["priority"] == "emergency"
    assert board[0]["coverage"] == 1
    shown = command("watch", "--to", box.grpc, "--once")
    assert shown.code == 0
    assert shown.out.index("CT9") < shown.out.index("CT1")


def test_watch_prints_each_change(box: Box, series: Path, command: Command) -> None:
    words = [sys.executable, "-m", "appliance.cli", "watch", "--to", box.grpc, "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        command("send", series, "--to", box.grpc, "--fresh", "--station", "watched")
        for line in watching.stdout:
            if '"watched"' in line and '"reported"' in line:
                break
        watching.terminate()
    assert '"watched"' in line
