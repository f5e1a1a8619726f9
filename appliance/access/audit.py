"""The audit trail: who did what, when, and with what outcome.

One JSON object a line, append-only. Events, types, actions and outcomes are those of DICOM's
Audit Trail Message Format (PS3.15 A.5.1, codes in PS3.16 CID 400 and 401). No line names a
patient; scans are named by the appliance's own ids, and by their DICOM UIDs only where the
configuration says so. A line with a `Count` stands for so many events like it.
"""

from __future__ import annotations

import datetime
import enum
import json
import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from prometheus_client import Counter

from appliance.access.repeats import Line, Pace, Repeats
from appliance.access.trail_files import TrailFiles
from appliance.config import AuditConfig

logger = logging.getLogger(__name__)

_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3600.0, 86400.0
#: So many different repeated events are counted apart.
_MOST_REPEATS = 128


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


#: What repeats, and how often it is written down; all other events are, each time.
_ASKED = Pace(first=1, every_s=_HOUR_S)
_DONE = Pace(first=10, every_s=_MINUTE_S)
_FAILED = Pace(first=1, every_s=_MINUTE_S)
_PACES: Mapping[Event, tuple[Pace, Pace]] = {  # when it succeeds, when it fails
    Event.ASKED: (_ASKED, _FAILED),
    Event.READ: (_DONE, _FAILED),
    Event.RECEIVED: (_DONE, _FAILED),
    Event.DENIED: (_FAILED, _FAILED),
}
#: What is left out of a line that counts more callers than one.
_OF_ONE_CALLER = {"UserID", "NetworkAccessPointID", "Method", "EventOutcomeDescription", "ScanID"}
_OF_ONE_CALLER |= {"UIDs"}
#: Event, who, from where, method, outcome, why, scan: what makes two events alike.
_Kind = tuple[Event, str, str, str, Outcome, str, str]


class AuditTrail:
    """Appends events to ``audit.jsonl`` in a folder. Safe from any thread.

    A caller that asks, or fails, again and again is written down at once, and then as one
    line with the number of times; see `_PACES`. An event that cannot be written is logged and
    counted, and stops nothing.

    Parameters
    ----------
    folder
        Made where it is missing.
    config
        How large, how many, for how long, and whether UIDs are named.
    failures
        Counts events that could not be written.
    dropped
        Counts files that were dropped before their time.
    clock
        s, goes only forward.
    """

    def __init__(
        self,
        folder: Path,
        config: AuditConfig,
        failures: Counter | None = None,
        dropped: Counter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failures = failures or Counter("failures", "", registry=None)
        dropped = dropped or Counter("dropped", "", registry=None)
        self._files = TrailFiles(folder, config, self._failures, dropped)
        self._uids, self._clock = config.uids, clock
        self._source = socket.gethostname()
        self._repeats = Repeats(_MOST_REPEATS)
        self._tidy_next = clock() + _HOUR_S
        self._lock = threading.Lock()

    @property
    def path(self) -> Path:
        return self._files.path

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
            "UIDs": dict(uids or {}) if self._uids else {},
        }
        told = {name: value for name, value in line.items() if value not in ("", None, {})}
        kind_of = (event, who, _host(address), method, outcome, why, scan_id)
        with self._lock:
            now = self._clock()
            self._settle(now)
            if event in _PACES:
                self._write_or_count(told, kind_of, now)
            else:
                self._write(told)

    def settle(self, *, at_the_end: bool = False) -> None:
        """Write down what was counted for long enough, and drop what was kept for long enough.

        Parameters
        ----------
        at_the_end
            Write down what was counted for a shorter time, too.
        """
        with self._lock:
            now = self._clock()
            self._settle(now, at_the_end=at_the_end)
            if now >= self._tidy_next:
                self._tidy_next = now + _DAY_S
                self._tidy()

    def _write_or_count(self, line: Line, kind_of: _Kind, now: float) -> None:
        event, outcome = kind_of[0], kind_of[4]
        succeeded = outcome is Outcome.SUCCESS
        pace = _PACES[event][0 if succeeded else 1]
        repeat = self._repeats.find(kind_of, pace, now)
        if repeat is None and succeeded and event is not Event.ASKED:
            self._write(line)  # who did what is never merged with what another did
        elif repeat is None:
            others = self._repeats.find_always((event, outcome), pace, now)
            others.add({name: line[name] for name in line.keys() - _OF_ONE_CALLER})
        elif not repeat.full and self._write(line):
            repeat.written += 1
        else:
            repeat.add(line)

    def _settle(self, now: float, *, at_the_end: bool = False) -> None:
        for repeat in self._repeats.due(math.inf if at_the_end else now):
            if self._write(repeat.summed):
                repeat.begin_anew(now)
            else:
                repeat.try_again(now)

    def _write(self, line: Line) -> bool:
        try:
            self._files.append(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        except OSError as error:
            logger.error("an audit event could not be written: %s", error)
            self._failures.inc()
            return False
        return True

    def _tidy(self) -> None:
        try:
            self._files.tidy(time.time())
        except OSError as error:
            logger.error("the audit trail could not be tidied: %s", error)


def _host(address: str) -> str:
    """Of where a call comes from: gRPC says ``ipv4:HOST:PORT``, HTTP says ``HOST``."""
    return address.rpartition(":")[0] if address.startswith(("ipv4:", "ipv6:")) else address
