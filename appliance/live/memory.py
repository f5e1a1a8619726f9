"""What scans leave behind goes back to the system whenever nothing is in progress any more.

What refers to itself in a circle Python only frees when it looks for it: parts of scans that were
reported long ago. It looks at all there is, so what the start made is put aside first.

The C library keeps what it is given back for itself, in as many places as there are threads: beside
300 MB in use it held 270 MB after 50 scans, and a little more with each scan.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections.abc import Collection
from typing import Protocol

_library = ctypes.CDLL(None)
_M_ARENA_MAX, _ARENAS = -8, 2  # mallopt(3)


class _Scans(Protocol):
    @property
    def in_progress(self) -> Collection[object]: ...


def share_places() -> None:
    """Have all threads yet to come share few places for freed memory; glibc only."""
    if hasattr(_library, "mallopt"):
        _library.mallopt(_M_ARENA_MAX, _ARENAS)


def put_start_aside() -> None:
    """Never look again for circles among what there is by now, the engines and all modules."""
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Free circles, and hand what is free to the system, where malloc_trim(3) of glibc is there."""
    gc.collect()
    if hasattr(_library, "malloc_trim"):
        _library.malloc_trim(ctypes.c_size_t(0))


async def give_back_when_idle(scans: _Scans, look_s: float = 0.5) -> None:
    """Do so each time the last scan in progress is let go, for as long as the daemon runs."""
    busy = True
    while True:
        await asyncio.sleep(look_s)
        if scans.in_progress:
            busy = True
        elif busy:
            busy = False
            await asyncio.to_thread(give_back)
