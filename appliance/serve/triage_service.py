"""TriageService: every scan of every console, worst first."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import grpc

from appliance.access.roles import caller
from appliance.followup.course import points
from appliance.live.board import Board
from appliance.live.errors import CallStatus, ScanError, not_yours, results_unavailable
from appliance.live.scans import scan_id_of
from appliance.serve.fields import check_names
from appliance.serve.record import call_record
from appliance.serve.status import abort
from appliance.storage.errors import StorageError
from appliance.storage.results import CourseScan, ResultsStore
from breathhold.v1 import triage_pb2 as pb
from breathhold.v1 import triage_pb2_grpc, types_pb2

_PAGE_SIZE = 100
_MOST = 1000
_TOKEN = re.compile(r"[0-9]{1,9}")


class TriageService(triage_pb2_grpc.TriageServiceServicer):
    """The board, and what is known of finished scans."""

    def __init__(self, board: Board, results: ResultsStore) -> None:
        self._board, self._results = board, results

    async def Watch(  # noqa: N802
        self,
        request: pb.WatchRequest,
        context: grpc.aio.ServicerContext[pb.WatchRequest, pb.WatchResponse],
    ) -> AsyncIterator[pb.WatchResponse]:
        async for change in self._board.watch():
            yield change

    async def ListScans(  # noqa: N802
        self,
        request: pb.ListScansRequest,
        context: grpc.aio.ServicerContext[pb.ListScansRequest, pb.ListScansResponse],
    ) -> pb.ListScansResponse:
        try:
            start = _page_start(request.page_token)
        except ScanError as error:
            await abort(context, error)
        size = min(request.page_size or _PAGE_SIZE, _MOST)
        scans = self._board.summaries()
        more = start + size < len(scans)
        return pb.ListScansResponse(
            scans=scans[start : start + size],
            next_page_token=str(start + size) if more else "",
        )

    async def GetReport(  # noqa: N802
        self,
        request: pb.GetReportRequest,
        context: grpc.aio.ServicerContext[pb.GetReportRequest, pb.GetReportResponse],
    ) -> pb.GetReportResponse:
        try:
            check_names(request)
            return pb.GetReportResponse(report=await self._report(request))
        except ScanError as error:
            await abort(context, error)

    async def GetMasks(  # noqa: N802
        self,
        request: pb.GetMasksRequest,
        context: grpc.aio.ServicerContext[pb.GetMasksRequest, pb.GetMasksResponse],
    ) -> AsyncIterator[pb.GetMasksResponse]:
        try:
            check_names(request)
            report = await self._report(request)
            kind = request.kind or types_pb2.MASK_KIND_LESION
            masks = await self._masks(report.scan_id, kind)
        except ScanError as error:
            await abort(context, error)
        for mask in masks:
            yield pb.GetMasksResponse(mask=mask)

    async def GetCourse(  # noqa: N802
        self,
        request: pb.GetCourseRequest,
        context: grpc.aio.ServicerContext[pb.GetCourseRequest, pb.GetCourseResponse],
    ) -> pb.GetCourseResponse:
        try:
            check_names(request)
            key = await self._patient_key(request)
            scans = await self._course(key)
        except ScanError as error:
            await abort(context, error)
        return pb.GetCourseResponse(patient_key=key, points=points(scans, key))

    async def _patient_key(self, request: pb.GetCourseRequest) -> str:
        named = (request.scan_id, request.series_instance_uid, request.patient_key)
        if sum(map(bool, named)) != 1:
            raise ScanError(
                CallStatus.INVALID_ARGUMENT,
                "NAME_ONE",
                "Name one of scan, series or patient.",
            )
        if request.patient_key:
            return request.patient_key
        report = await self._report(request)
        try:
            key = await self._results.run(self._results.patient_key, report.scan_id)
        except StorageError as error:
            raise results_unavailable(error) from error
        if not key:
            raise ScanError(
                CallStatus.FAILED_PRECONDITION, "NO_PATIENT", "The scan names no patient."
            )
        return key

    async def _course(self, patient_key: str) -> list[CourseScan]:
        try:
            scans = await self._results.run(self._results.course, patient_key)
        except StorageError as error:
            raise results_unavailable(error) from error
        if not scans:
            raise ScanError(CallStatus.NOT_FOUND, "UNKNOWN_PATIENT", "There is no such patient.")
        _record(scans[-1].report)
        return scans

    async def _masks(
        self, scan_id: str, kind: types_pb2.MaskKind.ValueType
    ) -> Iterator[types_pb2.SliceMask]:
        try:
            return await self._results.run(self._results.masks, scan_id, kind)
        except StorageError as error:
            raise results_unavailable(error) from error

    async def _check_owner(self, report: types_pb2.Report) -> None:
        """Raise unless the caller may read this scan, and say in the trail which one it is."""
        _record(report)
        try:
            summary = await self._results.run(self._results.summary, report.scan_id)
        except StorageError as error:
            raise results_unavailable(error) from error
        if summary and not caller().may_read(summary.caller):
            raise not_yours()

    async def _is_known(self, scan_id: str) -> bool:
        try:
            return bool(await self._results.run(self._results.summary, scan_id))
        except StorageError as error:
            raise results_unavailable(error) from error

    async def _report(
        self, request: pb.GetReportRequest | pb.GetMasksRequest | pb.GetCourseRequest
    ) -> types_pb2.Report:
        scan_id = request.scan_id or scan_id_of(request.series_instance_uid)
        try:
            report = await self._results.run(self._results.report, scan_id)
        except StorageError as error:
            raise results_unavailable(error) from error
        if report is not None:
            await self._check_owner(report)
            return report
        if scan_id in self._board or await self._is_known(scan_id):
            raise ScanError(
                CallStatus.FAILED_PRECONDITION, "NOT_REPORTED", "The scan has no report yet."
            )
        raise ScanError(CallStatus.NOT_FOUND, "UNKNOWN_SCAN", "There is no such scan.")


def _record(report: types_pb2.Report) -> None:
    """Say in the trail which scan a call is about; of a course it is the last."""
    record = call_record()
    record.scan_id = report.scan_id
    record.uids["study"] = report.study_instance_uid
    record.uids["series"] = report.series_instance_uid


def _page_start(token: str) -> int:
    if token and not _TOKEN.fullmatch(token):
        raise ScanError(
            CallStatus.INVALID_ARGUMENT, "BAD_PAGE_TOKEN", "That page token was not given out here."
        )
    return int(token or 0)
