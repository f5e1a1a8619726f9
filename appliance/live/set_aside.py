"""Damaged logs and results that were set aside: patients' data, too, and forgotten in time."""

from __future__ import annotations

from appliance.access.audit import Event
from appliance.config import StorageConfig
from appliance.live.retention import Retention
from appliance.live.services import Services
from appliance.storage.recovery import RESULTS_NAME, damaged_results, forget_damaged

_HOUR_S, _DAY_S = 3600.0, 86400.0


async def forget_set_aside(services: Services, retention: Retention, config: StorageConfig) -> None:
    """Remove what lies aside for longer than its like is kept; a log not before its scan's slices.

    Raises
    ------
    StorageError
        When that is not possible.
    """
    spool, note = services.spool, services.trail.note
    logs = [path.name for path in await spool.run(spool.set_aside)]
    files = await spool.run(damaged_results, config.state_dir / RESULTS_NAME)
    names = [*logs, *(file.name for file in files)]
    old = await retention.aside_longer_than(names, config.keep_slices_hours * _HOUR_S)
    for scan_id in await spool.run(spool.forget_set_aside, [name for name in logs if name in old]):
        note(Event.DELETED, scan_id=scan_id, why="damaged slices kept long enough")
    old = await retention.aside_longer_than(names, config.keep_results_days * _DAY_S)
    if gone := [file for file in files if file.name in old]:
        await spool.run(forget_damaged, gone)
        note(Event.DELETED, why="damaged results kept long enough")


async def make_room_of_damaged_logs(services: Services) -> None:
    """Remove all damaged logs whose scans' slices are gone; raises as `forget_set_aside`."""
    spool = services.spool
    logs = [path.name for path in await spool.run(spool.set_aside)]
    for scan_id in await spool.run(spool.forget_set_aside, logs):
        services.trail.note(Event.DELETED, scan_id=scan_id, why="the disk is nearly full")
