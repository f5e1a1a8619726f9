"""What the state folder has room for, and what lies there for someone to look at, as metrics."""

from __future__ import annotations

import asyncio
import logging
import math
from pathlib import Path

from appliance.config import StorageConfig
from appliance.metrics import Metrics
from appliance.storage.errors import StorageError
from appliance.storage.spool import Spool

logger = logging.getLogger(__name__)

#: How a damaged file of the state folder is called that was set aside, by what it held.
_DAMAGED = {"results": "results.sqlite.damaged-*", "choices": "models.json.damaged-*"}


async def watch_room(
    spool: Spool, metrics: Metrics, config: StorageConfig, interval_s: float = 60.0
) -> None:
    """Set the gauges of storage again and again, whatever else fails."""
    metrics.free_bytes.set(math.nan)  # not known yet is not none
    metrics.tight_bytes.set(config.tight_bytes)
    metrics.full_bytes.set(config.full_bytes)
    while True:
        try:
            await _look(spool, metrics, config.state_dir)
        except (StorageError, OSError) as error:
            logger.error("how much room is left cannot be told: %s", error)
        await asyncio.sleep(interval_s)


async def _look(spool: Spool, metrics: Metrics, state: Path) -> None:
    metrics.free_bytes.set(await spool.run(spool.free_bytes))
    metrics.spool_bytes.set(await spool.run(spool.bytes_used))
    metrics.set_aside.labels("log").set(len(await spool.run(spool.set_aside)))
    for what, count in (await spool.run(_damaged, state)).items():
        metrics.set_aside.labels(what).set(count)


def _damaged(state: Path) -> dict[str, int]:
    """How many of each lie in the state folder; SQLite's files beside one are not counted."""
    return {
        what: sum(path.suffix[1:].rpartition("-")[2].isdecimal() for path in state.glob(pattern))
        for what, pattern in _DAMAGED.items()
    }
