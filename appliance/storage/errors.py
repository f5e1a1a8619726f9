"""What can go wrong with what is kept, each failure by its own name."""

from __future__ import annotations

import errno as errno_names
import os


class StorageError(Exception):
    """Root of every error of the spool and of the results store."""


class StateLockedError(StorageError):
    """Another process uses the state folder."""


class StorageStalledError(StorageError):
    """The disk did not answer in time; what was asked of it may still be done.

    Parameters
    ----------
    limit_s
        How long was waited, s.
    """

    def __init__(self, limit_s: float) -> None:
        super().__init__(f"the disk has not answered for {limit_s:g} s")


class SpoolError(StorageError):
    """Root of the spool's errors."""


class SpoolStalledError(SpoolError, StorageStalledError):
    """The spool's disk did not answer in time; a record may still be kept."""


class SpoolClosedError(SpoolError):
    """The spool was closed, or its writer ended; nothing more is kept."""


class SpoolFullError(SpoolError):
    """The queue before the disk is full; try again when it has drained."""


class SpoolUnknownScanError(SpoolError):
    """The spool holds nothing of this scan."""


class SpoolNotRecoveredError(SpoolError):
    """A log from an earlier run must be recovered before it is used."""


class SpoolIOError(SpoolError):
    """The operating system refused; `errno` says why.

    Attributes
    ----------
    errno
        The system's error number, e.g. ``errno.ENOSPC``.
    """

    def __init__(self, what: str, error: OSError) -> None:
        self.errno = error.errno or 0
        name = errno_names.errorcode.get(self.errno, "unknown error")
        super().__init__(f"{what}: {name} ({os.strerror(self.errno)})")


class SpoolWriteError(SpoolIOError):
    """A record was not made durable; it must not be acknowledged."""


class SpoolReadError(SpoolIOError):
    """A log cannot be opened or read."""


class SpoolBrokenError(SpoolError):
    """An earlier write of this scan failed; recover the scan before going on."""


class SpoolCorruptError(SpoolError):
    """Bytes that were acknowledged are not what was written."""


class SpoolVersionError(SpoolError):
    """A log was written by a newer Breathhold."""


class ResultsError(StorageError):
    """Root of the results store's errors."""


class ResultsUnavailableError(ResultsError):
    """The database cannot be opened, read or written (disk full, no permission, I/O error)."""


class ResultsBusyError(ResultsError):
    """Another connection held the database for too long; try again."""


class ResultsCorruptError(ResultsError):
    """The file is damaged or not a results database."""


class ResultsVersionError(ResultsError):
    """The database was written by a newer Breathhold."""


class ChoicesError(StorageError):
    """The versions that an operator chose cannot be kept, or were by a newer Breathhold."""


class ResultsStalledError(ResultsError, StorageStalledError):
    """The database did not answer in time; a change may still be made."""


class ResultsConflictError(ResultsError):
    """What should be saved contradicts what is there (e.g. a series of another scan)."""
