"""A patient's key: a salted hash, by which scans of one patient are linked without any id.

The salt is made once a box and never leaves it. Without it, a key cannot be made from an
id, not even by trying all ids.

References
----------
RFC 2104 (HMAC). DICOM PS3.3 C.7.1.1: a patient id is unique only within its issuer.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from appliance.storage import files
from appliance.storage.errors import StorageError

SALT_NAME = "patient-salt"
_SALT_BYTES = 32
_LEAST_SALT_BYTES = 16
_KEY_CHARACTERS = 32


class SaltError(StorageError):
    """The salt of the patients' keys cannot be read or made, or is too short."""


def load_salt(path: Path) -> bytes:
    """Read the salt; make it, for its owner's eyes alone, where there is none yet.

    Parameters
    ----------
    path
        In the state folder, or a credential.

    Raises
    ------
    SaltError
    """
    try:
        if not path.exists():
            _make(path)
        salt = path.read_bytes()
    except OSError as error:
        raise SaltError(f"the salt of the patients' keys, {path}: {error.strerror}") from error
    if len(salt) < _LEAST_SALT_BYTES:
        raise SaltError(
            f"the salt of the patients' keys, {path}, has {len(salt)} bytes and needs "
            f"{_LEAST_SALT_BYTES}: remove it, and a new one is made; earlier scans are then "
            "no longer linked to later ones"
        )
    return salt


def _make(path: Path) -> None:
    """Whole or not at all, and never in place of another."""
    files.make_folder(path.parent)
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = files.create_file(unfinished)
    try:
        files.write_all(descriptor, [secrets.token_bytes(_SALT_BYTES)], 0)
        files.sync_data(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(unfinished, path)
    finally:
        os.close(descriptor)
        unfinished.unlink()
    files.sync_folder(path.parent)


class PatientKeys:
    """Makes the keys of patients.

    Parameters
    ----------
    salt
        Of this box (:func:`load_salt`).
    """

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    def key(self, patient_id: str, issuer: str = "") -> str:
        """The key of a patient, 32 hexadecimal digits; empty for an empty id.

        Spaces around id and issuer mean nothing (PS3.5 table 6.2-1, LO).
        """
        patient_id, issuer = patient_id.strip(), issuer.strip()
        if not patient_id:
            return ""
        named = f"{len(issuer)}:{issuer}{patient_id}".encode()
        return hmac.new(self._salt, named, hashlib.sha256).hexdigest()[:_KEY_CHARACTERS]
