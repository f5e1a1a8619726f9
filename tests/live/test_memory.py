"""Freed memory goes back to the system, and only while nothing is in progress."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import weakref
from pathlib import Path
from types import SimpleNamespace

from appliance.live.memory import give_back, give_back_when_idle

#: So small that the C library does not ask the system for each, and keeps it when it is freed.
_BLOCK, _BLOCKS = 100_000, 2_000
_library = ctypes.CDLL(None)
_library.malloc.restype = ctypes.c_void_p


def resident() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("RssAnon:")]
    return int(line.split()[1]) * 1024


def test_freed_memory_goes_back_when_the_last_scan_is_let_go() -> None:
    blocks = [_library.malloc(_BLOCK) for _ in range(_BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, _BLOCK)
    last = _library.malloc(_BLOCK)  # what lies beneath it stays with the library
    for block in blocks:
        _library.free(ctypes.c_void_p(block))
    full = resident()
    scans = SimpleNamespace(in_progress=["a scan"])

    async def run() -> int:
        task = asyncio.create_task(give_back_when_idle(scans, 0.02))
        await asyncio.sleep(0.2)
        during = resident()
        scans.in_progress = []
        for _ in range(500):
            await asyncio.sleep(0.02)
            if resident() < during - _BLOCK * _BLOCKS // 2:
                break
        task.cancel()
        return during

    during = asyncio.run(run())
    _library.free(ctypes.c_void_p(last))
    assert during > full - _BLOCK * _BLOCKS // 4
    assert resident() < full - _BLOCK * _BLOCKS // 2


class Circle:
    """Unlike a namespace it can be referred to weakly."""

    itself: Circle


def test_what_refers_to_itself_goes_too() -> None:
    circle = Circle()
    circle.itself, gone = circle, weakref.ref(circle)
    del circle
    gc.disable()
    try:
        assert gone() is not None
        give_back()
        assert gone() is None
    finally:
        gc.enable()
