"""Where the spool keeps what: one folder per scan, and names for what is on its way out."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable
from pathlib import Path

from appliance.storage import files
from appliance.storage.errors import SpoolWriteError
from appliance.storage.logfile import LOG_NAME

_SCAN_ID = re.compile(r"[0-9a-f]{1,64}")
_REMOVED = ".removed"
_CORRUPT = ".corrupt"
_SALVAGED = ".salvaged"
#: A file beside a log that says: an earlier log of the scan was damaged.
_DAMAGED_NAME = "damaged"


class SpoolFolder:
    """The spool's folder on disk.

    Parameters
    ----------
    path
        Made if missing; removals and exchanges that a crash cut short are finished.

    Raises
    ------
    OSError
        When it cannot be made or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        files.make_folder(path)
        for folder in path.glob(f"*{_REMOVED}"):
            files.remove_folder(folder)
        for folder in path.glob(f"*{_SALVAGED}"):
            self._finish_exchange(folder)

    def _finish_exchange(self, salvaged: Path) -> None:
        scan = salvaged.with_name(salvaged.name.removesuffix(_SALVAGED))
        if scan.exists():  # the damaged log is still in its place, and is salvaged again
            files.remove_folder(salvaged)
        else:
            files.rename(salvaged, scan)

    def log_path(self, scan_id: str) -> Path:
        """Return where the log of a scan lies.

        Raises
        ------
        ValueError
            When that is not a scan id.
        """
        if not _SCAN_ID.fullmatch(scan_id):
            raise ValueError("a scan id is 1 to 64 lower-case hexadecimal digits")
        return self.path / scan_id / LOG_NAME

    def scans(self) -> list[str]:
        """Return the ids of the scans that have a log."""
        names = (path.parent.name for path in self.path.glob(f"*/{LOG_NAME}"))
        return sorted(name for name in names if _SCAN_ID.fullmatch(name))

    def remove(self, scan_id: str) -> None:
        """Remove a scan at one stroke: the renaming decides, the rest may come later.

        Raises
        ------
        SpoolWriteError
        """
        folder = self.log_path(scan_id).parent
        removed = folder.with_name(scan_id + _REMOVED)
        try:
            if folder.is_dir():
                files.rename(folder, removed)
                files.remove_folder(removed)
        except OSError as error:
            raise SpoolWriteError(f"removing scan {scan_id}", error) from error

    def begin_salvage(self, scan_id: str) -> Path:
        """Make the folder that is to take a damaged log's place; return where its log goes.

        Raises
        ------
        SpoolWriteError
        """
        salvaged = self._salvaged(scan_id)
        try:
            if salvaged.exists():
                files.remove_folder(salvaged)
            files.make_folder(salvaged)
            os.close(files.create_file(salvaged / _DAMAGED_NAME))
            files.sync_folder(salvaged)
        except OSError as error:
            raise SpoolWriteError(f"salvaging scan {scan_id}", error) from error
        return salvaged / LOG_NAME

    def exchange(self, scan_id: str) -> Path:
        """Put what was salvaged in the place of the damaged log; return where that one is now.

        Raises
        ------
        SpoolWriteError
        """
        folder = self.log_path(scan_id).parent
        names = (folder.with_name(f"{scan_id}{_CORRUPT}-{n}") for n in itertools.count(1))
        aside = next(path for path in names if not path.exists())
        try:
            files.rename(folder, aside)
            files.rename(self._salvaged(scan_id), folder)
        except OSError as error:
            raise SpoolWriteError(f"setting scan {scan_id} aside", error) from error
        return aside

    def _salvaged(self, scan_id: str) -> Path:
        return self.log_path(scan_id).parent.with_name(scan_id + _SALVAGED)

    def was_damaged(self, scan_id: str) -> bool:
        """Whether an earlier log of the scan was damaged."""
        return (self.log_path(scan_id).parent / _DAMAGED_NAME).exists()

    def aside(self) -> list[Path]:
        """Return the folders of damaged logs."""
        return sorted(self.path.glob(f"*{_CORRUPT}-*"))

    def remove_aside(self, names: Iterable[str]) -> list[str]:
        """Remove folders of damaged logs, but those whose scan still has a log.

        Returns
        -------
        The scans' ids.

        Raises
        ------
        SpoolWriteError
        """
        scans, removed = set(self.scans()), []
        for name in names:
            scan_id = name.partition(".")[0]
            if scan_id in scans:
                continue
            try:
                files.remove_folder(self.path / name)
                if (left := self.path / scan_id).is_dir():  # nothing was salvaged into it
                    files.remove_folder(left)
            except OSError as error:
                raise SpoolWriteError(f"removing what scan {scan_id} left", error) from error
            removed.append(scan_id)
        return removed

    def bytes_used(self) -> int:
        return files.size_of(self.path)
