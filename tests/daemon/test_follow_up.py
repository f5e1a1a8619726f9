"""Scans of one patient sent to a running daemon, by slices with and without DICOM."""

from __future__ import annotations

import itertools
import stat
from pathlib import Path

import grpc
import pydicom
import pytest

from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import triage_pb2, triage_pb2_grpc, types_pb2
from tests.box import Answers, Box, send_scan
from tests.forked import ForkedBox
from tests.made_scans import raw_slices
from tests.made_series import write_series

SECRET = "4711-SECRET"
_SERIES = (f"1.2.5{number:03}" for number in itertools.count())


def send(box: Box, patient: str, acquired: float = 0.0, **scan: object) -> types_pb2.Report:
    """A scan of raw slices, under new UIDs."""
    series = next(_SERIES)
    lesion = bool(scan.pop("lesion", True))
    opening = pb.OpenScan(
        series_instance_uid=series,
        patient_id=patient,
        acquired_unix_s=acquired,
        **scan,  # type: ignore[arg-type]
    )
    answers = send_scan(box.grpc, opening, raw_slices(series=series, lesion=lesion))
    assert answers.report is not None, answers.error
    return answers.report


def send_files(box: Box, folder: Path) -> Answers:
    """A folder of DICOM files as one scan."""
    files = sorted(folder.glob("*.dcm"))
    first = pydicom.dcmread(files[0], stop_before_pixels=True)
    slices = [
        pb.Slice(sequence=number, dicom=path.read_bytes()) for number, path in enumerate(files)
    ]
    opening = pb.OpenScan(series_instance_uid=first.SeriesInstanceUID, station="CT1")
    return send_scan(box.grpc, opening, slices)


def course(box: Box, **request: str) -> triage_pb2.GetCourseResponse:
    with grpc.insecure_channel(box.grpc) as channel:
        stub = triage_pb2_grpc.TriageServiceStub(channel)
        return stub.GetCourse(triage_pb2.GetCourseRequest(**request))


def status_of(box: Box, **request: str) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        course(box, **request)
    code = caught.value.code()
    assert isinstance(code, grpc.StatusCode)
    return code


def test_the_same_images_as_another_scan_change_by_exactly_nothing(box: Box) -> None:
    first = send(box, "same", 1e9)
    second = send(box, "same", 1e9)
    assert not first.HasField("follow_up")
    found = second.follow_up
    assert found.previous_scan_id == first.scan_id
    assert [change.change for change in found.changes] == [0.0] * 6
    assert found.direction == types_pb2.DIRECTION_UNCHANGED
    assert {change.direction for change in found.changes} == {types_pb2.DIRECTION_UNCHANGED}


def test_the_same_series_sent_again_gets_the_report_it_had(box: Box) -> None:
    send(box, "again", 1e9)
    second = send(box, "again", 2e9, lesion=False)
    assert second.follow_up.direction == types_pb2.DIRECTION_DECREASED
    send(box, "again", 1.5e9)
    opening = pb.OpenScan(series_instance_uid=second.series_instance_uid)
    assert send_scan(box.grpc, opening, []).report == second


def test_a_course_is_ordered_by_acquisition_and_looked_up_three_ways(box: Box) -> None:
    late = send(box, "course", 3e9)
    early = send(box, "course", 1e9, lesion=False)
    middle = send(box, "course", 2e9)
    send(box, "someone else", 2.5e9)
    assert not early.HasField("follow_up")
    assert middle.follow_up.previous_scan_id == early.scan_id
    assert middle.follow_up.changes[0].change == middle.scores.po - early.scores.po > 0
    found = course(box, scan_id=late.scan_id)
    assert [point.scan_id for point in found.points] == [
        early.scan_id,
        middle.scan_id,
        late.scan_id,
    ]
    assert found.points[2].follow_up.previous_scan_id == middle.scan_id
    assert not late.HasField("follow_up")
    assert course(box, patient_key=middle.follow_up.patient_key) == found
    assert course(box, series_instance_uid=early.series_instance_uid) == found


def test_what_has_no_course_is_told(box: Box) -> None:
    nobody = send(box, "")
    assert status_of(box, scan_id=nobody.scan_id) == grpc.StatusCode.FAILED_PRECONDITION
    assert status_of(box, patient_key="unknown") == grpc.StatusCode.NOT_FOUND
    assert status_of(box, scan_id="unknown") == grpc.StatusCode.NOT_FOUND
    assert status_of(box) == grpc.StatusCode.INVALID_ARGUMENT
    both = {"scan_id": nobody.scan_id, "patient_key": "k"}
    assert status_of(box, **both) == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "wrong", [{"patient_id": "x" * 65}, {"patient_id": "a\nb"}, {"acquired_unix_s": -1.0}]
)
def test_a_malformed_patient_is_refused_and_not_repeated(box: Box, wrong: dict[str, str]) -> None:
    opening = pb.OpenScan(series_instance_uid=next(_SERIES), **wrong)  # type: ignore[arg-type]
    error = send_scan(box.grpc, opening, []).error
    assert isinstance(error, grpc.Call)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "xxx" not in str(error.details())


def test_dicom_names_patient_study_and_time_and_no_id_is_kept(
    repository: Path, tmp_path: Path
) -> None:
    for name, day in (("a", "20200401"), ("b", "20200409")):
        write_series(tmp_path / name, series_uid=f"1.2.6.{day}")
        for path in (tmp_path / name).glob("*.dcm"):
            data = pydicom.dcmread(path)
            data.PatientID, data.AcquisitionDate = SECRET, day
            data.save_as(path)
    with ForkedBox(tmp_path / "box", repository) as box:
        first = send_files(box, tmp_path / "a").report
        second = send_files(box, tmp_path / "b").report
        assert first is not None
        assert second is not None
        assert first.study_instance_uid
        assert second.follow_up.previous_scan_id == first.scan_id
        assert [change.change for change in second.follow_up.changes] == [0.0] * 6
        points = course(box, scan_id=first.scan_id).points
        assert points[1].acquired_unix_s - points[0].acquired_unix_s == pytest.approx(8 * 86400)
        assert box.stop() == 0
        state = tmp_path / "box" / "state"
        assert stat.S_IMODE((state / "patient-salt").stat().st_mode) == 0o600
        kept = [path for path in state.rglob("*") if path.is_file()]
        outside = [path for path in kept if path.name != "scan.log"]
        assert len(kept) > len(outside) > 0
        holders = {path for path in outside if SECRET.encode() in path.read_bytes()}
        assert not holders
        assert SECRET not in box.log_text()


def test_links_outlive_a_restart(repository: Path, tmp_path: Path) -> None:
    with ForkedBox(tmp_path / "box", repository) as box:
        first = send(box, "p", 1e9)
        box.kill()
    with ForkedBox(tmp_path / "box", repository) as box:
        assert send(box, "p", 2e9).follow_up.previous_scan_id == first.scan_id
