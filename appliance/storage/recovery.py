"""Opening the results when their file is damaged: it is set aside and a new one begun."""

from __future__ import annotations

import itertools
import logging
import os
import time
from pathlib import Path

from appliance.storage.database import named_errors
from appliance.storage.errors import ResultsCorruptError
from appliance.storage.results import BUSY_TIMEOUT_S, ResultsStore
from appliance.storage.soundness import is_as_left
from appliance.storage.stalls import STALL_S

logger = logging.getLogger(__name__)

#: The file's name in the state folder.
RESULTS_NAME = "results.sqlite"
_DAMAGED = ".damaged-"


def open_results(
    path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S, stall_s: float = STALL_S
) -> ResultsStore:
    """The results; in place of a damaged file an empty one.

    The file is looked through, but for one that a clean stop left: of that one the store
    can be told to look later (:meth:`ResultsStore.check`), so that a start takes no longer
    the more results there are.
    Scans whose slices the spool still holds are reported anew. A damaged file stays
    beside the new one for an operator to look at.

    Parameters
    ----------
    busy_timeout_s, stall_s
        As of :class:`ResultsStore`.

    Raises
    ------
    ResultsVersionError, ResultsUnavailableError, ResultsBusyError
        As :class:`ResultsStore`.
    """
    as_left = is_as_left(path)
    try:
        store = ResultsStore(path, busy_timeout_s=busy_timeout_s, stall_s=stall_s)
    except ResultsCorruptError as error:
        return _anew(path, str(error), busy_timeout_s, stall_s)
    if not as_left and (fault := store.check()):
        store.close()
        return _anew(path, fault, busy_timeout_s, stall_s)
    return store


def forget_damaged(path: Path, keep_s: float) -> list[str]:
    """Remove damaged results that were set aside longer ago than `keep_s`, s. Blocks.

    Parameters
    ----------
    path
        Of the results that are in use.

    Returns
    -------
    The names of the files.

    Raises
    ------
    ResultsUnavailableError
        When the system refuses.
    """
    removed = []
    with named_errors(path):
        for part in sorted(path.parent.glob(f"{path.name}{_DAMAGED}*")):
            if time.time() - part.stat().st_mtime >= keep_s:
                part.unlink()
                removed.append(part.name)
    return removed


def _anew(path: Path, fault: str, busy_timeout_s: float, stall_s: float) -> ResultsStore:
    aside = _free_name(path)
    logger.error(
        "%s is damaged (%s): it is kept as %s, and what the spool holds is reported anew",
        path.name,
        fault,
        aside.name,
    )
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            os.utime(part)  # set aside now, see forget_damaged
            part.replace(aside.with_name(aside.name + suffix))
    return ResultsStore(path, busy_timeout_s=busy_timeout_s, stall_s=stall_s)


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.name}{_DAMAGED}{number}") for number in itertools.count(1))
    return next(name for name in names if not name.exists())
