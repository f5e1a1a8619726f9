"""Where the spool keeps what: one folder per scan, and names for what is on its way out."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from appliance.storage import files
from appliance.storage.errors import SpoolWriteError
from appliance.storage.logfile import LOG_NAME

_SCAN_ID = re.compile(r"[0-9a-f]{1,64}")
_REMOVED = ".removed"
_CORRUPT = ".corrupt"


class SpoolFolder:
    """The spool's folder on disk.

    Parameters
    ----------
    path
        Made if missing; removals that a crash cut short are finished.

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

    def move_aside(self, scan_id: str) -> Path:
        """Rename the folder of a damaged log, so that the scan may begin again; return where to.

        Raises
        ------
        SpoolWriteError
        """
        folder = self.log_path(scan_id).parent
        names = (folder.with_name(f"{scan_id}{_CORRUPT}-{n}") for n in itertools.count(1))
        aside = next(path for path in names if not path.exists())
        try:
            files.rename(folder, aside)
        except OSError as error:
            raise SpoolWriteError(f"setting scan {scan_id} aside", error) from error
        return aside

    def aside(self) -> list[Path]:
        """Return the folders of damaged logs."""
        return sorted(self.path.glob(f"*{_CORRUPT}-*"))

    def bytes_used(self) -> int:
        return files.size_of(self.path)
