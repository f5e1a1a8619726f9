"""Appends to a spool as fast as it can and prints what was acknowledged, until it is killed.

Usage: ``python -m tests.storage.crash_child STATE RUN``. Each line is a scan id and a key.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
from pathlib import Path

from appliance.storage.spool import Spool
from tests.storage.conftest import slice_record

SCANS = ("aa", "bb", "cc")
MOST_BYTES = 200_000


async def feed(spool: Spool, scan_id: str, run: int) -> None:
    sizes = random.Random(f"{run}{scan_id}")
    waiting: set[asyncio.Task[None]] = set()
    for number in itertools.count():
        size = sizes.choice([0, 10, 3000, sizes.randrange(MOST_BYTES)])
        waiting.add(asyncio.create_task(keep(spool, scan_id, f"{run}.{number}.{size}", size)))
        if len(waiting) == 4:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)


async def keep(spool: Spool, scan_id: str, key: str, size: int) -> None:
    await spool.append(scan_id, slice_record(key, size))
    print(scan_id, key, flush=True)


async def main(state: Path, run: int) -> None:
    with Spool(state) as spool:
        assert not spool.recover_all().failed
        print("ready", flush=True)
        async with asyncio.TaskGroup() as group:
            for scan_id in SCANS:
                group.create_task(feed(spool, scan_id, run))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
