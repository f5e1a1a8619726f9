"""Where a review keeps what: exported scans, corrected cases, models, runs, the ledger."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from calibration.review.ledger import Ledger

_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,127}")
_COLUMNS = ("case", "patient")
_KEY_BYTES, _SALT_BYTES = 8, 32


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
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(scan), indent=1) + "\n", encoding="utf-8")
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
        """A hash by which scans of one patient are known, with this folder's own salt."""
        salt = self.path / "salt"
        if not salt.is_file():
            self.path.mkdir(parents=True, exist_ok=True)
            salt.touch(mode=0o600)
            salt.write_bytes(secrets.token_bytes(_SALT_BYTES))
        key = salt.read_bytes()
        return hashlib.blake2b(patient_id.encode(), key=key, digest_size=_KEY_BYTES).hexdigest()

    def note_case(self, case: str, patient: str) -> None:
        """Say in ``cases.csv`` whose a case is."""
        path = self.cases / "cases.csv"
        patients = self._patients(path) | {case: patient}
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(_COLUMNS)
            writer.writerows(sorted(patients.items()))

    @staticmethod
    def _patients(path: Path) -> dict[str, str]:
        if not path.is_file():
            return {}
        with path.open(newline="", encoding="utf-8") as file:
            return {row["case"]: row["patient"] for row in csv.DictReader(file)}
