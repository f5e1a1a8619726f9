"""The slices of one scan on their way into the spool, and out of it again."""

from __future__ import annotations

import asyncio

from appliance.live.errors import not_kept
from appliance.scan.events import CompletedBy
from appliance.scan.slice import Slice
from appliance.storage.errors import SpoolError
from appliance.storage.record import Record, RecordKind, RecordRef
from appliance.storage.spool import Spool
from breathhold.v1 import scan_pb2 as pb


class KeptSlices:
    """What the spool holds of one scan. Used from the event loop, but for `find` and `read`.

    Every method that keeps something raises ScanError when that fails.
    """

    def __init__(self, scan_id: str, spool: Spool) -> None:
        self._scan_id, self._spool = scan_id, spool
        self._refs: dict[str, RecordRef] = {}
        self._under_way: dict[str, tuple[Slice, asyncio.Future[RecordRef]]] = {}

    @property
    def uids(self) -> list[str]:
        """SOP Instance UIDs of the slices that are durable."""
        return sorted(self._refs)

    async def submit(self, message: pb.Slice, read: Slice) -> asyncio.Future[RecordRef]:
        """Put a slice in line for the disk; the future is done when it is durable."""
        uid = read.header.sop_instance_uid
        try:
            record = Record(RecordKind.SLICE, uid, message.SerializeToString())
            durable = await self._spool.enqueue(self._scan_id, record)
        except SpoolError as error:
            raise not_kept(error) from error
        self._under_way[uid] = (read, durable)
        durable.add_done_callback(lambda done: self._settled(uid, done))
        return durable

    def _settled(self, uid: str, done: asyncio.Future[RecordRef]) -> None:
        if not done.cancelled() and done.exception() is None:
            self._refs[uid] = done.result()
            del self._under_way[uid]

    async def durable(self, uid: str) -> None:
        """Return once a slice that was submitted is durable."""
        if uid in self._under_way:
            await self.settled(self._under_way[uid][1])

    async def settled(self, durable: asyncio.Future[RecordRef]) -> None:
        try:
            await self._spool.durable(durable)
        except SpoolError as error:
            raise not_kept(error) from error

    async def end(self, by: CompletedBy) -> None:
        """Keep the signal that the scan is complete."""
        try:
            await self._spool.append(self._scan_id, Record(RecordKind.END, by.value, b""))
        except SpoolError as error:
            raise not_kept(error) from error

    def found(self, ref: RecordRef) -> None:
        """A slice that an earlier run kept."""
        self._refs[ref.key] = ref

    def in_hand(self, uid: str) -> Slice | None:
        """A slice that is not durable yet, whose pixels are therefore still in memory."""
        read, _ = self._under_way.get(uid, (None, None))
        return read

    def read(self, uid: str) -> pb.Slice:
        """A kept slice's message. Blocks; safe to call from any thread.

        Raises
        ------
        SpoolError
            When it cannot be read.
        """
        return pb.Slice.FromString(self._spool.read(self._refs[uid]))
