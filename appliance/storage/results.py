"""The results store: what is known of each scan, its report and its masks."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from appliance.failpoints import hit
from appliance.storage import soundness
from appliance.storage.database import connect, migrate, named_errors, transaction
from appliance.storage.errors import ResultsConflictError, ResultsStalledError
from appliance.storage.files import FILE_MODE, make_folder
from appliance.storage.rows import (
    BEFORE_ALL,
    COURSE,
    PAGE,
    SAVE_MASK,
    SAVE_REPORT,
    SAVE_SUMMARY,
    mask_kind,
    mask_row,
    parse_token,
    summary_row,
    token,
)
from appliance.storage.stalls import STALL_S, Pulse, within
from breathhold.v1 import triage_pb2, types_pb2

MOST_A_PAGE = 1000
BUSY_TIMEOUT_S = 5.0

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SummaryPage:
    """Some scans, worst first, and the token of the page behind ("" on the last one)."""

    summaries: tuple[triage_pb2.ScanSummary, ...]
    next_token: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose scan it is and when it was taken.

    Parameters
    ----------
    patient_key
        Salted hash of the patient's id; empty when no patient is known.
    acquired_unix_s
        Seconds since 1970; when it was received where the scanner did not say.
    """

    patient_key: str = ""
    acquired_unix_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CourseScan:
    """One reported scan of a patient; `acquired_unix_s` as in :class:`Origin`."""

    report: types_pb2.Report
    acquired_unix_s: float


class ResultsStore:
    """Results in one SQLite file, each change durable when its method returns.

    Safe to use from several threads. Methods block; in an event loop call them
    through :meth:`run`.

    Parameters
    ----------
    path
        The database; made if missing, migrated if older.
    busy_timeout_s
        How long to wait, in seconds, while another connection writes.
    stall_s
        A database that takes longer hangs, s; :meth:`run` waits no longer.

    Attributes
    ----------
    checked
        Set once :meth:`check` looked through the whole file.
    damaged
        Set when that found damage. The next start then looks again.

    Raises
    ------
    ResultsVersionError
        When a newer Breathhold wrote it.
    ResultsCorruptError, ResultsUnavailableError, ResultsBusyError
        Every method may raise these.
    """

    def __init__(
        self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S, stall_s: float = STALL_S
    ) -> None:
        self._stall_s, self._pulse = stall_s, Pulse(stall_s)
        self._using = threading.Lock()
        self.checked = self.damaged = False
        self._closing, self._checking = threading.Event(), threading.Lock()
        with named_errors(path):
            soundness.take(path)
            _make_private(path)
            self._connection = connect(str(path), busy_timeout_s)
            try:
                migrate(self._connection)
            except BaseException:
                self._connection.close()
                raise
        self._path = path
        self._executor = ThreadPoolExecutor(1, "results-store")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Finish what :meth:`run` was given, then close the file."""
        self._closing.set()
        self._executor.shutdown()
        with self._checking, self._using, named_errors(self._path):
            self._connection.close()
        if not self.damaged:
            soundness.leave(self._path)

    def check(self) -> str:
        """Read the whole file and return what is wrong with it, "" when nothing. Blocks."""
        with self._checking:
            fault = soundness.damage(self._path, self._closing.is_set)
        self.checked, self.damaged = True, bool(fault)
        return fault

    @property
    def fault(self) -> str:
        """Why nothing can be relied on to be saved or found; empty while all is well."""
        if self.stalled:
            return "the disk hangs"
        return "the results are damaged" if self.damaged else ""

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call one of the methods in the store's own thread, in the order of the calls.

        Raises
        ------
        ResultsStalledError
            When it takes too long; a change may still be made. At once while the database hangs.
        """

        def timed() -> _T:
            with self._pulse.job():
                return work(*args, **kwargs)

        if self.stalled:
            raise ResultsStalledError(self._stall_s)
        async with within(self._stall_s, ResultsStalledError):
            return await asyncio.wrap_future(self._executor.submit(timed))

    @property
    def stalled(self) -> bool:
        """True while what :meth:`run` was given last hangs."""
        return self._pulse.stalled

    def save_summary(self, summary: triage_pb2.ScanSummary, study_uid: str = "") -> None:
        """Save what is known of a scan, in place of what was; its report stays.

        Parameters
        ----------
        summary
            With scan id and series UID.
        study_uid
            Study Instance UID; "" leaves the one that is stored.

        Raises
        ------
        ResultsConflictError
            When the series belongs to another scan.
        """
        with self.change() as connection:
            connection.execute(SAVE_SUMMARY, summary_row(summary, study_uid))

    def save_report(
        self,
        report: types_pb2.Report,
        masks: Iterable[types_pb2.SliceMask],
        summary: triage_pb2.ScanSummary,
        origin: Origin | None = None,
    ) -> None:
        """Save report, masks and summary of a scan at one stroke, in place of earlier ones.

        Parameters
        ----------
        report, masks, summary
            Of one scan.
        origin
            Makes it part of its patient's course; of none by default.

        Raises
        ------
        ResultsConflictError
            When report and summary are of different scans, the series belongs
            to another scan, or two masks are of one slice and kind.
        """
        if (report.scan_id, report.series_instance_uid) != (
            summary.scan_id,
            summary.series_instance_uid,
        ):
            raise ResultsConflictError("report and summary are of different scans")
        scan_id = report.scan_id
        with self.change() as connection:
            hit("results.save")
            row = summary_row(summary, report.study_instance_uid)
            connection.execute(SAVE_SUMMARY, row)
            blob = report.SerializeToString(deterministic=True)
            origin = origin or Origin(acquired_unix_s=summary.opened_unix_s)
            place = (origin.patient_key, origin.acquired_unix_s)
            connection.execute(SAVE_REPORT, (blob, *place, scan_id))
            connection.execute("DELETE FROM masks WHERE scan_id = ?", (scan_id,))
            connection.executemany(SAVE_MASK, (mask_row(scan_id, mask) for mask in masks))
            hit("results.commit")
        hit("results.saved")

    def summary(self, scan_id: str) -> triage_pb2.ScanSummary | None:
        """Return what is known of a scan; None when it is not known."""
        found = self._query("SELECT summary FROM scans WHERE scan_id = ?", scan_id)
        return triage_pb2.ScanSummary.FromString(found[0]) if found else None

    def report(self, scan_id: str) -> types_pb2.Report | None:
        """Return the report of a scan; None when there is none (yet)."""
        query = "SELECT report FROM scans WHERE scan_id = ? AND report IS NOT NULL"
        found = self._query(query, scan_id)
        return types_pb2.Report.FromString(found[0]) if found else None

    def patient_key(self, scan_id: str) -> str:
        """Return whose scan it is; "" when that, or the scan, is not known."""
        found = self._query("SELECT patient_key FROM scans WHERE scan_id = ?", scan_id)
        return str(found[0]) if found else ""

    def course(self, patient_key: str) -> list[CourseScan]:
        """Return all reported scans of a patient, the first acquired first."""
        with self._using, named_errors(self._path):
            rows = self._connection.execute(COURSE, (patient_key,)).fetchall()
        return [CourseScan(types_pb2.Report.FromString(blob), when) for blob, when in rows]

    def masks(
        self, scan_id: str, kind: types_pb2.MaskKind.ValueType = types_pb2.MASK_KIND_LESION
    ) -> Iterator[types_pb2.SliceMask]:
        """Yield the masks of one kind, foot to head; all of one report, even if it is replaced."""
        query = (
            "SELECT mask FROM masks WHERE scan_id = ? AND kind = ? ORDER BY position_mm, sop_uid"
        )
        found = self._query(query, scan_id, mask_kind(kind))
        return (types_pb2.SliceMask.FromString(blob) for blob in found)

    def summaries(self, limit: int, after: str = "") -> SummaryPage:
        """Return scans worst first: by priority, then by PO; scans without a score last.

        Parameters
        ----------
        limit
            Scans a page, 1 to 1000.
        after
            The token of the page before, "" for the first.

        Raises
        ------
        ValueError
            When the limit or the token is none.
        """
        if not 1 <= limit <= MOST_A_PAGE:
            raise ValueError(f"a page has 1 to {MOST_A_PAGE} scans, not {limit}")
        start = parse_token(after) if after else BEFORE_ALL
        found = [
            triage_pb2.ScanSummary.FromString(blob) for blob in self._query(PAGE, *start, limit + 1)
        ]
        page = tuple(found[:limit])
        return SummaryPage(page, token(page[-1]) if len(found) > limit else "")

    def forget(self, scan_id: str) -> None:
        """Remove all that is known of a scan; nothing happens when it is not known."""
        with self.change() as connection:
            connection.execute("DELETE FROM scans WHERE scan_id = ?", (scan_id,))

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """Make changes at one stroke, and keep them; for :mod:`appliance.storage.ages`."""
        with self._using, named_errors(self._path), transaction(self._connection) as connection:
            yield connection

    def _query(self, query: str, *values: str | float) -> list[Any]:
        """Return the one column that was asked for, of all rows."""
        with self._using, named_errors(self._path):
            rows = self._connection.execute(query, values).fetchall()
        return [row[0] for row in rows]


def _make_private(path: Path) -> None:
    """Make the file before SQLite does, which would let others read it."""
    make_folder(path.parent)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE))
