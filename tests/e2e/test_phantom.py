"""The main job on phantoms: shipped models, real DICOM, a daemon of its own process."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from appliance.client import OutgoingScan, ScanClient, ScanEvent
from appliance.quantify.lobes import lobe_scores
from appliance.quantify.regions import sum_sides
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import types_pb2
from calibration.phantom import Phantom, make_phantom, write_dicom_series
from calibration.phantom.truth import lobe_truth
from tests.box import Answers, Box
from tests.e2e.conftest import Outgoing

ROOT = Path(__file__).resolve().parents[2]


def send(target: str, scan: OutgoingScan) -> Answers:
    answers = Answers()
    with ScanClient(target) as client:
        for event in client.send(scan, patience_s=20):
            note(answers, event)
    return answers


def note(answers: Answers, event: ScanEvent) -> None:
    match event:
        case types_pb2.Report():
            answers.report = event
        case types_pb2.SliceMask():
            answers.masks[event.sop_instance_uid] = event
        case pb.RunningScore():
            answers.scores.append(event)
        case pb.Ack():
            answers.acks.append(event)


@pytest.fixture(scope="module")
def undisturbed(shipped_box: Box, chest_series: Path, outgoing: Outgoing) -> Answers:
    return send(shipped_box.grpc, outgoing(chest_series, send_masks=True))


def test_the_report_is_near_the_truth(undisturbed: Answers, chest: Phantom) -> None:
    report = undisturbed.final_report
    assert chest.po is not None
    assert report.scores.po == pytest.approx(chest.po, abs=5.0)
    voxel_ml = chest.spacing[0] * chest.spacing[1] * chest.spacing[2] / 1000
    assert report.scores.lung_ml == pytest.approx(chest.lung.sum() * voxel_ml, rel=0.1)
    assert report.section == types_pb2.SECTION_THICK
    assert not report.missing


def test_lobes_are_near_the_truth(undisturbed: Answers, chest: Phantom) -> None:
    report = undisturbed.final_report
    truth = lobe_truth(chest)
    assert [region.name for region in report.lobes] == [lobe.name for lobe in truth]
    assert sum(lobe.lung_ml for lobe in report.lobes) == pytest.approx(report.scores.lung_ml)
    for side, true in zip(report.sides, sum_sides(truth), strict=True):
        assert side.lung_ml == pytest.approx(true.lung_ml, rel=0.1)
    scores = lobe_scores(truth)
    assert report.lss == pytest.approx(scores.lss, abs=2)
    assert report.lhos == pytest.approx(scores.lhos, abs=2)
    assert report.models["lobes"].name == "lobes"


def test_scores_run_before_the_last_slice(
    shipped_box: Box, tmp_path: Path, outgoing: Outgoing
) -> None:
    write_dicom_series(make_phantom(8, section="thick", slices=40, matrix=256), tmp_path)
    answers = send(shipped_box.grpc, outgoing(tmp_path, rate=40))
    running = [score for score in answers.scores if score.slices_received < 40]
    assert any(score.scores.HasField("po") for score in running)
    assert [score.sequence_number for score in answers.scores] == sorted(
        score.sequence_number for score in answers.scores
    )


def test_masks_are_compact(undisturbed: Answers) -> None:
    """300 slices of 512 x 512 must fit into 2 MB."""
    total = sum(mask.ByteSize() for mask in undisturbed.masks.values())
    assert len(undisturbed.masks) == 60
    assert total * 300 / 60 < 2e6


def shuffled_and_doubled(scan: OutgoingScan, seed: int) -> OutgoingScan:
    """In any order, a tenth of the slices twice."""
    mixer = random.Random(seed)
    slices = [*scan.slices, *mixer.sample(scan.slices, len(scan.slices) // 10)]
    mixer.shuffle(slices)
    return OutgoingScan(scan.open, slices)


def send_through_kills(state: Path, scan: OutgoingScan, kills: list[int]) -> Answers:
    """Send a scan; each time so many slices are kept, the daemon is killed and started again."""
    answers = Answers()
    for kill_at in [*kills, None]:
        with Box(state) as box, ScanClient(box.grpc) as client:
            kept = 0
            for event in client.send(scan, patience_s=0):
                note(answers, event)
                if isinstance(event, pb.Opened):
                    kept = len(event.kept_sop_instance_uids)
                kept += isinstance(event, pb.Ack)
                if kill_at is not None and kept >= kill_at:
                    break
            box.kill()
    return answers


def runs(answers: Answers) -> dict[str, list[int]]:
    return {uid: list(mask.runs) for uid, mask in answers.masks.items()}


def test_shuffled_doubled_and_killed_three_times(
    undisturbed: Answers, chest_series: Path, tmp_path: Path, outgoing: Outgoing
) -> None:
    """Report and masks are the undisturbed ones, bit for bit."""
    scan = shuffled_and_doubled(outgoing(chest_series, send_masks=True), seed=3)
    answers = send_through_kills(tmp_path, scan, kills=[12, 30, 50])
    assert answers.final_report == undisturbed.final_report
    assert runs(answers) == runs(undisturbed)


@pytest.mark.parametrize("anatomy", ["abdomen", "head"])
def test_no_lung_found(shipped_box: Box, tmp_path: Path, outgoing: Outgoing, anatomy: str) -> None:
    write_dicom_series(make_phantom(5, anatomy=anatomy, section="thick", matrix=256), tmp_path)  # type: ignore[arg-type]
    report = send(shipped_box.grpc, outgoing(tmp_path)).final_report
    assert report.scores.no_score == types_pb2.NO_SCORE_NO_LUNG
    assert not report.scores.HasField("po")


def test_healthy_lungs_have_no_opacity(
    shipped_box: Box, tmp_path: Path, outgoing: Outgoing
) -> None:
    write_dicom_series(make_phantom(6, section="thick", lesions=False), tmp_path)
    report = send(shipped_box.grpc, outgoing(tmp_path)).final_report
    assert report.scores.po < 1.0


def test_the_urgent_scan_is_served_first(
    shipped_box: Box, tmp_path: Path, outgoing: Outgoing
) -> None:
    """A routine scan is well under way when an urgent one comes, and is overtaken."""
    routine = make_phantom(9, section="thin", slices=160, matrix=256)
    urgent = make_phantom(10, section="thick", slices=40, matrix=256)
    write_dicom_series(routine, tmp_path / "routine")
    write_dicom_series(urgent, tmp_path / "urgent")
    scans = {
        "routine": outgoing(tmp_path / "routine", priority=types_pb2.PRIORITY_ROUTINE),
        "urgent": outgoing(tmp_path / "urgent", priority=types_pb2.PRIORITY_EMERGENCY),
    }
    done: dict[str, float] = {}
    answers: dict[str, Answers] = {}

    def run(name: str) -> None:
        answers[name] = send(shipped_box.grpc, scans[name])
        done[name] = time.monotonic()

    threads = {name: threading.Thread(target=run, args=(name,)) for name in scans}
    threads["routine"].start()
    time.sleep(0.5)
    threads["urgent"].start()
    for thread in threads.values():
        thread.join(90)
    assert done["urgent"] < done["routine"]
    assert answers["routine"].final_report.slices == 160
    assert answers["urgent"].final_report.slices == 40


def test_a_console_written_from_the_contract_alone_works(shipped_box: Box, tmp_path: Path) -> None:
    phantom = make_phantom(11, section="thick", slices=30, matrix=256)
    for index, plane in enumerate(phantom.hu):
        (tmp_path / f"{index:03}.raw").write_bytes(plane.astype("<i2").tobytes())
    command = [sys.executable, ROOT / "protos" / "example_console.py", shipped_box.grpc, tmp_path]
    command += ["256", "256", *map(str, phantom.spacing)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "running: PO" in run.stdout
    assert "completed_by: COMPLETED_BY_END" in run.stdout
    assert "pixels of lesion in 30 masks" in run.stdout


def breathhold(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "appliance.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_send_prints_one_object_a_line_and_the_report_last(
    shipped_box: Box, chest_series: Path, tmp_path: Path
) -> None:
    run = breathhold(
        "send", chest_series, "--to", shipped_box.grpc, "--fresh", "--json", "--masks", tmp_path
    )
    assert run.returncode == 0, run.stderr
    events = [json.loads(line) for line in run.stdout.splitlines()]
    report = events[-1]
    assert report["event"] == "report"
    assert {"running", "report"} <= {event["event"] for event in events}
    assert report["section"] == "thick"
    assert report["slices"] == 60
    assert report["completed_by"] in ("end", "count")
    assert (tmp_path / "lesion.nii.gz").is_file()
    assert list(tmp_path.rglob("*.png"))


def test_a_folder_without_dicom_is_one_sentence(shipped_box: Box, tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("not DICOM")
    run = breathhold("send", tmp_path, "--to", shipped_box.grpc)
    assert run.returncode == 1
    assert len(run.stderr.strip().splitlines()) == 1
    assert run.stdout == ""
