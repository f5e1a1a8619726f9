from __future__ import annotations

from pathlib import Path

import pytest

from appliance.ingest import SliceRefusedError, find_series, peek_uids
from appliance.ingest.header import Tag
from appliance.scan.verdicts import RefusalReason
from tests.ingest import synthetic as dicom


def write(path: Path, **changes: str | None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(dicom.ct_file({Tag[name]: value for name, value in changes.items()}))
    return path


def test_files_come_from_foot_to_head_whatever_their_names(tmp_path: Path) -> None:
    places = {"c": 5.0, "a": -10.0, "b": 0.5}
    for name, place in places.items():
        write(tmp_path / name, IMAGE_POSITION=f"0\\0\\{place}")
    (series,) = find_series(tmp_path).series
    assert [file.name for file in series.files] == ["a", "b", "c"]
    assert (series.study_uid, series.series_uid) == ("1.2.3", dicom.SERIES_UID)


def test_files_without_place_follow_by_instance_number(tmp_path: Path) -> None:
    write(tmp_path / "a", IMAGE_POSITION=None, INSTANCE_NUMBER="10")
    write(tmp_path / "b", IMAGE_POSITION=None, INSTANCE_NUMBER="9")
    write(tmp_path / "c")
    (series,) = find_series(tmp_path).series
    assert [file.name for file in series.files] == ["c", "b", "a"]


def test_series_are_told_apart_at_all_depths_largest_first(tmp_path: Path) -> None:
    write(tmp_path / "x/1", SERIES_INSTANCE_UID="1.2.1")
    write(tmp_path / "y/z/2", SERIES_INSTANCE_UID="1.2.2")
    write(tmp_path / "y/3", SERIES_INSTANCE_UID="1.2.2")
    listing = find_series(tmp_path)
    assert [series.series_uid for series in listing.series] == ["1.2.2", "1.2.1"]
    assert listing.skipped == ()


def test_what_is_skipped_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "empty").write_bytes(b"")
    header_only = dicom.file_meta(dicom.EXPLICIT) + dicom.data_set()
    (tmp_path / "report").write_bytes(header_only)
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    write(tmp_path / "slice")
    listing = find_series(tmp_path)
    assert len(listing.series) == 1
    assert {skipped.path.name: skipped.refusal.reason for skipped in listing.skipped} == {
        "notes.txt": RefusalReason.NOT_DICOM,
        "empty": RefusalReason.NOT_DICOM,
        "report": RefusalReason.NOT_AN_IMAGE,
    }


def test_one_file_is_a_series(tmp_path: Path) -> None:
    file = write(tmp_path / "slice")
    assert find_series(file).series[0].files == (file,)


def test_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        find_series(tmp_path / "nowhere")


def test_peek_reads_uids_of_files_ingest_would_refuse() -> None:
    coronal = dicom.ct_file({Tag.IMAGE_ORIENTATION: "1\\0\\0\\0\\0\\-1"})
    assert peek_uids(coronal) == ("1.2.3", dicom.SERIES_UID, dicom.SOP_UID)


def test_peek_refuses_what_is_not_dicom() -> None:
    with pytest.raises(SliceRefusedError):
        peek_uids(b"plain text")
