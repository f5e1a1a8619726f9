"""A console that sends at a steady rate and notes how long each answer took."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import grpc

from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import scan_pb2_grpc, types_pb2

_LIMIT_S = 900
_OPTIONS = (("grpc.max_send_message_length", 64 * 2**20),)


@dataclass(slots=True)
class Sent:
    """What became of a scan; seconds."""

    acks_s: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    behind_s: float = 0.0
    last_to_report_s: float | None = None
    report: types_pb2.Report | None = None
    error: str = ""

    @property
    def faults(self) -> list[str]:
        found = [f"a slice was refused: {reason}" for reason in self.refused]
        if self.report is None:
            found.append(f"a scan got no report: {self.error}")
        return found


class Console:
    """Sends one scan.

    Parameters
    ----------
    rate
        Slices a second, whatever the daemon does; None: as fast as it takes them.
    """

    def __init__(self, opening: pb.OpenScan, slices: Iterable[pb.Slice], rate: float | None):
        self._opening, self._slices, self._rate = opening, slices, rate
        self._left: dict[int, float] = {}
        self._last = 0.0
        self.sent = Sent()

    def send(self, target: str) -> Sent:
        with grpc.insecure_channel(target, options=_OPTIONS) as channel:
            stub = scan_pb2_grpc.ScanServiceStub(channel)
            try:
                for response in stub.Stream(self._requests(), timeout=_LIMIT_S):
                    self._note(response, time.perf_counter())
            except grpc.RpcError as error:
                self.sent.error = str(error)
        return self.sent

    def _requests(self) -> Iterator[pb.StreamRequest]:
        yield pb.StreamRequest(open=self._opening)
        began = time.perf_counter()
        for number, item in enumerate(self._slices):
            due = began + number / self._rate if self._rate else 0.0
            while (early := due - time.perf_counter()) > 0:
                time.sleep(early)
            self._last = time.perf_counter()
            self.sent.behind_s = max(self.sent.behind_s, self._last - due) if due else 0.0
            self._left[item.sequence] = self._last
            yield pb.StreamRequest(slice=item)
        yield pb.StreamRequest(end=pb.EndScan())

    def _note(self, response: pb.StreamResponse, now: float) -> None:
        match response.WhichOneof("response"):
            case "ack":
                self.sent.acks_s.append(now - self._left[response.ack.sequence])
            case "slice_refused":
                self.sent.refused.append(response.slice_refused.refusal.reason)
            case "report":
                self.sent.report = response.report
                self.sent.last_to_report_s = now - self._last
