"""Which scans that failed are taken up again by themselves, and when."""

from __future__ import annotations

import logging
import time
from collections import Counter

from appliance.live.errors import ScanError
from appliance.live.saving import FIRST_PAUSE_S, pause_s
from appliance.storage.errors import StorageError

logger = logging.getLogger(__name__)

#: A scan that failed so often by its own fault is not taken up by itself any more.
MOST_FAILURES = 4


class Retries:
    """What is known of scans that failed. Used from the event loop only.

    Storage that fails, or memory, is no fault of the scan: it is tried again after a pause that
    grows, however often. What fails in the scan itself would fail for ever, and is given up.

    Parameters
    ----------
    first_pause_s
        After the first failure of storage, s; it doubles with each, up to a minute.
    """

    def __init__(self, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._first_pause_s = first_pause_s
        self._own: Counter[str] = Counter()
        self._storage: Counter[str] = Counter()
        self._due: dict[str, float] = {}

    def failed(self, scan_id: str, error: BaseException) -> None:
        """A scan was broken off, or could not be taken up."""
        if isinstance(error, StorageError) or (isinstance(error, ScanError) and error.of_the_box):
            self._storage[scan_id] += 1
            pause = pause_s(self._first_pause_s, self._storage[scan_id])
            self._due[scan_id] = time.monotonic() + pause
            return
        self._own[scan_id] += 1
        self._due.pop(scan_id, None)
        if self._own[scan_id] == MOST_FAILURES:
            logger.error(
                "scan %s failed %d times (%s) and is not taken up by itself any more; its slices "
                "are kept. Mend what the log says of it, then restart the daemon, or send the "
                "scan again",
                scan_id,
                MOST_FAILURES,
                error.reason if isinstance(error, ScanError) else type(error).__name__,
            )

    def forget(self, scan_id: str) -> None:
        """A scan was reported, or is gone."""
        del self._own[scan_id], self._storage[scan_id]
        self._due.pop(scan_id, None)

    def may(self, scan_id: str) -> bool:
        """Whether a scan may be taken up by itself now."""
        given_up = self._own[scan_id] >= MOST_FAILURES
        return not given_up and time.monotonic() >= self._due.get(scan_id, 0.0)

    def due(self) -> list[str]:
        """The scans whose pause is over."""
        return [scan_id for scan_id in self._due if self.may(scan_id)]
