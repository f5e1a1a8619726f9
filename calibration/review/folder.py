"""Where a review keeps what: exported scans, corrected cases, models, runs, the ledger."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from appliance.followup.patients import PatientKeys, load_salt
from appliance.storage.errors import StateLockedError
from appliance.storage.lock import StateLock
from calibration.review.ledger import Ledger
from engines.folder import replace_file

_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}")
_COLUMNS = ("case", "patient")


class ReviewError(Exception):
    """What cannot be reviewed, and why."""


@dataclass(frozen=True, slots=True)
class ReviewScan:
    """One exported scan.

    Parameters
    ----------
    scan_id
        Of the appliance.
    patient
        Salted hash of the patient's id; the scan id where there is none.
    uids
        SOP Instance UIDs of the slices, foot to head.
    places
        Where these lie along the third axis of the volumes; what lies between is a gap.
    orientation, corners
        ImageOrientationPatient of the slices, and ImagePositionPatient of each, LPS in mm.
    models
        What drew the masks: name, version and precision by role.
    """

    scan_id: str
    patient: str
    uids: tuple[str, ...]
    places: tuple[int, ...]
    orientation: tuple[float, ...]
    corners: tuple[tuple[float, ...], ...]
    models: Mapping[str, str] = field(default_factory=dict)


class ReviewFolder:
    """A folder of a review.

    Parameters
    ----------
    path
        Made when something is written into it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = Ledger(path / "ledger.jsonl")

    @property
    def cases(self) -> Path:
        """Corrected scans, in the layout that training and evaluation read."""
        return self.path / "cases"

    @property
    def models(self) -> Path:
        """The site's own copy of the model repository."""
        return self.path / "models"

    def run(self, iteration: int) -> Path:
        return self.path / "runs" / str(iteration)

    def scan_folder(self, scan_id: str) -> Path:
        if not _NAME.fullmatch(scan_id):
            raise ReviewError(f"{scan_id!r} is no scan id")
        return self.path / "scans" / scan_id

    def save_scan(self, scan: ReviewScan) -> Path:
        """Write ``scan.json`` of an exported scan."""
        path = self.scan_folder(scan.scan_id) / "scan.json"
        replace_file(path, json.dumps(asdict(scan), indent=1).encode() + b"\n")
        return path

    def load_scan(self, scan_id: str) -> ReviewScan:
        """An exported scan.

        Raises
        ------
        ReviewError
            When it was not exported into this folder.
        """
        path = self.scan_folder(scan_id) / "scan.json"
        if not path.is_file():
            raise ReviewError(
                f"{scan_id} was not exported into {self.path}; export it first "
                "(breathhold review export)"
            )
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return ReviewScan(
                str(content["scan_id"]),
                str(content["patient"]),
                tuple(str(uid) for uid in content["uids"]),
                tuple(int(place) for place in content["places"]),
                tuple(map(float, content["orientation"])),
                tuple(tuple(map(float, corner)) for corner in content["corners"]),
                dict(content["models"]),
            )
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise ReviewError(f"{path} is damaged: {error}") from error

    def patient_key(self, patient_id: str) -> str:
        """A hash by which scans of one patient are known, with this folder's own salt.

        Raises
        ------
        SaltError
            When the salt cannot be read or made.
        """
        return PatientKeys(load_salt(self.path / "salt")).key(patient_id)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One training or rollback at a time.

        Raises
        ------
        ReviewError
            When another is under way.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            lock = StateLock(self.path / "lock")
        except StateLockedError as error:
            raise ReviewError(
                f"another training or rollback is under way in {self.path}"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def note_case(self, case: str, patient: str) -> None:
        """Say in ``cases.csv`` whose a case is."""
        path = self.cases / "cases.csv"
        patients = self._patients(path) | {case: patient}
        text = io.StringIO(newline="")
        csv.writer(text).writerows([_COLUMNS, *sorted(patients.items())])
        replace_file(path, text.getvalue().encode())

    @staticmethod
    def _patients(path: Path) -> dict[str, str]:
        if not path.is_file():
            return {}
        with path.open(newline="", encoding="utf-8") as file:
            return {row["case"]: row["patient"] for row in csv.DictReader(file)}
