"""The audit trail: who did what, when, and with what outcome.

One JSON object a line, append-only. Events, types, actions and outcomes are those of DICOM's
Audit Trail Message Format (PS3.15 A.5.1, codes in PS3.16 CID 400 and 401). No line names a
patient; scans are named by the appliance's own ids, and by their DICOM UIDs only where the
configuration says so.
"""

from __future__ import annotations

import datetime
import enum
import json
import logging
import os
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import Counter

from appliance.config import AuditConfig
from appliance.failpoints import hit
from appliance.storage.files import FILE_MODE, make_folder

logger = logging.getLogger(__name__)

_MIB = 2**20


class Event(enum.Enum):
    """What happened: EventID of PS3.16 CID 400, EventActionCode, EventTypeCode of CID 401."""

    STARTED = (110100, "Application Activity", "E", 110120, "Application Start")
    STOPPED = (110100, "Application Activity", "E", 110121, "Application Stop")
    RECEIVED = (110104, "DICOM Instances Transferred", "C", None, "")
    READ = (110103, "DICOM Instances Accessed", "R", None, "")
    DELETED = (110105, "DICOM Study Deleted", "D", None, "")
    ASKED = (110112, "Query", "E", None, "")
    DENIED = (110113, "Security Alert", "E", 110132, "Use of Restricted Function")
    TLS_CHANGED = (110113, "Security Alert", "E", 110129, "Security Configuration")
    MODELS_CHANGED = (110113, "Security Alert", "E", 110131, "Software Configuration")


class Outcome(enum.IntEnum):
    """EventOutcomeIndicator (RFC 3881, 5.1.4)."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8
    MAJOR_FAILURE = 12


class AuditTrail:
    """Appends events to ``audit.jsonl`` in a folder. Safe from any thread.

    A file that has grown too large is renamed to ``audit.1.jsonl``, that one to
    ``audit.2.jsonl`` and so on; the oldest is dropped. An event that cannot be written
    is logged and counted, and stops nothing.

    Parameters
    ----------
    folder
        Made where it is missing.
    config
        How large, how many, and whether UIDs are named.
    failures
        Counts events that could not be written.
    """

    def __init__(self, folder: Path, config: AuditConfig, failures: Counter | None = None) -> None:
        self._folder, self._config, self._failures = folder, config, failures
        self._source = socket.gethostname()
        self._lock = threading.Lock()

    @property
    def path(self) -> Path:
        return self._folder / "audit.jsonl"

    def note(
        self,
        event: Event,
        *,
        who: str = "",
        address: str = "",
        method: str = "",
        outcome: Outcome = Outcome.SUCCESS,
        why: str = "",
        scan_id: str = "",
        uids: Mapping[str, str] | None = None,
    ) -> None:
        """Append one event.

        Parameters
        ----------
        who, address
            The caller, by its certificate, and where it calls from.
        method
            What it called.
        why
            The reason of a failure.
        scan_id
            The appliance's id of the scan concerned.
        uids
            Its DICOM UIDs; left out unless the configuration says otherwise.
        """
        identifier, meaning, action, kind, kind_meaning = event.value
        line = {
            "EventDateTime": datetime.datetime.now(datetime.UTC).isoformat(),
            "EventID": {"code": identifier, "scheme": "DCM", "meaning": meaning},
            "EventTypeCode": kind and {"code": kind, "scheme": "DCM", "meaning": kind_meaning},
            "EventActionCode": action,
            "EventOutcomeIndicator": int(outcome),
            "EventOutcomeDescription": why,
            "UserID": who,
            "NetworkAccessPointID": address,
            "AuditSourceID": self._source,
            "Method": method,
            "ScanID": scan_id,
            "UIDs": dict(uids or {}) if self._config.uids else {},
        }
        told = {name: value for name, value in line.items() if value not in ("", None, {})}
        self._append(json.dumps(told, separators=(",", ":")).encode() + b"\n")

    def _append(self, line: bytes) -> None:
        with self._lock:
            try:
                hit("audit")
                make_folder(self._folder)
                self._rotate(len(line))
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                file = os.open(self.path, flags, FILE_MODE)
                try:
                    os.write(file, line)
                finally:
                    os.close(file)
            except OSError as error:
                logger.error("an audit event could not be written: %s", error)
                if self._failures:
                    self._failures.inc()

    def _rotate(self, more: int) -> None:
        if not self.path.exists():
            return
        if self.path.stat().st_size + more <= self._config.file_mib * _MIB:
            return
        for number in range(self._config.files - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))
        if self._config.files > 1:
            self.path.replace(self._numbered(1))
            self._numbered(self._config.files).unlink(missing_ok=True)
        else:
            self.path.unlink()

    def _numbered(self, number: int) -> Path:
        return self._folder / f"audit.{number}.jsonl"
