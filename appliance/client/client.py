"""The client of one appliance."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import grpc

from appliance.client.errors import ClientError, from_rpc
from appliance.client.sending import Call, Interrupted, OutgoingScan, ScanEvent, Sending
from appliance.client.tls import ClientTls
from breathhold.v1 import (
    model_pb2,
    model_pb2_grpc,
    scan_pb2_grpc,
    triage_pb2,
    triage_pb2_grpc,
    types_pb2,
)
from breathhold.v1 import scan_pb2 as pb

#: An appliance that never answered is given up after this, however patient the caller, s.
_FIRST_ANSWER_S = 10.0
_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 3.0
_ANSWER_S = 30.0
#: Plans for a GPU are built for minutes.
_MODELS_LOAD_S = 1800.0
_SERIES_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_OPTIONS = (
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.max_send_message_length", 64 * 2**20),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


class ScanClient:
    """Talks to one appliance. Close it, or use it in a ``with`` statement.

    Parameters
    ----------
    target
        HOST:PORT of the appliance's gRPC address.
    tls
        None: not encrypted.

    Raises
    ------
    ValueError, OSError
        When the files of `tls` do not belong together, or cannot be read.
    """

    def __init__(self, target: str, tls: ClientTls | None = None) -> None:
        self.target = target
        self._channel = (
            tls.channel(target, _OPTIONS)
            if tls
            else grpc.insecure_channel(target, options=_OPTIONS)
        )
        self._scans = scan_pb2_grpc.ScanServiceStub(self._channel)
        self._triage = triage_pb2_grpc.TriageServiceStub(self._channel)
        self._models = model_pb2_grpc.ModelServiceStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def send(self, scan: OutgoingScan, *, patience_s: float = 60.0) -> Iterator[ScanEvent]:
        """Send a scan and yield all that the appliance says of it, the report last.

        When the connection breaks, or the appliance asks to try again (its disk is full, a
        slice or the report could not be kept), an :class:`Interrupted` is yielded, the scan is
        opened again, and only slices that were not kept are sent. A scan that was
        finished before is answered with its report.

        Parameters
        ----------
        scan
            What to send.
        patience_s
            How long to try without any answer before giving up, s, or with no other answer
            than to try again; an appliance that did not answer even once is given up after
            10 s at most.

        Raises
        ------
        ClientError
            When the appliance refuses the scan, or patience is at an end.
        OSError
            When a slice cannot be read.
        """
        sending = Sending(scan)
        heard, wait_s = time.monotonic(), _FIRST_WAIT_S
        patience, asked_again = min(patience_s, _FIRST_ANSWER_S), None
        while True:
            try:
                for event in self._call(sending):
                    yield event
                    patience = patience_s
                    if not isinstance(event, pb.Opened):
                        heard, wait_s = time.monotonic(), _FIRST_WAIT_S
                    if isinstance(event, pb.Ack | pb.SliceRefused):
                        asked_again = None
                    if isinstance(event, types_pb2.Report):
                        return
                raise ClientError(
                    grpc.StatusCode.UNAVAILABLE, "", "The call ended without a report."
                )
            except ClientError as error:
                wait_s = max(wait_s, error.retry_s or 0)
                since = heard
                if error.reason:
                    patience = patience_s
                    since = asked_again = asked_again or time.monotonic()
                if not error.passing or time.monotonic() + wait_s - since > patience:
                    raise
                yield Interrupted(error, wait_s)
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _call(self, sending: Sending) -> Iterator[ScanEvent]:
        call = Call()
        responses = self._scans.Stream(sending.requests(call))
        responses.add_callback(call.ended)
        call.on_failure(responses.cancel)
        try:
            for response in responses:
                if event := _event(response):
                    sending.note(event)
                    call.note(event)
                    yield event
        except grpc.RpcError as error:
            if call.failure:
                raise call.failure from error
            raise from_rpc(error, self.target) from error
        finally:
            responses.cancel()
            call.ended()

    def watch(self) -> Iterator[triage_pb2.WatchResponse]:
        """The triage board: a snapshot, then each change, until the caller stops reading.

        Raises
        ------
        ClientError
            When the connection breaks.
        """
        responses = self._triage.Watch(triage_pb2.WatchRequest())
        try:
            yield from responses
        except grpc.RpcError as error:
            raise from_rpc(error, self.target) from error
        finally:
            responses.cancel()

    def report(self, scan: str) -> types_pb2.Report:
        """The final report of a scan, named by its scan id or its Series Instance UID.

        Raises
        ------
        ClientError
            NOT_FOUND, or FAILED_PRECONDITION while it has no report yet.
        """
        scan_id, series = _named(scan)
        request = triage_pb2.GetReportRequest(scan_id=scan_id, series_instance_uid=series)
        try:
            return self._triage.GetReport(request, timeout=_ANSWER_S).report
        except grpc.RpcError as error:
            raise from_rpc(error, self.target) from error

    def masks(self, scan: str, kind: types_pb2.MaskKind.ValueType) -> list[types_pb2.SliceMask]:
        """The masks of a reported scan, foot to head.

        Raises
        ------
        ClientError
            As `report`.
        """
        scan_id, series = _named(scan)
        request = triage_pb2.GetMasksRequest(scan_id=scan_id, series_instance_uid=series, kind=kind)
        try:
            return [answer.mask for answer in self._triage.GetMasks(request, timeout=_ANSWER_S)]
        except grpc.RpcError as error:
            raise from_rpc(error, self.target) from error

    def course(self, scan: str = "", *, patient_key: str = "") -> triage_pb2.GetCourseResponse:
        """Every reported scan of a patient, the first acquired first.

        Parameters
        ----------
        scan
            One of the patient's scans, by its scan id or its Series Instance UID; or else
        patient_key
            as a report's follow-up gives it.

        Raises
        ------
        ClientError
            As `report`, and when the scan names no patient.
        """
        scan_id, series = _named(scan)
        request = triage_pb2.GetCourseRequest(
            scan_id=scan_id, series_instance_uid=series, patient_key=patient_key
        )
        try:
            return self._triage.GetCourse(request, timeout=_ANSWER_S)
        except grpc.RpcError as error:
            raise from_rpc(error, self.target) from error

    def models(self) -> list[model_pb2.Model]:
        """The models that serve.

        Raises
        ------
        ClientError
            When the appliance cannot be reached.
        """
        return list(self.served().models)

    def served(self) -> model_pb2.ListModelsResponse:
        """The models that serve, on which devices, and what only finishes scans in progress.

        Raises
        ------
        ClientError
            When the appliance cannot be reached.
        """
        try:
            return self._models.ListModels(model_pb2.ListModelsRequest(), timeout=_ANSWER_S)
        except grpc.RpcError as error:
            raise from_rpc(error, self.target) from error

    def use_model(self, name: str, version: int) -> list[model_pb2.ModelChange]:
        """Have new scans inferred by a version of a model; returns what changed, once it serves.

        Raises
        ------
        ClientError
            When it cannot be served; the models serve on as before.
        """
        request = model_pb2.UseModelRequest(name=name, version=version)
        try:
            return list(self._models.UseModel(request, timeout=_MODELS_LOAD_S).changes)
        except grpc.RpcError as error:
            raise from_rpc(error, self.target) from error

    def roll_back_model(self, name: str) -> list[model_pb2.ModelChange]:
        """Have new scans inferred by the version that served before; see `use_model`."""
        request = model_pb2.RollBackModelRequest(name=name)
        try:
            return list(self._models.RollBackModel(request, timeout=_MODELS_LOAD_S).changes)
        except grpc.RpcError as error:
            raise from_rpc(error, self.target) from error

    def reload_models(self) -> list[model_pb2.ModelChange]:
        """Have new scans inferred by what the repository describes; see `use_model`."""
        request = model_pb2.ReloadModelsRequest()
        try:
            return list(self._models.ReloadModels(request, timeout=_MODELS_LOAD_S).changes)
        except grpc.RpcError as error:
            raise from_rpc(error, self.target) from error


def _event(response: pb.StreamResponse) -> ScanEvent | None:
    """What the response holds; None for a kind that a newer appliance may send."""
    name = response.WhichOneof("response")
    return getattr(response, name) if name else None


def _named(scan: str) -> tuple[str, str]:
    """Scan id and series UID, one of them empty."""
    return ("", scan) if _SERIES_UID.fullmatch(scan) else (scan, "")
