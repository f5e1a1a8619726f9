from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from calibration.phantom import Phantom, make_phantom, write_dicom_series


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(4, section="thick", slices=5, matrix=64, lesions=0.1)


@pytest.mark.parametrize("signed", [True, False])
def test_pixels_come_back_as_hu(phantom: Phantom, tmp_path: Path, signed: bool) -> None:
    paths = write_dicom_series(phantom, tmp_path, signed=signed)
    assert [path.name for path in paths] == [f"{i:04d}.dcm" for i in range(1, 6)]
    for path, plane in zip(paths, phantom.hu, strict=True):
        data = pydicom.dcmread(path)
        hu = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
        np.testing.assert_array_equal(hu, plane)
        assert data.PixelRepresentation == int(signed)


def test_geometry_goes_from_foot_to_head(phantom: Phantom, tmp_path: Path) -> None:
    slices = [pydicom.dcmread(path) for path in write_dicom_series(phantom, tmp_path)]
    heights = [float(data.ImagePositionPatient[2]) for data in slices]
    np.testing.assert_allclose(np.diff(heights), phantom.spacing[0])
    first = slices[0]
    assert list(first.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]
    assert first.PixelSpacing == pytest.approx(phantom.spacing[1:])
    assert float(first.SliceThickness) == phantom.spacing[0]
    assert [data.InstanceNumber for data in slices] == [1, 2, 3, 4, 5]


def test_is_one_ct_series_of_a_phantom(phantom: Phantom, tmp_path: Path) -> None:
    slices = [pydicom.dcmread(path) for path in write_dicom_series(phantom, tmp_path)]
    for name in ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert len({data[name].value for data in slices}) == 1
    assert len({data.SOPInstanceUID for data in slices}) == len(slices)
    first = slices[0]
    assert first.SOPClassUID == pydicom.uid.CTImageStorage
    assert first.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert first.PatientName == "PHANTOM^CHEST"
    assert first.Modality == "CT"
    assert all(
        uid.startswith("2.25.") and pydicom.uid.UID(uid).is_valid
        for uid in (first.SOPInstanceUID, first.SeriesInstanceUID, first.StudyInstanceUID)
    )


def test_uids_follow_from_the_phantom_or_the_caller(phantom: Phantom, tmp_path: Path) -> None:
    first, again, given = (
        pydicom.dcmread(write_dicom_series(phantom, tmp_path / str(i), series_uid=uid)[0])
        for i, uid in enumerate([None, None, "2.25.7"])
    )
    assert first.SOPInstanceUID == again.SOPInstanceUID
    assert given.SeriesInstanceUID == "2.25.7"
    assert given.SOPInstanceUID != first.SOPInstanceUID
    other = make_phantom(5, section="thick", slices=5, matrix=64, lesions=0.1)
    different = pydicom.dcmread(write_dicom_series(other, tmp_path / "other")[0])
    assert different.SeriesInstanceUID != first.SeriesInstanceUID
