"""What happens by itself: silent scans end, failed ones are tried again, old ones are forgotten."""

from __future__ import annotations

import asyncio
import logging
import time

from appliance.access.audit import Event
from appliance.config import ScanConfig, StorageConfig
from appliance.live.errors import ScanError
from appliance.live.retention import Retention
from appliance.live.scans import LiveScans
from appliance.live.services import Services
from appliance.live.session import LiveScan
from appliance.live.set_aside import forget_set_aside, make_room_of_damaged_logs
from appliance.scan.events import CompletedBy
from appliance.storage.errors import StorageError
from appliance.storage.results import ResultsStore
from breathhold.v1 import types_pb2

logger = logging.getLogger(__name__)

_HOUR_S, _DAY_S = 3600.0, 86400.0


async def watch_silence(scans: LiveScans, config: ScanConfig) -> None:
    """End scans that fell silent, for as long as the daemon runs."""
    while True:
        await asyncio.sleep(min(1.0, config.quiet_s / 4, config.abandon_s / 4))
        for live in scans.in_progress:
            try:
                await _end_if_silent(live, config)
            except ScanError as error:
                logger.error("scan %s could not be ended: %s", live.scan_id, error.reason)


async def _end_if_silent(live: LiveScan, config: ScanConfig) -> None:
    if live.state != types_pb2.SCAN_STATE_RECEIVING:
        return
    if live.age_s >= config.longest_s:
        await live.complete(CompletedBy.ABANDONED)
        return
    limit_s, by = (
        (config.quiet_s, CompletedBy.QUIET)
        if live.outbox
        else (config.abandon_s, CompletedBy.ABANDONED)
    )
    if time.monotonic() - live.last_activity >= limit_s:
        await live.complete(by)


async def take_up_again(scans: LiveScans, interval_s: float = 1.0) -> None:
    """Take up the scans that storage failed on, each when its time has come, again and again."""
    while True:
        await asyncio.sleep(interval_s)
        try:
            await scans.take_up_due()
        except Exception:
            logger.exception("scans that failed were not taken up; it goes on")


async def look_through(results: ResultsStore) -> None:
    """Look for damage in results that the start left unread, because a clean stop left them."""
    if results.checked:
        return
    if fault := await asyncio.to_thread(results.check):
        logger.error(
            "the results are damaged (%s): started again, the daemon sets them aside and reports "
            "anew what the spool holds",
            fault,
        )


async def keep_house(
    scans: LiveScans,
    services: Services,
    config: StorageConfig,
    interval_s: float = 60.0,
    retention: Retention | None = None,
) -> None:
    """Take up what was left unfinished and forget what was kept long enough, again and again."""
    retention = retention or Retention(services.results)
    while True:
        services.trail.settle()
        try:
            await scans.take_up()
            await retention.look()
            await _forget_slices(scans, services, retention, config.keep_slices_hours * _HOUR_S)
            await _make_room(scans, services, retention, config.tight_bytes)
            await _forget_results(services, retention, config.keep_results_days * _DAY_S)
            await forget_set_aside(services, retention, config)
        except StorageError as error:
            logger.error("housekeeping has to wait: %s", error)
        except Exception:
            logger.exception("housekeeping failed; it goes on")
        await asyncio.sleep(interval_s)


async def _forget_slices(
    scans: LiveScans, services: Services, retention: Retention, keep_s: float
) -> None:
    held = set(await services.spool.run(services.spool.scans))
    for scan_id in await retention.kept_longer_than(keep_s):
        if scan_id in held:
            await scans.remove_slices(scan_id)
            services.trail.note(Event.DELETED, scan_id=scan_id, why="slices kept long enough")


async def _make_room(
    scans: LiveScans, services: Services, retention: Retention, tight_bytes: int
) -> None:
    """While the disk is nearly full, forget the slices of reported scans, oldest first."""
    spool = services.spool
    if await spool.run(spool.free_bytes) >= tight_bytes:
        return
    await make_room_of_damaged_logs(services)
    if await spool.run(spool.free_bytes) >= tight_bytes:
        return
    held = set(await spool.run(spool.scans))
    for scan_id in await retention.kept():
        if scan_id not in held:
            continue
        logger.warning("the disk is nearly full: the slices of scan %s go early", scan_id)
        await scans.remove_slices(scan_id)
        services.trail.note(Event.DELETED, scan_id=scan_id, why="the disk is nearly full")
        if await spool.run(spool.free_bytes) >= tight_bytes:
            return
    logger.error("the disk is nearly full, and no slices are left that could be forgotten")


async def _forget_results(services: Services, retention: Retention, keep_s: float) -> None:
    running = {line.scan_id for line in services.board.in_progress()}
    for scan_id in await retention.kept_longer_than(keep_s):
        if scan_id in running:
            continue
        await services.results.run(services.results.forget, scan_id)
        services.board.remove(scan_id)
        services.trail.note(Event.DELETED, scan_id=scan_id, why="report kept long enough")
