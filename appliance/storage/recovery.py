"""Opening the results when their file is damaged: it is set aside and a new one begun."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable
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


def damaged_results(path: Path) -> list[Path]:
    """The files of damaged results that lie beside those at `path`. Blocks."""
    return sorted(path.parent.glob(f"{path.name}{_DAMAGED}*"))


def forget_damaged(files: Iterable[Path]) -> None:
    """Remove files of damaged results. Blocks.

    Raises
    ------
    ResultsUnavailableError
        When the system refuses.
    """
    for file in files:
        with named_errors(file):
            file.unlink(missing_ok=True)


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
            part.replace(aside.with_name(aside.name + suffix))
    return ResultsStore(path, busy_timeout_s=busy_timeout_s, stall_s=stall_s)


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.name}{_DAMAGED}{number}") for number in itertools.count(1))
    return next(name for name in names if not name.exists())
