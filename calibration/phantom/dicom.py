"""A phantom as a DICOM CT series."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from calibration.phantom.phantom import Phantom

_IMPLEMENTATION = "2.25.157305618402986302712340519026813"
_DATE, _TIME = "20200401", "120000"


def write_dicom_series(
    phantom: Phantom,
    folder: Path,
    *,
    series_uid: str | None = None,
    signed: bool = True,
) -> list[Path]:
    """Write the phantom as CT Image Storage, one file a slice, foot to head.

    Parameters
    ----------
    phantom
        What to write.
    folder
        Made if need be; files are ``0001.dcm``, ``0002.dcm`` ...
    series_uid
        SeriesInstanceUID; by default made from the phantom, so that the same
        phantom has the same UIDs (root 2.25, PS3.5 B.2).
    signed
        Pixels as signed 16 bit with intercept 0, or as unsigned with -1024.

    Returns
    -------
    The files, in the order of the slices.

    References
    ----------
    DICOM PS3.3 A.3 (CT Image IOD), C.7.6.2 (Image Plane), C.8.2.1 (CT Image).
    """
    folder.mkdir(parents=True, exist_ok=True)
    series = series_uid or _uid(phantom, "series")
    common = _common(phantom, series, signed)
    paths = []
    for index in range(len(phantom.hu)):
        path = folder / f"{index + 1:04d}.dcm"
        _slice(common, phantom, series, index, signed).save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _uid(phantom: Phantom, *parts: object) -> str:
    digest = hashlib.sha256(phantom.hu.tobytes() if not parts else b"")
    digest.update(repr((phantom.seed, phantom.anatomy.value, phantom.hu.shape)).encode())
    digest.update(repr((phantom.spacing, phantom.po, parts)).encode())
    return f"2.25.{int.from_bytes(digest.digest()[:15], 'big')}"


def _common(phantom: Phantom, series: str, signed: bool) -> Dataset:
    """What all slices of the series share."""
    data = Dataset()
    name = phantom.anatomy.value.upper()
    data.SpecificCharacterSet = "ISO_IR 100"
    data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.SOPClassUID = CTImageStorage
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = data.ContentDate = _DATE
    data.StudyTime = data.SeriesTime = data.AcquisitionTime = data.ContentTime = _TIME
    data.AccessionNumber = ""
    data.Modality = "CT"
    data.Manufacturer = "Breathhold"
    data.ManufacturerModelName = "Phantom"
    data.ReferringPhysicianName = ""
    data.StudyDescription = f"Phantom {name.lower()}"
    data.SeriesDescription = f"Phantom {name.lower()} {phantom.spacing[0]:g} mm"
    data.PatientName = f"PHANTOM^{name}"
    data.PatientID = f"PHANTOM-{phantom.seed}"
    data.PatientBirthDate = ""
    data.PatientSex = "O"
    data.BodyPartExamined = name
    data.PatientPosition = "HFS"
    data.KVP = "120"
    data.ConvolutionKernel = "STANDARD"
    data.StudyInstanceUID = _uid(phantom, "study", series)
    data.SeriesInstanceUID = series
    data.FrameOfReferenceUID = _uid(phantom, "frame", series)
    data.PositionReferenceIndicator = ""
    data.StudyID = "1"
    data.SeriesNumber = 2
    data.AcquisitionNumber = 1
    data.update(_geometry(phantom))
    data.update(_pixels(phantom, signed))
    return data


def _geometry(phantom: Phantom) -> Dataset:
    data = Dataset()
    dz, dy, dx = phantom.spacing
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data.PixelSpacing = [dy, dx]
    data.SliceThickness = dz
    data.SpacingBetweenSlices = dz
    return data


def _pixels(phantom: Phantom, signed: bool) -> Dataset:
    data = Dataset()
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = phantom.hu.shape[1:]
    data.BitsAllocated = 16
    data.BitsStored = 16 if signed else 12
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(signed)
    data.RescaleIntercept = 0 if signed else -1024
    data.RescaleSlope = 1
    data.RescaleType = "HU"
    data.WindowCenter = -600
    data.WindowWidth = 1500
    return data


def _slice(common: Dataset, phantom: Phantom, series: str, index: int, signed: bool) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = pydicom.uid.UID(_uid(phantom, "slice", series, index))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = pydicom.uid.UID(_IMPLEMENTATION)
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.update(common)
    dz, dy, dx = phantom.spacing
    rows, columns = phantom.hu.shape[1:]
    place = [-dx * (columns - 1) / 2, -dy * (rows - 1) / 2, dz * index]
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.InstanceNumber = index + 1
    data.ImagePositionPatient = [round(value, 4) for value in place]
    data.SliceLocation = round(place[2], 4)
    stored = phantom.hu[index].astype(np.int32) - int(common.RescaleIntercept)
    data.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()
    return data
