from __future__ import annotations

from pathlib import Path

from appliance.client import DicomSlice, dicom_slices
from appliance.ingest import find_series, read_dicom
from tests.made_series import write_series


def test_slices_know_their_uid_and_hold_the_files_bytes(tmp_path: Path) -> None:
    files = find_series(write_series(tmp_path)).series[0].files
    slices = dicom_slices(files)
    for one, file in zip(slices, files, strict=True):
        assert one.message().dicom == file.read_bytes()
        assert read_dicom(file.read_bytes()).header.sop_instance_uid == one.sop_instance_uid


def test_a_file_that_is_not_dicom_has_no_uid(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("nothing")
    assert dicom_slices([path]) == [DicomSlice(path, "")]


def test_a_slice_can_be_rewritten_on_its_way(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"old")
    assert DicomSlice(path, "1", lambda data: data + b"!").message().dicom == b"old!"
