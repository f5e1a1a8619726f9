"""Labelled cases on disk and in memory.

A case is a folder with ``image.nii.gz`` (HU), ``lesion.nii.gz`` and
``lung.nii.gz``; arrays (x, y, z), x from patient right to left, y from front to
back, z from foot to head. 255 in a label means that nobody looked.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import numpy.typing as npt

#: Label of what nobody labelled; never background.
UNLABELLED = 255
#: Two reconstructions of one patient must not part; used where cases.csv does not say.
_SAME_PATIENT = {"medseg2": "radiopaedia10", "medseg3": "radiopaedia10"}


@dataclass(frozen=True, eq=False)
class Case:
    """One scan with its labels.

    Parameters
    ----------
    name, patient
        Folder, and whom it shows: cases of one patient stay together.
    hu
        int16, shape (slices, rows, columns), foot to head.
    lesion, lung
        uint8, shape of `hu`: 0, 1 or :data:`UNLABELLED`.
    spacing
        Distance between slices, mm.
    lesion_b
        A second annotation of the same scan, like `lesion`; None where there is none.
    synthetic
        A phantom: only a small share of what is trained on.
    """

    name: str
    patient: str
    hu: npt.NDArray[np.int16]
    lesion: npt.NDArray[np.uint8]
    lung: npt.NDArray[np.uint8]
    spacing: float
    synthetic: bool
    lesion_b: npt.NDArray[np.uint8] | None = None


def load_cases(folders: Iterable[Path]) -> list[Case]:
    """All cases under the data folders, by name.

    Raises
    ------
    FileNotFoundError
        When a data folder holds no case.
    ValueError
        See :func:`patients_of`.
    """
    cases = []
    for folder in folders:
        found = sorted(path.parent for path in folder.glob("*/image.nii.gz"))
        if not found:
            raise FileNotFoundError(f"no case (folder with image.nii.gz) under {folder}")
        patients = patients_of(folder, [path.name for path in found])
        cases += [load_case(path, patients[path.name]) for path in found]
    return cases


def load_case(folder: Path, patient: str) -> Case:
    """One case of a patient."""
    image = nibabel.load(folder / "image.nii.gz")
    name, second = folder.name, folder / "lesion_b.nii.gz"
    return Case(
        name=name,
        patient=patient,
        hu=_read(folder / "image.nii.gz"),
        lesion=_binary(_read(folder / "lesion.nii.gz")),
        lung=_binary(_read(folder / "lung.nii.gz")),
        spacing=float(image.header.get_zooms()[2]),
        synthetic=name.startswith("phantom"),
        lesion_b=_binary(_read(second)) if second.is_file() else None,
    )


def split(cases: list[Case], held_out: Iterable[str]) -> tuple[list[Case], list[Case]]:
    """Cases to train on and cases held out, by patient.

    Parameters
    ----------
    cases
        All of them.
    held_out
        Names of patients, or of cases: the patient's other cases go with them.

    Raises
    ------
    ValueError
        When a name matches nothing.
    """
    patients = patients_meant({case.name: case.patient for case in cases}, held_out)
    return (
        [c for c in cases if c.patient not in patients],
        [c for c in cases if c.patient in patients],
    )


def deal(cases: Iterable[Case], folds: int) -> list[list[str]]:
    """Patients for a cross-validation: dealt in turn, by name, so that no choice is made.

    Parameters
    ----------
    cases
        Of whom; phantoms are nobody.
    folds
        Number of parts.
    """
    patients = sorted({case.patient for case in cases if not case.synthetic})
    return [patients[first::folds] for first in range(folds)]


def patients_of(data: Path, names: Iterable[str]) -> dict[str, str]:
    """The patient of each case, from ``cases.csv`` of a data folder; by default the case itself.

    Raises
    ------
    ValueError
        When the file does not say whose each case is.
    """
    table = _table(data / "cases.csv")
    return {name: table.get(name) or _SAME_PATIENT.get(name, name) for name in names}


def patients_meant(patients: Mapping[str, str], names: Iterable[str]) -> set[str]:
    """The patients that names of patients, or of cases, mean.

    Parameters
    ----------
    patients
        By case.
    names
        Of either.

    Raises
    ------
    ValueError
        When a name matches nothing.
    """
    wanted = set(names)
    if unknown := wanted - patients.keys() - set(patients.values()):
        raise ValueError(f"no such patient or case: {', '.join(sorted(unknown))}")
    return {patient for case, patient in patients.items() if {case, patient} & wanted}


def _table(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if missing := {"case", "patient"} - set(rows.fieldnames or ()):
            raise ValueError(f"{path} has no column {' and no '.join(sorted(missing))}")
        return {row["case"]: row["patient"] for row in rows}


def _read(path: Path) -> npt.NDArray[np.int16]:
    return np.ascontiguousarray(np.asarray(nibabel.load(path).dataobj, np.int16).transpose(2, 1, 0))


def _binary(label: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """0, 1 or 255 of a label with several classes."""
    return np.where(label == UNLABELLED, UNLABELLED, label > 0).astype(np.uint8)
