from __future__ import annotations

import io
import logging
from pathlib import Path

import pydicom
import pytest

from appliance.cli.sending.fresh import FreshUids
from appliance.ingest import read_dicom
from tests.made_series import write_series


def test_uids_change_together_and_nothing_else_does(tmp_path: Path) -> None:
    fresh = FreshUids()
    files = sorted(write_series(tmp_path, 4).iterdir())
    olds = [pydicom.dcmread(path) for path in files]
    news = [pydicom.dcmread(io.BytesIO(fresh.rewrite(path.read_bytes()))) for path in files]
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert len({new[keyword].value for new in news}) == 1
        assert news[0][keyword].value != olds[0][keyword].value
    assert len({new.SOPInstanceUID for new in news}) == 4
    for old, new in zip(olds, news, strict=True):
        assert new.SOPInstanceUID == fresh.uid(old.SOPInstanceUID) != old.SOPInstanceUID
        assert new.file_meta.MediaStorageSOPInstanceUID == new.SOPInstanceUID
        differs = {element.keyword for element in new if element != old[element.tag]}
        assert differs == {
            "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID",
        }  # fmt: skip


def test_each_time_other_uids() -> None:
    assert FreshUids().uid("1.2.3") != FreshUids().uid("1.2.3")
    assert FreshUids().uid("") == ""


def test_what_cannot_be_rewritten_stays_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert FreshUids().rewrite(b"\0" * 200) == b"\0" * 200


def test_every_lossless_syntax_survives(shared_ct: Path) -> None:
    fresh = FreshUids()
    for path in sorted((shared_ct / "dicom" / "syntaxes").glob("*.dcm")):
        if any(lossy in path.name for lossy in (".50", ".51", ".53", ".55", ".81", ".91")):
            continue
        data = path.read_bytes()
        old, new = read_dicom(data), read_dicom(fresh.rewrite(data))
        assert (new.hu == old.hu).all(), path.name
        assert new.header.sop_instance_uid == fresh.uid(old.header.sop_instance_uid)
