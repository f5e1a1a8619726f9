"""A gRPC server that speaks the contract and breaks where a test wants it to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import scan_pb2_grpc, triage_pb2, triage_pb2_grpc, types_pb2

Requests = Iterator[pb.StreamRequest]


def with_reason(
    code: grpc.StatusCode, reason: str, message: str, retry_s: float | None = None
) -> grpc.Status:
    detail, hint = Any(), Any()
    info = error_details_pb2.ErrorInfo(reason=reason, domain="breathhold", metadata={"why": "test"})
    detail.Pack(info)
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromTimedelta(timedelta(seconds=retry_s or 0))
    hint.Pack(retry)
    details = [detail] if retry_s is None else [detail, hint]
    return rpc_status.to_status(
        status_pb2.Status(code=code.value[0], message=message, details=details)
    )


@dataclass
class Kept:
    """What the server keeps across its calls and restarts."""

    slices: dict[str, pb.Slice] = field(default_factory=dict)
    calls: list[list[str]] = field(default_factory=list)  # the slices that each call carried
    opened: list[pb.OpenScan] = field(default_factory=list)
    report: types_pb2.Report | None = None


class WireServer(scan_pb2_grpc.ScanServiceServicer, triage_pb2_grpc.TriageServiceServicer):
    """Serves one scan on a loopback port; a context manager.

    Parameters
    ----------
    kept
        What earlier servers kept.
    on_slice
        Called before each slice is kept, with the context and the number of slices of this call.
    refuse
        SOP Instance UIDs that are refused.
    port
        0 for a free one.
    """

    def __init__(
        self,
        kept: Kept | None = None,
        on_slice: Callable[[grpc.ServicerContext, int], None] = lambda context, count: None,
        refuse: tuple[str, ...] = (),
        port: int = 0,
    ) -> None:
        self.kept = kept or Kept()
        self._on_slice, self._refuse = on_slice, refuse
        self._server = grpc.server(
            futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)]
        )
        scan_pb2_grpc.add_ScanServiceServicer_to_server(self, self._server)
        triage_pb2_grpc.add_TriageServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.target = f"127.0.0.1:{self.port}"
        self.stopping = threading.Event()

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def drop(self) -> None:
        """Cut every connection."""
        self.stopping.set()
        self._server.stop(None).wait()

    def Stream(  # noqa: N802
        self, request_iterator: Requests, context: grpc.ServicerContext
    ) -> Iterator[pb.StreamResponse]:
        self.kept.opened.append(next(request_iterator).open)
        carried: list[str] = []
        self.kept.calls.append(carried)
        state = types_pb2.SCAN_STATE_REPORTED if self.kept.report else None
        yield pb.StreamResponse(
            opened=pb.Opened(
                scan_id="abc",
                state=state or types_pb2.SCAN_STATE_RECEIVING,
                kept_sop_instance_uids=sorted(self.kept.slices),
            )
        )
        yield pb.StreamResponse()  # a kind that this client does not know
        if self.kept.report is None:
            for request in request_iterator:
                if request.HasField("end"):
                    self.kept.report = types_pb2.Report(scan_id="abc", slices=len(self.kept.slices))
                    break
                yield from self._take(request.slice, carried, context)
        if self.kept.report is not None:
            yield pb.StreamResponse(report=self.kept.report)

    def _take(
        self, message: pb.Slice, carried: list[str], context: grpc.ServicerContext
    ) -> Iterator[pb.StreamResponse]:
        uid = message.raw.sop_instance_uid
        self._on_slice(context, len(carried))
        carried.append(uid)
        if uid in self._refuse:
            refusal = types_pb2.Refusal(reason="NOT_CT", message="It is no CT image.")
            yield pb.StreamResponse(
                slice_refused=pb.SliceRefused(
                    sequence=message.sequence, sop_instance_uid=uid, refusal=refusal
                )
            )
            return
        duplicate = uid in self.kept.slices
        self.kept.slices[uid] = message
        ack = pb.Ack(sequence=message.sequence, sop_instance_uid=uid, duplicate=duplicate)
        yield pb.StreamResponse(ack=ack)
        yield pb.StreamResponse(running_score=pb.RunningScore(slices_received=1))

    def GetReport(  # noqa: N802
        self, request: triage_pb2.GetReportRequest, context: grpc.ServicerContext
    ) -> triage_pb2.GetReportResponse:
        if "abc" not in (request.scan_id, request.series_instance_uid.replace("1.2.3", "abc")):
            context.abort_with_status(
                with_reason(grpc.StatusCode.NOT_FOUND, "UNKNOWN_SCAN", "There is no such scan.")
            )
        return triage_pb2.GetReportResponse(report=types_pb2.Report(scan_id="abc"))

    def GetMasks(  # noqa: N802
        self, request: triage_pb2.GetMasksRequest, context: grpc.ServicerContext
    ) -> Iterator[triage_pb2.GetMasksResponse]:
        for number in range(3):
            mask = types_pb2.SliceMask(kind=request.kind, position_mm=number)
            yield triage_pb2.GetMasksResponse(mask=mask)

    def Watch(  # noqa: N802
        self, request: triage_pb2.WatchRequest, context: grpc.ServicerContext
    ) -> Iterator[triage_pb2.WatchResponse]:
        first, second = triage_pb2.ScanSummary(scan_id="a"), triage_pb2.ScanSummary(scan_id="b")
        yield triage_pb2.WatchResponse(snapshot=triage_pb2.Snapshot(scans=[first]))
        yield triage_pb2.WatchResponse(changed=second)
        yield triage_pb2.WatchResponse(removed_scan_id="a")
        while context.is_active():
            time.sleep(0.01)
