"""What a caller says of a scan when it opens it, checked before anything is done."""

from __future__ import annotations

import math
import re

from appliance.live.errors import CallStatus, ScanError
from breathhold.v1 import scan_pb2 as pb

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_UID_LENGTH = 64
_STATION_LENGTH = 64
_PATIENT_ID_LENGTH = 64


def check_opening(request: pb.OpenScan) -> None:
    """Check that nothing in the request is malformed (UIDs: DICOM PS3.5 section 9).

    Raises
    ------
    ScanError
        INVALID_ARGUMENT, naming what is wrong.
    """
    if not is_uid(request.series_instance_uid):
        raise ScanError(
            CallStatus.INVALID_ARGUMENT,
            "MALFORMED_UID",
            "OpenScan needs a Series Instance UID: digits and dots, at most 64 characters.",
        )
    study = request.study_instance_uid
    if study and not is_uid(study):
        raise ScanError(
            CallStatus.INVALID_ARGUMENT, "MALFORMED_UID", "The Study Instance UID is malformed."
        )
    if len(request.station) > _STATION_LENGTH or not request.station.isprintable():
        raise ScanError(
            CallStatus.INVALID_ARGUMENT,
            "MALFORMED_STATION",
            f"A station name has at most {_STATION_LENGTH} printable characters.",
        )
    _check_patient(request)


def _check_patient(request: pb.OpenScan) -> None:
    """Raise for a patient id or time of acquisition that none can be; neither is repeated."""
    if len(request.patient_id) > _PATIENT_ID_LENGTH or not request.patient_id.isprintable():
        raise ScanError(
            CallStatus.INVALID_ARGUMENT,
            "MALFORMED_PATIENT_ID",
            f"A patient id has at most {_PATIENT_ID_LENGTH} printable characters.",
        )
    if not 0 <= request.acquired_unix_s < math.inf:
        raise ScanError(
            CallStatus.INVALID_ARGUMENT,
            "MALFORMED_TIME",
            "The time of acquisition is given in seconds since 1970.",
        )


def is_uid(text: str) -> bool:
    """True for a well-formed DICOM UID."""
    return len(text) <= _UID_LENGTH and _UID.fullmatch(text) is not None
