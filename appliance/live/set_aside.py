"""Damaged logs and results that were set aside: patients' data, too, and forgotten in time."""

from __future__ import annotations

from pathlib import Path

from appliance.access.audit import Event
from appliance.live.services import Services
from appliance.storage.recovery import forget_damaged


async def forget_damaged_logs(services: Services, keep_s: float, why: str) -> None:
    """Remove damaged logs set aside longer ago than `keep_s`, s, whose scans' slices are gone.

    Raises
    ------
    StorageError
        When that is not possible.
    """
    for scan_id in await services.spool.run(services.spool.forget_set_aside, keep_s):
        services.trail.note(Event.DELETED, scan_id=scan_id, why=why)


async def forget_damaged_results(services: Services, path: Path, keep_s: float) -> None:
    """Remove damaged results, set aside beside those at `path` longer ago than `keep_s`, s.

    Raises
    ------
    StorageError
        When that is not possible.
    """
    if await services.results.run(forget_damaged, path, keep_s):
        services.trail.note(Event.DELETED, why="damaged results kept long enough")
