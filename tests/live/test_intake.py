"""Bytes of slices in hand: bounded, in order of arrival, and nobody waits for ever."""

from __future__ import annotations

import asyncio

import pytest

from appliance.ingest import SliceRefusedError
from appliance.live.errors import CallStatus, ScanError
from appliance.live.intake import Intake
from appliance.scan.verdicts import RefusalReason


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_who_finds_no_room_waits_for_it_in_order() -> None:
    async def scenario() -> None:
        intake, let_in = Intake(100), list[str]()

        async def take(name: str, size: int) -> None:
            await intake.take(size)
            let_in.append(name)

        await take("first", 60)
        waiting = [asyncio.create_task(take(name, size)) for name, size in _LATER]
        await settle()
        assert let_in == ["first"]
        intake.give_back(60)
        await settle()
        assert let_in == ["first", "large", "small"]
        assert intake.bytes_in_hand == 100
        intake.give_back(90)
        await asyncio.gather(*waiting)
        assert let_in == ["first", "large", "small", "last"]
        intake.give_back(10)
        intake.give_back(20)
        assert intake.bytes_in_hand == 0

    asyncio.run(scenario())


_LATER = (("large", 90), ("small", 10), ("last", 20))


def test_what_is_larger_than_all_room_goes_alone() -> None:
    async def scenario() -> None:
        intake = Intake(100)
        await intake.take(500)
        waiting = asyncio.create_task(intake.take(1))
        await settle()
        assert not waiting.done()
        intake.give_back(500)
        await waiting
        assert intake.bytes_in_hand == 1

    asyncio.run(scenario())


def test_who_waits_too_long_is_told_when_to_come_back() -> None:
    async def scenario() -> ScanError:
        intake = Intake(100, patience_s=0.05)
        await intake.take(100)
        with pytest.raises(ScanError) as refused:
            await intake.take(1)
        intake.give_back(100)
        assert intake.bytes_in_hand == 0
        return refused.value

    error = asyncio.run(scenario())
    assert (error.status, error.reason) == (CallStatus.RESOURCE_EXHAUSTED, "TOO_MUCH_IN_HAND")
    assert error.retry_s


@pytest.mark.parametrize("steps", range(4))
def test_who_goes_away_leaves_its_room_to_others(steps: int) -> None:
    """At whatever moment: while it waits, or as it is let in."""

    async def scenario() -> None:
        intake = Intake(100)
        await intake.take(100)
        gone, next_one = (asyncio.create_task(intake.take(60)) for _ in range(2))
        await settle()
        if steps % 2:
            intake.give_back(100)
            gone.cancel()
        else:
            gone.cancel()
            intake.give_back(100)
        for _ in range(steps // 2):
            await asyncio.sleep(0)
        await next_one
        assert gone.cancelled() or steps % 2
        assert intake.bytes_in_hand == 60

    asyncio.run(scenario())


def test_a_message_that_is_too_large_is_refused_by_name() -> None:
    intake = Intake(message_bytes=10)
    intake.check(10)
    with pytest.raises(SliceRefusedError) as refused:
        intake.check(11)
    assert refused.value.refusal.reason is RefusalReason.TOO_LARGE
    assert refused.value.refusal.metadata == {"bytes": "11", "max_bytes": "10"}
