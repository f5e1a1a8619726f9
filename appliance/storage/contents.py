"""What lies in the spool's folder, damaged logs and the room that is left included."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable
from pathlib import Path

from appliance.storage.errors import SpoolReadError
from appliance.storage.layout import SpoolFolder
from appliance.storage.logfile import first_record
from appliance.storage.reader import read_payload
from appliance.storage.record import Record, RecordRef


class SpoolContents:
    """Looks at what the spool holds, from any thread; what writes to it is :class:`Spool`."""

    def __init__(self, folder: SpoolFolder) -> None:
        self._folder = folder
        self._recovering = threading.RLock()

    def scans(self) -> list[str]:
        """Return the ids of the scans that have a log, those not recovered yet too. Blocks."""
        return self._folder.scans()

    def first(self, scan_id: str) -> Record | None:
        """Return what a scan's log begins with, of an earlier run's log too. Blocks.

        Nothing is changed by looking. None when there is no log, or no sound first record.

        Raises
        ------
        SpoolVersionError
            When a newer Breathhold wrote it.
        SpoolReadError
            When it cannot be read.
        """
        return first_record(self._folder.log_path(scan_id))

    def read(self, ref: RecordRef) -> bytes:
        """Return the payload of a record, checked. Blocks.

        Raises
        ------
        SpoolCorruptError
            When it is not what was written.
        SpoolReadError
            When it cannot be read.
        """
        return read_payload(self._folder.log_path(ref.scan_id), ref)

    def was_damaged(self, scan_id: str) -> bool:
        """Return whether acknowledged records of a scan may have been lost by damage. Blocks."""
        return self._folder.was_damaged(scan_id)

    def set_aside(self) -> list[Path]:
        """Return the folders of damaged logs, for an operator to look at. Blocks."""
        return self._folder.aside()

    def forget_set_aside(self, names: Iterable[str]) -> list[str]:
        """Remove folders of damaged logs by their names; returns which scans' they were. Blocks.

        One whose scan has a log stays.

        Raises
        ------
        SpoolWriteError
            When the system refuses.
        """
        with self._recovering:
            return self._folder.remove_aside(names)

    def bytes_used(self) -> int:
        """Return the bytes on disk, damaged logs included. Blocks."""
        return self._folder.bytes_used()

    def free_bytes(self) -> int:
        """Return the bytes that are free on the spool's disk.

        Raises
        ------
        SpoolReadError
            When the system refuses.
        """
        try:
            return shutil.disk_usage(self._folder.path).free
        except OSError as error:
            raise SpoolReadError("looking how much room is left", error) from error
