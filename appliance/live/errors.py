"""What a caller is told when a whole call is refused or broken off."""

from __future__ import annotations

import enum
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from appliance.ingest.errors import ReadersUnavailableError
from appliance.storage.errors import (
    ResultsBusyError,
    ResultsConflictError,
    ResultsCorruptError,
    SpoolVersionError,
    StorageError,
    StorageStalledError,
)

logger = logging.getLogger(__name__)

#: How long until a call that was refused may succeed: another scan ends, slices are
#: forgotten to make room, the daemon is back, models are loaded, memory is free again, storage
#: works again, a disk answers again, s.
_SCAN_ENDS_S, _ROOM_IS_MADE_S, _RESTARTS_S, _MODELS_LOAD_S = 5.0, 60.0, 3.0, 5.0
_MEMORY_IS_FREE_S, _STORAGE_WORKS_S, _DISK_ANSWERS_S = 2.0, 1.0, 10.0
_OF_THE_BOX = (
    "STORAGE_STALLED",
    "NOT_KEPT",
    "RESULTS_NOT_KEPT",
    "RESULTS_UNAVAILABLE",
    "READERS_UNAVAILABLE",
)


class CallStatus(enum.Enum):
    """The gRPC status codes that Breathhold answers with."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    ABORTED = "ABORTED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"


@dataclass(eq=False)
class ScanError(Exception):
    """A call that ends with a status other than OK.

    Parameters
    ----------
    status
        The gRPC status.
    reason
        Machine-readable, for google.rpc.ErrorInfo; stable.
    message
        One sentence a technologist understands.
    metadata
        The values that led to it.
    retry_s
        When it is worth to try again, s; None: at any time, or never.
    """

    status: CallStatus
    reason: str
    message: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    retry_s: float | None = None

    def __str__(self) -> str:
        return self.message

    @property
    def of_the_box(self) -> bool:
        """True when it is no fault of the scan: storage or memory failed in a way that may pass."""
        return self.reason in _OF_THE_BOX and self.retry_s is not None


def taken_over() -> ScanError:
    return ScanError(
        CallStatus.ABORTED,
        "TAKEN_OVER",
        "The same station opened this scan again; the newer call goes on with it.",
    )


def busy(station: str) -> ScanError:
    return ScanError(
        CallStatus.FAILED_PRECONDITION,
        "SCAN_BUSY",
        "Another station is sending this scan.",
        {"station": station},
    )


def not_allowed(caller: str, method: str) -> ScanError:
    return ScanError(
        CallStatus.PERMISSION_DENIED,
        "NOT_ALLOWED",
        f"The certificate of {caller or 'this caller'} does not allow this call.",
        {"method": method},
    )


def not_yours() -> ScanError:
    return ScanError(
        CallStatus.PERMISSION_DENIED,
        "OTHER_CALLERS_SCAN",
        "Another caller sent this scan; a console reads and sends its own ones.",
    )


def shutting_down() -> ScanError:
    return ScanError(
        CallStatus.UNAVAILABLE,
        "SHUTTING_DOWN",
        "The appliance is shutting down; what was acknowledged is kept. Try again soon.",
        retry_s=_RESTARTS_S,
    )


def too_many_scans(limit: int) -> ScanError:
    return ScanError(
        CallStatus.RESOURCE_EXHAUSTED,
        "TOO_MANY_SCANS",
        f"{limit} scans are in progress, the most that are allowed. Try again soon.",
        {"max_open_scans": str(limit)},
        _SCAN_ENDS_S,
    )


def unknown_model(name: str, there: Iterable[str]) -> ScanError:
    return ScanError(
        CallStatus.NOT_FOUND,
        "UNKNOWN_MODEL",
        f"No model is called {name!r}; there are {', '.join(there)}.",
    )


def unknown_version(cause: Exception) -> ScanError:
    return ScanError(CallStatus.NOT_FOUND, "UNKNOWN_VERSION", f"{cause}.")


def nothing_before(name: str, version: int) -> ScanError:
    return ScanError(
        CallStatus.FAILED_PRECONDITION,
        "NOTHING_BEFORE",
        f"{name} serves in version {version}, and there is no earlier one to go back to.",
    )


def models_refused(cause: Exception) -> ScanError:
    return ScanError(
        CallStatus.FAILED_PRECONDITION,
        "MODELS_REFUSED",
        f"It cannot be served, and the models serve on as before: {cause}",
    )


def models_changing() -> ScanError:
    return ScanError(
        CallStatus.UNAVAILABLE,
        "MODELS_CHANGING",
        "Another change of the models is under way. Try again soon.",
        retry_s=_MODELS_LOAD_S,
    )


def too_many_versions(limit: int) -> ScanError:
    return ScanError(
        CallStatus.RESOURCE_EXHAUSTED,
        "TOO_MANY_VERSIONS",
        f"Scans in progress use models in {limit} combinations of versions, the most that are kept "
        "warm; the models serve on as before. Try again when some of these scans have ended.",
        {"max_combinations": str(limit)},
        _SCAN_ENDS_S,
    )


def choice_not_kept(cause: Exception) -> ScanError:
    return ScanError(
        CallStatus.RESOURCE_EXHAUSTED,
        "CHOICE_NOT_KEPT",
        f"The choice could not be kept over a restart, so the models serve on as before ({cause}).",
    )


def disk_full(free_bytes: int) -> ScanError:
    return ScanError(
        CallStatus.RESOURCE_EXHAUSTED,
        "DISK_FULL",
        "The appliance's disk is nearly full; it takes no new scan until there is room. Scans in "
        "progress go on.",
        {"free_mib": str(free_bytes // 2**20)},
        _ROOM_IS_MADE_S,
    )


def storage_stalled(cause: Exception) -> ScanError:
    return ScanError(
        CallStatus.UNAVAILABLE,
        "STORAGE_STALLED",
        f"The appliance's disk hangs ({cause}). What was acknowledged is kept; try again soon, "
        "and send the other slices again.",
        retry_s=_DISK_ANSWERS_S,
    )


def not_kept(cause: Exception) -> ScanError:
    if isinstance(cause, StorageStalledError):
        return storage_stalled(cause)
    return ScanError(
        CallStatus.RESOURCE_EXHAUSTED,
        "NOT_KEPT",
        f"The appliance could not keep a slice on its disk ({cause}). Slices that were "
        "acknowledged are safe; send the others again.",
        retry_s=None if isinstance(cause, SpoolVersionError) else _STORAGE_WORKS_S,
    )


def readers_unavailable(cause: Exception) -> ScanError:
    return ScanError(
        CallStatus.UNAVAILABLE,
        "READERS_UNAVAILABLE",
        f"The appliance cannot read slices just now: {cause}. What was acknowledged is kept; open "
        "the scan again and send the others.",
        retry_s=_MEMORY_IS_FREE_S,
    )


def too_much_in_hand(budget_bytes: int) -> ScanError:
    return ScanError(
        CallStatus.RESOURCE_EXHAUSTED,
        "TOO_MUCH_IN_HAND",
        "The appliance has as many slices in memory as it may and does not get through them. What "
        "was acknowledged is kept; open the scan again soon and send the others.",
        {"in_hand_mib": str(budget_bytes // 2**20)},
        _SCAN_ENDS_S,
    )


def open_too_large(most_bytes: int) -> ScanError:
    return ScanError(
        CallStatus.INVALID_ARGUMENT,
        "OPEN_TOO_LARGE",
        f"OpenScan has at most {most_bytes // 1024} KiB.",
        {"max_bytes": str(most_bytes)},
    )


def inference_failed(cause: Exception) -> ScanError:
    if isinstance(cause, ReadersUnavailableError):
        return readers_unavailable(cause)
    return ScanError(
        CallStatus.INTERNAL,
        "INFERENCE_FAILED",
        f"The models failed on a slice ({type(cause).__name__}). The slices are kept; "
        "opening the scan again tries once more.",
    )


def results_failed(cause: StorageError) -> ScanError:
    if isinstance(cause, StorageStalledError):
        return storage_stalled(cause)
    passes = not isinstance(cause, ResultsConflictError)
    return ScanError(
        CallStatus.INTERNAL,
        "RESULTS_NOT_KEPT",
        f"The report could not be kept: {_fault(cause)}. The slices are kept, and the appliance "
        "tries again by itself; open the scan again for its report.",
        retry_s=_STORAGE_WORKS_S if passes else None,
    )


def results_unavailable(cause: StorageError) -> ScanError:
    """What is answered; where the results lie is for the log alone."""
    logger.error("the results cannot be read: %s", cause)
    if isinstance(cause, StorageStalledError):
        return storage_stalled(cause)
    return ScanError(
        CallStatus.UNAVAILABLE,
        "RESULTS_UNAVAILABLE",
        f"The appliance cannot read its results: {_fault(cause)}. Try again soon.",
        retry_s=_STORAGE_WORKS_S,
    )


def _fault(cause: StorageError) -> str:
    """What is wrong with the results, without the place where they lie."""
    match cause:
        case ResultsBusyError():
            return "another process holds the results database"
        case ResultsCorruptError():
            return "the results database is damaged"
        case ResultsConflictError():
            return "it contradicts what the results hold"
        case _:
            return "the disk does not take it or cannot be read; the appliance's log says more"


def internal(cause: BaseException) -> ScanError:
    return ScanError(
        CallStatus.INTERNAL,
        "INTERNAL",
        f"The appliance failed ({type(cause).__name__}); its log says more. What was "
        "acknowledged is kept; opening the scan again tries once more.",
    )
