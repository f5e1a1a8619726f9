from __future__ import annotations

import asyncio

import pytest

from appliance.live.errors import ScanError, shutting_down
from appliance.live.outbox import MOST_BYTES, MOST_WAITING, SCORE_INTERVAL_S, Outbox
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import types_pb2


class Scores:
    """Makes numbered scores and counts how many were asked for."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> pb.RunningScore:
        self.made += 1
        return pb.RunningScore(sequence_number=self.made)


def ack(sequence: int) -> pb.StreamResponse:
    return pb.StreamResponse(ack=pb.Ack(sequence=sequence))


def mask(uid: str, revision: int) -> types_pb2.SliceMask:
    return types_pb2.SliceMask(sop_instance_uid=uid, revision=revision)


async def drain(outbox: Outbox) -> list[pb.StreamResponse]:
    return [response async for response in outbox]


def test_everything_but_scores_arrives_in_order_and_the_report_last() -> None:
    async def scenario() -> list[pb.StreamResponse]:
        outbox = Outbox(Scores())
        for sequence in range(5):
            outbox.send(ack(sequence))
        outbox.send(pb.StreamResponse(report=types_pb2.Report(scan_id="x")))
        outbox.send_mask(mask("1", 1))
        outbox.close()
        return await drain(outbox)

    responses = asyncio.run(scenario())
    assert [response.ack.sequence for response in responses[:5]] == list(range(5))
    assert responses[5].mask.sop_instance_uid == "1"
    assert responses[6].report.scan_id == "x"
    assert len(responses) == 7


def test_a_slow_reader_gets_the_newest_score_only() -> None:
    scores = Scores()

    async def scenario() -> int:
        outbox = Outbox(scores)
        for _ in range(1000):
            outbox.score_changed()
        outbox.close()
        return len(await drain(outbox))

    assert asyncio.run(scenario()) == 1
    assert scores.made == 1


def test_a_score_that_was_held_back_still_comes() -> None:
    async def scenario() -> list[int]:
        outbox = Outbox(Scores())
        seen: list[int] = []

        async def read() -> None:
            async for response in outbox:
                seen.append(response.running_score.sequence_number)

        reader = asyncio.create_task(read())
        outbox.score_changed()
        await asyncio.sleep(0.01)
        outbox.score_changed()
        await asyncio.sleep(SCORE_INTERVAL_S * 2)
        outbox.close()
        await asyncio.wait_for(reader, 2)
        return seen

    assert asyncio.run(scenario()) == [1, 2]


def test_a_newer_mask_replaces_one_that_was_not_sent() -> None:
    async def scenario() -> list[pb.StreamResponse]:
        outbox = Outbox(Scores())
        outbox.send_mask(mask("1", 1))
        outbox.send_mask(mask("2", 1))
        outbox.send_mask(mask("1", 2))
        outbox.close()
        return await drain(outbox)

    found = {r.mask.sop_instance_uid: r.mask.revision for r in asyncio.run(scenario())}
    assert found == {"1": 2, "2": 1}


def test_an_error_ends_the_call_after_what_was_waiting() -> None:
    seen: list[pb.StreamResponse] = []

    async def scenario() -> None:
        outbox = Outbox(Scores())
        outbox.send(ack(1))
        outbox.close(shutting_down())
        outbox.send(ack(2))
        async for response in outbox:
            seen.append(response)

    with pytest.raises(ScanError, match="shutting down"):
        asyncio.run(scenario())
    assert [response.ack.sequence for response in seen] == [1]


def test_what_was_sent_while_the_caller_read_comes_before_the_error() -> None:
    read = []

    async def scenario() -> None:
        outbox = Outbox(Scores())
        outbox.send(ack(0))
        async for response in outbox:
            read.append(response.ack.sequence)
            if response.ack.sequence == 0:
                outbox.send(ack(1))
                outbox.close(shutting_down())

    with pytest.raises(ScanError):
        asyncio.run(scenario())
    assert read == [0, 1]


def test_a_caller_that_leaves_much_unread_is_not_read_from() -> None:
    """By the count of what waits for it, and by its bytes, until it has read again."""
    large = mask("1", 1)
    large.rows, large.runs[:] = 512, [2**30] * (MOST_BYTES // 5)
    assert large.ByteSize() >= MOST_BYTES

    async def is_room(outbox: Outbox) -> bool:
        waiting = asyncio.create_task(outbox.room())
        await asyncio.sleep(0)
        return not waiting.cancel()

    async def scenario() -> None:
        outbox = Outbox(Scores())
        reading = aiter(outbox)
        for sequence in range(MOST_WAITING):
            assert await is_room(outbox)
            outbox.send(ack(sequence))
        assert not await is_room(outbox)
        assert (await anext(reading)).ack.sequence == 0
        assert await is_room(outbox)
        outbox.send_mask(large)
        assert not await is_room(outbox)
        outbox.send_mask(mask("1", 2))
        for _ in range(MOST_WAITING - 1):
            await anext(reading)
        assert (await anext(reading)).mask.revision == 2
        assert await is_room(outbox)
        outbox.send_mask(large)
        assert not await is_room(outbox)
        outbox.close()
        assert await is_room(outbox)

    asyncio.run(scenario())


def test_masks_that_come_while_the_caller_reads_come_before_the_report() -> None:
    async def scenario() -> list[str | None]:
        outbox, seen = Outbox(Scores()), []
        outbox.send_mask(mask("1", 1))
        async for response in outbox:
            seen.append(response.WhichOneof("response"))
            if len(seen) == 1:
                outbox.send(pb.StreamResponse(report=types_pb2.Report()))
                outbox.send_mask(mask("2", 1))
                outbox.close()
        return seen

    assert asyncio.run(scenario()) == ["mask", "mask", "report"]
