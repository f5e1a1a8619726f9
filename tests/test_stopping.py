"""A stop that hangs is ended from within."""

from __future__ import annotations

import asyncio
import threading
import time
from multiprocessing.connection import Connection

import pytest

from appliance.stopping import LastResort, closed
from tests.forked import Forked


def stop_in_time(told: Connection, longest_s: float) -> None:
    last_resort = LastResort()
    last_resort.arm(longest_s)
    time.sleep(0.3)
    last_resort.disarm()
    time.sleep(0.3)


@pytest.mark.parametrize(("longest_s", "status"), [(0.1, 1), (0.5, 0)])
def test_only_what_hangs_is_ended(longest_s: float, status: int) -> None:
    assert Forked(stop_in_time, longest_s).wait(30) == status


def test_a_store_that_hangs_is_left_behind() -> None:
    released, asked = threading.Event(), time.monotonic()

    async def close() -> tuple[bool, bool]:
        hanging = await closed(lambda: bool(released.wait(10)), lambda: True)
        released.set()
        return hanging, await closed(lambda: None, lambda: False)

    assert asyncio.run(close()) == (False, True)
    assert time.monotonic() - asked < 5


def test_a_store_that_cannot_be_closed_says_why() -> None:
    def failing() -> None:
        raise OSError("no such file")

    with pytest.raises(OSError, match="no such file"):
        asyncio.run(closed(failing, lambda: False))
