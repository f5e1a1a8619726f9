"""Labelled cases as an evaluation reads them: any in-plane size, any axis order, labels optional.

A case is a folder with ``image.nii.gz`` (HU) and, each where it exists,
``lesion.nii.gz``, ``lung.nii.gz`` and ``lesion_b.nii.gz`` (a second annotation);
255 in a label means that nobody looked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from appliance.ingest.digest import digest_slice
from appliance.scan.geometry import GeometryError, SliceGeometry
from appliance.scan.slice import Slice, SliceHeader
from appliance.scan.stack import section_of
from calibration.evaluation.errors import EvaluationError
from calibration.evaluation.volumes import find_volume, read_label, read_spacing, read_volume
from engines.training.cases import UNLABELLED

Label = npt.NDArray[np.uint8]
_AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
#: Label values that are lesion: ground glass, consolidation.
_LESION = (1, 2)
#: Label values that are lung: one for both, or right and left.
_LUNG = (1, 2)
#: A chest CT without anything below this is not in HU.
_AIR_HU = -500


@dataclass(frozen=True, eq=False)
class LabelledCase:
    """One scan with what is known of it.

    Parameters
    ----------
    name
        Its folder.
    hu
        int16, shape (slices, rows, columns): foot to head, front to back, patient
        right to left.
    lesion, lung
        uint8, shape of `hu`: 0, 1 or 255 (not labelled).
    lesion_b
        A second annotation of the lesion, None where there is none.
    spacing_mm
        Distance between slices, rows and columns.
    """

    name: str
    hu: npt.NDArray[np.int16]
    lesion: Label
    lung: Label
    lesion_b: Label | None
    spacing_mm: tuple[float, float, float]

    @property
    def pixel_ml(self) -> float:
        """The volume one pixel stands for."""
        dz, dy, dx = self.spacing_mm
        return dz * dy * dx / 1000


def find_cases(data: Path, names: Collection[str] = ()) -> list[Path]:
    """The folders of the cases under `data`, by name; `data` may be a case itself.

    Parameters
    ----------
    data
        A folder of case folders, or one case.
    names
        Only these; all when empty.

    Raises
    ------
    EvaluationError
        When there is no case, or a name is none.
    """
    if not data.is_dir():
        raise EvaluationError(f"{data} is no folder")
    folders = [data, *sorted(path for path in data.iterdir() if path.is_dir())]
    found = [folder for folder in folders if find_volume(folder, "image")]
    if not found:
        raise EvaluationError(f"{data} holds no case: no image.nii.gz there or one folder below")
    there = {folder.absolute().name for folder in found}
    if unknown := sorted(set(names) - there):
        raise EvaluationError(
            f"{data} has no case {', '.join(unknown)}; there are {', '.join(sorted(there))}"
        )
    return [folder for folder in found if not names or folder.absolute().name in names]


def read_case(folder: Path) -> LabelledCase:
    """Read one case.

    Raises
    ------
    EvaluationError
        When a file cannot be read, is not axial, is not in HU, or when a label
        does not lie on the image's grid or holds other values.
    """
    path = _image_of(folder)
    image = read_volume(path)
    if image.values.min() > _AIR_HU:
        raise EvaluationError(
            f"{path}: the lowest value is {image.values.min():g}, so the image is not in HU"
        )
    unknown = np.full(image.values.shape, UNLABELLED, np.uint8)
    lesion = read_label(folder, "lesion", image, _LESION)
    lung = read_label(folder, "lung", image, _LUNG)
    return LabelledCase(
        name=folder.absolute().name,
        hu=np.clip(np.rint(image.values), -1024, 32767).astype(np.int16),
        lesion=unknown if lesion is None else lesion,
        lung=unknown if lung is None else lung,
        lesion_b=read_label(folder, "lesion_b", image, _LESION),
        spacing_mm=image.spacing_mm,
    )


def section_of_case(folder: Path) -> str:
    """The section of a case, "thin", "medium" or "thick", from its header alone.

    Raises
    ------
    EvaluationError
        When the image cannot be read or is not axial.
    """
    return section_of(read_spacing(_image_of(folder))[0]).value


def _image_of(folder: Path) -> Path:
    path = find_volume(folder, "image")
    if path is None:
        raise EvaluationError(f"{folder} holds no image.nii.gz")
    return path


def slices_of(case: LabelledCase) -> list[Slice]:
    """The case as a scanner would have sent it, foot to head.

    Raises
    ------
    EvaluationError
        When the spacing is none that a scanner has.
    """
    series = f"2.25.{int.from_bytes(hashlib.sha256(case.name.encode()).digest()[:15], 'big')}"
    dz, dy, dx = case.spacing_mm
    rows, columns = case.hu.shape[1:]
    corner = (-dx * (columns - 1) / 2, -dy * (rows - 1) / 2)
    slices = []
    for number, hu in enumerate(case.hu):
        try:
            position = (*corner, number * dz)
            geometry = SliceGeometry(position, _AXIAL, (dy, dx), rows, columns, dz)
        except GeometryError as error:
            raise EvaluationError(f"{case.name}: {error}") from error
        plane = np.ascontiguousarray(hu)
        digest = digest_slice(plane, geometry)
        header = SliceHeader(f"{series}.{number + 1}", series, "", geometry, digest)
        slices.append(Slice(header, plane))
    return slices
