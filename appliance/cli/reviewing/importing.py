"""Takes corrected masks as a labelled case."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.errors import InvalidDicomError

from appliance.cli.errors import CliError
from appliance.cli.reviewing.exporting import drawn_mask
from appliance.cli.reviewing.segmentation import Grid, read_segmentation
from calibration.evaluation import EvaluationError
from calibration.evaluation.volumes import Volume, check_grid, read_volume
from calibration.review import ReviewFolder, ReviewScan
from calibration.review.cases import write_case
from engines.training.cases import UNLABELLED

Label = npt.NDArray[np.uint8]
#: Values that a corrected label may hold: none; marked, or marked as consolidation; not looked at.
_VALUES = (0, 1, 2, UNLABELLED)


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a corrected scan; Dice of the appliance's masks against it, by name."""

    case: str
    folder: Path
    dice: dict[str, float]
    minutes: float | None

    @property
    def record(self) -> dict[str, object]:
        """For JSON and the ledger."""
        return {
            "event": "imported",
            "scan": self.case,
            "corrected": sorted(self.dice),
            "dice_before_correction": self.dice,
            "minutes": self.minutes,
        }


def import_masks(
    review: ReviewFolder, scan_id: str, file: Path, kind: str, minutes: float | None
) -> Imported:
    """Check a corrected file against the exported scan, and keep it as a case.

    Parameters
    ----------
    review
        The folder that the scan was exported into.
    scan_id
        Which scan.
    file
        NIfTI of one label, or a DICOM Segmentation.
    kind
        "lesion" or "lung": what a NIfTI file shows.
    minutes
        Spent on correcting, if known.

    Raises
    ------
    CliError
        When the file does not lie on the scan's grid, or holds other labels.
    """
    scan = review.load_scan(scan_id)
    exported = review.scan_folder(scan_id)
    try:
        image = read_volume(exported / "image.nii.gz")
        files = _corrected(file, kind, scan, exported)
        corrected = {name: _read_label(path, image) for name, path in files.items()}
        before = {name: _read_label(drawn_mask(exported, name), image) for name in corrected}
        for name, path in files.items():
            nibabel.save(nibabel.load(path), _kept(exported, name))
        labels = _all_labels(exported, image)
    except EvaluationError as error:
        raise CliError(str(error)) from error
    _mark_gaps(labels, scan)
    folder = review.cases / scan_id
    write_case(folder, image, labels)
    review.note_case(scan_id, scan.patient)
    dice = {name: round(_dice(before[name], label), 4) for name, label in corrected.items()}
    imported = Imported(scan_id, folder, dice, minutes)
    review.ledger.add(imported.record)
    return imported


def _corrected(file: Path, kind: str, scan: ReviewScan, exported: Path) -> dict[str, Path]:
    """NIfTI files by what they show."""
    if not file.is_file():
        raise CliError(f"{file} does not exist")
    if not _is_dicom(file):
        return {kind: file}
    grid = Grid(scan.orientation, dict(zip(scan.uids, scan.corners, strict=True)))
    found = read_segmentation(file, grid)
    return {name: _as_volume(planes, scan, exported, name) for name, planes in found.items()}


def _as_volume(planes: npt.NDArray[np.bool_], scan: ReviewScan, exported: Path, name: str) -> Path:
    """Planes as the slices were sent, on the grid of the exported volume."""
    like = nibabel.load(drawn_mask(exported, name))
    columns, rows, _ = like.shape
    if planes.shape[1:] != (rows, columns):
        raise CliError(
            f"the segmentation has {planes.shape[1]} x {planes.shape[2]} pixels, "
            f"the scan {rows} x {columns}"
        )
    volume = np.zeros(like.shape, np.uint8)
    for place, plane in zip(scan.places, planes, strict=True):
        volume[:, :, place] = plane.T
    path = _kept(exported, name)
    nibabel.save(nibabel.Nifti1Image(volume, like.affine), path)
    return path


def _kept(exported: Path, name: str) -> Path:
    return exported / f"corrected-{name}.nii.gz"


def _is_dicom(file: Path) -> bool:
    try:
        pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SOPClassUID"])
    except InvalidDicomError:
        return False
    return True


def _read_label(path: Path, image: Volume) -> Label:
    """A label in the standard view: 0, 1 or 255."""
    volume = read_volume(path)
    check_grid(path, volume, image)
    other = np.setdiff1d(volume.values, _VALUES)
    if other.size:
        values = ", ".join(f"{value:g}" for value in other[:5])
        raise CliError(
            f"{path}: a corrected label holds 0, 1, 2 (consolidation) and {UNLABELLED} "
            f"(not looked at), this one also {values}"
        )
    unknown = volume.values == UNLABELLED
    return np.where(unknown, UNLABELLED, volume.values > 0).astype(np.uint8)


def _all_labels(exported: Path, image: Volume) -> dict[str, Label]:
    """What was corrected so far; else the lung as the appliance drew it, and lesions unknown."""
    lesion = np.full(image.values.shape, UNLABELLED, np.uint8)
    if _kept(exported, "lesion").is_file():
        lesion = _read_label(_kept(exported, "lesion"), image)
    corrected = _kept(exported, "lung")
    lung = _read_label(corrected if corrected.is_file() else drawn_mask(exported, "lung"), image)
    lung[(lesion == 1) & (lung == 0)] = 1
    return {"lung": lung, "lesion": lesion}


def _mark_gaps(labels: dict[str, Label], scan: ReviewScan) -> None:
    """Nobody looked at slices that are not there."""
    count = len(next(iter(labels.values())))
    there = np.zeros(count, bool)
    there[list(scan.places)] = True
    if count == scan.places[-1] + 1:
        for label in labels.values():
            label[~there] = UNLABELLED


def _dice(one: Label, other: Label) -> float:
    known = other != UNLABELLED
    mine, theirs = (one == 1) & known, (other == 1) & known
    total = int(mine.sum()) + int(theirs.sum())
    return 2 * int((mine & theirs).sum()) / total if total else 1.0
