"""One scan on its way: what is still to send, call after call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from appliance.client.errors import ClientError
from appliance.client.slices import OutgoingSlice
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import types_pb2

_OPEN_STATES = (types_pb2.SCAN_STATE_UNSPECIFIED, types_pb2.SCAN_STATE_RECEIVING)


@dataclass(frozen=True, slots=True)
class OutgoingScan:
    """A scan to send.

    Parameters
    ----------
    open
        The request that opens it.
    slices
        In the order of sending; the same slice may stand there twice.
    rate
        Slices a second; None sends as fast as they are accepted.
    """

    open: pb.OpenScan
    slices: Sequence[OutgoingSlice]
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The connection broke; the scan goes on after `wait_s` seconds."""

    error: ClientError
    wait_s: float


ScanEvent = (
    pb.Opened
    | pb.Ack
    | pb.SliceRefused
    | pb.RunningScore
    | types_pb2.SliceMask
    | types_pb2.Warning
    | types_pb2.Report
    | Interrupted
)


class Sending:
    """What was answered so far; lives across calls.

    A slice keeps its sequence number, its place in the scan, whatever call carries it.
    """

    def __init__(self, scan: OutgoingScan) -> None:
        self.scan = scan
        self.last_sent: float | None = None
        self._refused: set[int] = set()

    def requests(self, call: Call) -> Iterator[pb.StreamRequest]:
        """The requests of one call; ends early when the call has ended or a slice is unreadable."""
        try:
            yield from self._requests(call)
        except OSError as error:
            call.fail(error)

    def _requests(self, call: Call) -> Iterator[pb.StreamRequest]:
        yield pb.StreamRequest(open=self.scan.open)
        opened = call.wait_opened()
        if opened is None or opened.state not in _OPEN_STATES:
            return
        due = time.monotonic()
        for sequence in self._missing(opened):
            if call.wait_until(due):
                return
            yield self._slice(sequence)
            self.last_sent = time.monotonic()
            due = max(due, self.last_sent - 1) + self._interval
        yield pb.StreamRequest(end=pb.EndScan())

    def note(self, event: ScanEvent) -> None:
        """Remember what the appliance will not take; it need not be sent again."""
        if isinstance(event, pb.SliceRefused):
            self._refused.add(event.sequence)

    @property
    def _interval(self) -> float:
        return 1 / self.scan.rate if self.scan.rate else 0.0

    def _missing(self, opened: pb.Opened) -> list[int]:
        kept = set(opened.kept_sop_instance_uids)
        return [
            sequence
            for sequence, outgoing in enumerate(self.scan.slices, start=1)
            if sequence not in self._refused and outgoing.sop_instance_uid not in kept
        ]

    def _slice(self, sequence: int) -> pb.StreamRequest:
        message = self.scan.slices[sequence - 1].message()
        message.sequence = sequence
        return pb.StreamRequest(slice=message)


class Call:
    """What the sending and the receiving side of one call tell each other."""

    def __init__(self) -> None:
        self.failure: OSError | None = None
        self._changed = threading.Condition()
        self._opened: pb.Opened | None = None
        self._ended = False
        self._break_off: Callable[[], object] = lambda: None

    def on_failure(self, break_off: Callable[[], object]) -> None:
        """What ends the call when the sending side cannot go on."""
        self._break_off = break_off

    def fail(self, failure: OSError) -> None:
        self.failure = failure
        self._break_off()

    def note(self, event: ScanEvent) -> None:
        if isinstance(event, pb.Opened):
            with self._changed:
                self._opened = event
                self._changed.notify_all()

    def ended(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_opened(self) -> pb.Opened | None:
        """What the scan was opened with; None when the call ended before."""
        with self._changed:
            self._changed.wait_for(lambda: self._opened is not None or self._ended)
            return None if self._ended else self._opened

    def wait_until(self, due: float) -> bool:
        """Wait for a point of the monotonic clock; True when the call ended meanwhile."""
        with self._changed:
            return self._changed.wait_for(lambda: self._ended, max(0.0, due - time.monotonic()))
