"""Writes a scan and its masks for an annotator."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pydicom

from appliance.cli.errors import CliError
from appliance.cli.masks.nifti import affine, grid_places, write_volume
from appliance.cli.reviewing.images import Image, images_in_folder, images_in_spool
from appliance.client import ScanClient, mask_plane
from appliance.scan.geometry import SliceGeometry
from breathhold.v1 import types_pb2
from calibration.review import ReviewFolder, ReviewScan

_KINDS = {"lung": types_pb2.MASK_KIND_LUNG, "lesion": types_pb2.MASK_KIND_LESION}
_AIR_HU = -1024
SEGMENTATION = "masks.seg.dcm"


@dataclass(frozen=True, slots=True)
class Exported:
    """The files of one scan; `without_dicom` says why there is no segmentation, if so."""

    scan_id: str
    folder: Path
    files: tuple[Path, ...]
    without_dicom: str = ""

    @property
    def record(self) -> dict[str, object]:
        """For JSON."""
        return {
            "event": "exported",
            "scan_id": self.scan_id,
            "folder": str(self.folder),
            "files": [path.name for path in self.files],
            "without_dicom": self.without_dicom,
        }


def export_scan(
    client: ScanClient,
    scan: str,
    review: ReviewFolder,
    dicom: Path | None,
    state: Path | None,
) -> Exported:
    """Write ``image``, ``lung`` and ``lesion.nii.gz``, and the masks as DICOM, into the folder.

    Parameters
    ----------
    client, scan
        Where the report is, and of which scan.
    review
        Gets ``scans/<scan id>``.
    dicom, state
        Where the images are: the folder the scan was sent from, or an appliance's state.

    Raises
    ------
    CliError
        When there are no masks or no images, or exported masks were changed since.
    ClientError
        When the appliance has no report of the scan.
    """
    report = client.report(scan)
    masks = {name: client.masks(report.scan_id, kind) for name, kind in _KINDS.items()}
    uids = [mask.sop_instance_uid for mask in masks["lung"]]
    if not uids:
        raise CliError("the scan has no slices to review")
    images = _images(report, uids, dicom, state)
    planes = {name: [mask_plane(mask) for mask in of_kind] for name, of_kind in masks.items()}
    geometry = [image.slice.header.geometry for image in images]
    models = {
        role: f"{model.name} {model.version} {model.precision}"
        for role, model in report.models.items()
    }
    scan_id = report.scan_id
    _refuse_changed(review.scan_folder(scan_id))
    known = ReviewScan(
        scan_id,
        _patient(review, images, scan_id),
        tuple(uids),
        tuple(grid_places(geometry)),
        geometry[0].orientation,
        tuple(one.position for one in geometry),
        models,
    )
    folder = review.save_scan(known).parent
    files = _write_volumes(folder, images, planes, geometry)
    reason = _write_segmentation(folder / SEGMENTATION, images, planes, models)
    if not reason:
        files = (*files, folder / SEGMENTATION)
    return Exported(scan_id, folder, files, reason)


def drawn_mask(folder: Path, name: str) -> Path:
    """The mask as the appliance drew it, for when the one beside it is corrected in its place."""
    return folder / "drawn" / f"{name}.nii.gz"


def _refuse_changed(folder: Path) -> None:
    """Raise CliError when somebody has corrected an exported mask in its place."""
    for name in _KINDS:
        path, drawn = folder / f"{name}.nii.gz", drawn_mask(folder, name)
        if path.is_file() and drawn.is_file() and path.read_bytes() != drawn.read_bytes():
            raise CliError(
                f"{path} was changed since it was exported, and would be lost: "
                "import it and remove it, or export into another folder"
            )


def _images(
    report: types_pb2.Report, uids: Sequence[str], dicom: Path | None, state: Path | None
) -> list[Image]:
    if dicom is not None:
        return images_in_folder(dicom, uids)
    if state is not None:
        return images_in_spool(state, report.scan_id, report.series_instance_uid, uids)
    raise CliError("export needs the images: --dicom FOLDER, or --state DIR of the appliance")


def _patient(review: ReviewFolder, images: Sequence[Image], scan_id: str) -> str:
    if not images[0].dicom:
        return scan_id
    header = pydicom.dcmread(
        BytesIO(images[0].dicom), stop_before_pixels=True, specific_tags=["PatientID"]
    )
    patient = str(header.get("PatientID") or "")
    return review.patient_key(patient) if patient else scan_id


def _write_volumes(
    folder: Path,
    images: Sequence[Image],
    planes: dict[str, list[npt.NDArray[np.bool_]]],
    geometry: Sequence[SliceGeometry],
) -> tuple[Path, ...]:
    paths = [folder / "image.nii.gz"]
    try:
        _write_image(paths[0], images, geometry)
        for name, of_kind in planes.items():
            paths.append(folder / f"{name}.nii.gz")
            write_volume(paths[-1], of_kind, geometry)
            drawn = drawn_mask(folder, name)
            drawn.parent.mkdir(exist_ok=True)
            shutil.copyfile(paths[-1], drawn)
    except ValueError as error:
        raise CliError(f"the scan cannot be written as one volume: {error}") from error
    return tuple(paths)


def _write_image(path: Path, images: Sequence[Image], geometry: Sequence[SliceGeometry]) -> None:
    places = grid_places(geometry)
    rows, columns = images[0].slice.hu.shape
    volume = np.full((columns, rows, places[-1] + 1), _AIR_HU, np.int16)
    for place, image in zip(places, images, strict=True):
        volume[:, :, place] = image.slice.hu.T
    matrix = affine(geometry, places)
    nifti = nibabel.Nifti1Image(volume, matrix)
    nifti.set_sform(matrix, code=1)
    nifti.set_qform(matrix, code=1, strip_shears=True)
    nifti.header.set_xyzt_units("mm")
    nibabel.save(nifti, path)


def _write_segmentation(
    path: Path,
    images: Sequence[Image],
    planes: dict[str, list[npt.NDArray[np.bool_]]],
    models: dict[str, str],
) -> str:
    """Why it was not written; empty when it was."""
    if not all(image.dicom for image in images):
        return (
            "the scan was sent without DICOM, so there is nothing that a DICOM segmentation "
            "could refer to; correct the NIfTI masks"
        )
    from appliance.cli.reviewing.segmentation import write_segmentation

    masks = {name: np.stack(of_kind) for name, of_kind in planes.items()}
    try:
        write_segmentation(path, [image.dicom for image in images], masks, models)
    except CliError as error:
        return str(error)
    return ""
