"""Logs of an earlier run, and such as broke, made fit to be written to again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.storage.errors import SpoolCorruptError, SpoolError
from appliance.storage.layout import SpoolFolder
from appliance.storage.logfile import LogFile, cut, repair
from appliance.storage.record import RecordRef
from appliance.storage.salvage import salvage
from appliance.storage.writer import GroupWriter


@dataclass(frozen=True, slots=True)
class RecoveredScan:
    """What a scan's log held when it was opened again.

    Parameters
    ----------
    scan_id
        Whose log it is.
    records
        In the order in which they were kept.
    torn_bytes
        Unacknowledged bytes that were cut off its end.
    """

    scan_id: str
    records: tuple[RecordRef, ...]
    torn_bytes: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """The scans that go on, and why the others do not, by scan id."""

    scans: Mapping[str, RecoveredScan]
    failed: Mapping[str, SpoolError]


class Reopening:
    """Opens logs again, one at a time.

    Parameters
    ----------
    folder
        Where they are.
    writer
        Goes on with them.
    unrecovered
        The scans of an earlier run that nobody opened yet; those opened are taken out.
    """

    def __init__(self, folder: SpoolFolder, writer: GroupWriter, unrecovered: set[str]) -> None:
        self._folder, self._writer, self._unrecovered = folder, writer, unrecovered

    def broken(self, scan_id: str, log: LogFile) -> RecoveredScan:
        """Cut a log back to what was acknowledged: a failed sync may have lost the rest."""
        if log.path.exists():
            cut(log.path, log.end)
        if log.end:
            return self.earlier(scan_id)
        return self._begin_anew(scan_id)

    def earlier(self, scan_id: str) -> RecoveredScan:
        """Cut a torn tail off a log; set a damaged log aside, and what is sound of it in its place.

        The latter raises SpoolCorruptError, and the new log is one of an earlier run.
        """
        path = self._folder.log_path(scan_id)
        try:
            content = repair(path)
        except SpoolCorruptError as error:
            kept = salvage(path, self._folder.begin_salvage(scan_id))
            aside = self._folder.exchange(scan_id)
            self._begin_anew(scan_id)
            if kept:
                self._unrecovered.add(scan_id)
            raise SpoolCorruptError(
                f"{error}; it was set aside as {aside.name}, {kept} of its records are kept"
            ) from error
        if content is None:
            return self._begin_anew(scan_id)
        self._writer.adopt(scan_id, LogFile(path, content.end, content.salt))
        self._unrecovered.discard(scan_id)
        return RecoveredScan(scan_id, content.records, content.torn_bytes)

    def again(self, scan_id: str) -> RecoveredScan:
        """A log that was written to by this run and found damaged since."""
        self._unrecovered.add(scan_id)
        self._writer.drop(scan_id)
        return self.earlier(scan_id)

    def _begin_anew(self, scan_id: str) -> RecoveredScan:
        self._writer.drop(scan_id)
        self._unrecovered.discard(scan_id)
        return RecoveredScan(scan_id, (), 0)
