"""What spool and results hold of scans that are not in progress."""

from __future__ import annotations

import logging

from appliance.live.errors import not_kept, results_unavailable
from appliance.live.services import Services
from appliance.scan.verdicts import Notice, NoticeReason
from appliance.storage.errors import (
    SpoolCorruptError,
    SpoolError,
    SpoolUnknownScanError,
    StorageError,
)
from appliance.storage.record import RecordKind, RecordRef
from appliance.storage.reopening import RecoveredScan
from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import types_pb2

logger = logging.getLogger(__name__)

_FINAL = (types_pb2.COMPLETED_BY_END, types_pb2.COMPLETED_BY_COUNT)
_SLICES_LOST = Notice(
    NoticeReason.SLICES_LOST,
    "The disk of the appliance damaged what it kept of this scan: slices that were acknowledged "
    "may be lost. Those that it does not list as kept have to be sent again.",
)


class KeptScans:
    """Looks scans up where they are kept.

    Parameters
    ----------
    services
        The rooms around the scans.

    Raises
    ------
    ScanError
        `owner` and `report`, and `is_finished`, when results or spool cannot be read.
    SpoolError
        The others, when the spool cannot be read.
    """

    def __init__(self, services: Services) -> None:
        self._results, self._spool = services.results, services.spool
        self._logs_set_aside = services.metrics.logs_set_aside

    async def owner(self, scan_id: str) -> str:
        """Who sent a scan, looked up without touching it; empty when nobody knows."""
        results, spool = self._results, self._spool
        try:
            summary = await results.run(results.summary, scan_id)
            if summary and summary.caller:
                return summary.caller
            first = await spool.run(spool.first, scan_id)
        except SpoolError as error:
            raise not_kept(error) from error
        except StorageError as error:
            raise results_unavailable(error) from error
        opening = first is not None and first.kind is RecordKind.OPEN
        return pb.OpenScan.FromString(first.payload).caller if first and opening else ""

    async def report(self, scan_id: str) -> types_pb2.Report | None:
        """The report of a scan; None when it has none."""
        try:
            return await self._results.run(self._results.report, scan_id)
        except StorageError as error:
            raise results_unavailable(error) from error

    async def may_go_on(self, report: types_pb2.Report) -> bool:
        """A scan that only fell silent goes on, as long as its slices are kept."""
        if report.completed_by in _FINAL:
            return False
        return report.scan_id in await self._spool.run(self._spool.scans)

    async def recovered(self, scan_id: str) -> tuple[tuple[RecordRef, ...], pb.OpenScan | None]:
        """What the spool holds of a scan, and how it was opened; None when it holds nothing."""
        try:
            refs = (await self._recover(scan_id)).records
        except SpoolUnknownScanError:
            return (), None
        if not refs or refs[0].kind is not RecordKind.OPEN:
            await self._spool.run(self._spool.remove, scan_id)
            return (), None
        opened = pb.OpenScan.FromString(await self._spool.run(self._spool.read, refs[0]))
        return refs, opened

    async def _recover(self, scan_id: str) -> RecoveredScan:
        """A scan's log; of a damaged one what was salvaged."""
        spool = self._spool
        try:
            return await spool.run(spool.recover, scan_id)
        except SpoolCorruptError as error:
            self._logs_set_aside.inc()
            logger.error("%s: slices that were acknowledged may be lost", error)
        return await spool.run(spool.recover, scan_id)

    async def losses(self, scan_id: str) -> list[Notice]:
        """What a scan's callers and its report are to say when its log was damaged."""
        damaged = await self._spool.run(self._spool.was_damaged, scan_id)
        return [_SLICES_LOST] if damaged else []

    async def is_finished(self, scan_id: str) -> bool:
        """True when a report covers every kept slice; a silent scan may have more since.

        One of before damage stands, where it covers more than the damage left.
        """
        report = await self.report(scan_id)
        if report is None:
            return False
        if report.completed_by in _FINAL:
            return True
        refs, _ = await self.recovered(scan_id)
        if not refs or refs[-1].kind is RecordKind.END:
            return True
        kept = sum(ref.kind is RecordKind.SLICE for ref in refs)
        return kept <= report.slices and bool(await self.losses(scan_id))
