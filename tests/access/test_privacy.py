"""No patient in anything that a run writes outside the spool."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from appliance.ingest import peek_uids
from breathhold.v1 import scan_pb2 as pb
from calibration.phantom import make_phantom, write_dicom_series
from tests.box import Box, send_scan

NAME, ID, UID = "Zwyx^Quillian", "PID-90817263", "4455.1"
_PAGES = ("metrics", "triage.json", "")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A short phantom of a patient with a name and an id one would find."""
    folder = tmp_path_factory.mktemp("phantom")
    write_dicom_series(make_phantom(3, section="thick", slices=12), folder)
    found = []
    for path in sorted(folder.glob("*.dcm")):
        data = pydicom.dcmread(path)
        data.PatientName, data.PatientID = NAME, ID
        data.OtherPatientIDs = ID
        found.append(_written(data))
    return found


def _written(data: pydicom.Dataset) -> bytes:
    buffer = BytesIO()
    data.save_as(buffer)
    return buffer.getvalue()


def spoilt(files: list[bytes]) -> Iterator[bytes]:
    """Slices that are refused for one reason or another, each naming the patient."""
    yield files[0][: len(files[0]) // 2]
    yield files[0].replace(b"Zwyx", b"\xff\xfe\x00\x01")
    for change in (
        {"SeriesInstanceUID": "1.2.3"},
        {"Modality": "MR"},
        {"ImageType": ["ORIGINAL", "PRIMARY", NAME]},
        {"PatientPosition": ID},
        {"RescaleType": NAME},
        {"ImagePositionPatient": None},
        {"SOPInstanceUID": "1.2.9", "StudyDate": ID},
    ):
        data = pydicom.dcmread(BytesIO(files[1]))
        for keyword, value in change.items():
            setattr(data, keyword, value)
        with pydicom.config.disable_value_validation():
            yield _written(data)


def test_no_patient_outside_the_spool(repository: Path, tmp_path: Path, files: list[bytes]) -> None:
    uids = peek_uids(files[0])
    opening = pb.OpenScan(
        series_instance_uid=uids.series, study_instance_uid=uids.study, station="CT1"
    )
    slices = [
        pb.Slice(sequence=number, dicom=content)
        for number, content in enumerate([*files, files[0], *spoilt(files)], start=1)
    ]
    options = ("--log-level", "debug", "--log-format", "json")
    pages = []
    for _ in range(2):  # the second run takes up what the first one left
        with Box(tmp_path / "box", repository, "", *options) as box:
            answers = send_scan(box.grpc, opening, slices)
            pages += [
                urllib.request.urlopen(f"http://{box.http}/{page}", timeout=10).read()
                for page in _PAGES
            ]
            box.stop()
    assert answers.report is not None
    assert answers.report.slices == 12
    told = {
        str(path): path.read_bytes() for path in (tmp_path / "box").rglob("*") if path.is_file()
    }
    spooled = {path: content for path, content in told.items() if "/spool/" in path}
    outside = {path: content for path, content in told.items() if path not in spooled}
    assert any(NAME.encode() in content for content in spooled.values()), "the spool has it"
    assert any(path.endswith("audit.jsonl") for path in outside)
    assert any(path.endswith("results.sqlite") for path in outside)
    outside |= {f"page {number}": page for number, page in enumerate(pages)}
    outside["refusals"] = b"".join(refused.SerializeToString() for refused in answers.refused)
    for path, content in outside.items():
        for word in (NAME, NAME.split("^")[0], NAME.split("^")[1], ID):
            assert word.lower().encode() not in content.lower(), f"{word} is in {path}"
    for line in told[str(tmp_path / "box" / "log")].splitlines():
        assert {"time", "level", "logger", "message"} <= json.loads(line).keys()
