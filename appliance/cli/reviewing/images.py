"""The images of a scan that is exported: from the folder it was sent from, or from the spool."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from appliance.cli.errors import CliError
from appliance.ingest import (
    DEFAULT_LIMITS,
    SliceRefusedError,
    find_series,
    peek_uids,
    read_dicom,
    read_raw,
)
from appliance.scan.slice import Slice
from appliance.storage.logfile import LOG_NAME
from appliance.storage.reader import LogReader, read_payload
from appliance.storage.record import RecordKind
from breathhold.v1 import scan_pb2


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """One slice, and the DICOM file it came in; empty where it was sent raw."""

    slice: Slice
    dicom: bytes


def images_in_folder(folder: Path, uids: Iterable[str]) -> list[Image]:
    """The slices of these UIDs from DICOM files below a folder, in the order of the UIDs.

    Raises
    ------
    CliError
        When one is not there, or cannot be read.
    """
    files = [file for series in find_series(folder).series for file in series.files]
    paths = {peek_uids(file.read_bytes()).sop: file for file in files}
    found = []
    for uid in uids:
        if uid not in paths:
            raise CliError(
                f"A slice of the scan is not in {folder}; give the folder it was sent from."
            )
        data = paths[uid].read_bytes()
        found.append(Image(_read(paths[uid], data), data))
    return found


def images_in_spool(state: Path, scan_id: str, series: str, uids: Iterable[str]) -> list[Image]:
    """The slices of these UIDs as an appliance on this machine keeps them.

    Parameters
    ----------
    state
        The appliance's state folder; it is only read.
    scan_id, series
        Which scan, and its Series Instance UID.
    uids
        In this order.

    Raises
    ------
    CliError
        When the appliance does not keep the scan's slices (any more).
    StorageError
        When what it keeps is damaged.
    """
    log = state / "spool" / scan_id / LOG_NAME
    if not log.is_file():
        raise CliError(
            f"{state} keeps no slices of this scan: they are kept for some hours only "
            "(storage.keep_slices_hours). Give the folder it was sent from (--dicom)."
        )
    with log.open("rb") as file:
        records = LogReader(file, scan_id, log.stat().st_size).content().records
    refs = {ref.key: ref for ref in records if ref.kind is RecordKind.SLICE}
    if missing := [uid for uid in uids if uid not in refs]:
        raise CliError(f"{state} keeps {len(missing)} slices of this scan no more.")
    return [_kept(read_payload(log, refs[uid]), series) for uid in uids]


def _kept(payload: bytes, series: str) -> Image:
    message = scan_pb2.Slice.FromString(payload)
    if message.WhichOneof("content") == "dicom":
        return Image(read_dicom(message.dicom), message.dicom)
    return Image(read_raw(message.raw, series, DEFAULT_LIMITS), b"")


def _read(path: Path, data: bytes) -> Slice:
    try:
        return read_dicom(data)
    except SliceRefusedError as error:
        raise CliError(f"{path}: {error.refusal.message}") from error
