"""Which DICOM series lie in a folder, for a client that sends them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from appliance.ingest.errors import SliceRefusedError, refuse
from appliance.ingest.header import Header, MalformedValueError, Tag
from appliance.ingest.limits import DEFAULT_LIMITS, IngestLimits
from appliance.ingest.part10 import open_part10
from appliance.scan.verdicts import Refusal, RefusalReason


class Uids(NamedTuple):
    """Who a file says it is; empty where it does not say."""

    study: str
    series: str
    sop: str


@dataclass(frozen=True, slots=True)
class Series:
    """The files of one series, in the order a scanner would send them.

    Parameters
    ----------
    study_uid, series_uid
        As in the files; `study_uid` is the first file's.
    files
        Sorted by place along the patient axis from foot to head, those without a
        place after them by instance number, then by name.
    """

    study_uid: str
    series_uid: str
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    """One file left out of the listing, and why."""

    path: Path
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class FolderListing:
    """What a folder holds: series, largest first, and the files left out."""

    series: tuple[Series, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True, slots=True, order=True)
class _Entry:
    """One DICOM file; sorts in the order of sending."""

    without_place: bool
    place: float
    instance: float
    path: Path
    uids: Uids


def peek_uids(data: bytes, limits: IngestLimits = DEFAULT_LIMITS) -> Uids:
    """Study, series and SOP Instance UID of a file, without decoding its pixels.

    Raises
    ------
    SliceRefusedError
        When the bytes are not readable DICOM.
    """
    return _uids(Header(open_part10(data, limits)))


def find_series(path: Path, limits: IngestLimits = DEFAULT_LIMITS) -> FolderListing:
    """Group the DICOM files below a folder (or one file) by series.

    A file that has pixels is listed whether or not the appliance will accept it: that is
    the appliance's to say. Files that are not DICOM, cannot be parsed or hold no image are
    skipped.

    Parameters
    ----------
    path
        A folder, searched at all depths, or one file.
    limits
        What a file may cost to look at.

    Raises
    ------
    OSError
        When `path` does not exist.
    """
    entries: list[_Entry] = []
    skipped: list[Skipped] = []
    for file in _files(path):
        try:
            entries.append(_look_at(file, limits))
        except SliceRefusedError as error:
            skipped.append(Skipped(file, error.refusal))
    return FolderListing(_group(entries), tuple(skipped))


def _files(path: Path) -> Iterator[Path]:
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    if path.is_dir():
        yield from sorted(file for file in path.rglob("*") if file.is_file())
    else:
        yield path


def _look_at(file: Path, limits: IngestLimits) -> _Entry:
    try:
        if file.stat().st_size > limits.max_bytes:
            raise refuse(RefusalReason.TOO_LARGE, "The file is larger than is allowed.")
        data = file.read_bytes()
    except OSError as error:
        raise refuse(RefusalReason.NOT_DICOM, "The file cannot be read.") from error
    header = Header(open_part10(data, limits))
    if header.pixels is None:
        raise refuse(RefusalReason.NOT_AN_IMAGE, "The file has no pixel data.")
    place, instance = _place(header), _instance_number(header)
    return _Entry(place is None, place or 0.0, instance, file, _uids(header))


def _uids(header: Header) -> Uids:
    try:
        return Uids(
            header.uid(Tag.STUDY_INSTANCE_UID),
            header.uid(Tag.SERIES_INSTANCE_UID),
            header.sop_instance_uid,
        )
    except MalformedValueError as error:
        raise refuse(
            RefusalReason.MALFORMED, "A UID of the file is malformed.", element=error.tag.name
        ) from error


def _place(header: Header) -> float | None:
    """Along the head end of the plane's normal, mm; None without position and orientation."""
    try:
        position = header.decimals(Tag.IMAGE_POSITION)
        orientation = header.decimals(Tag.IMAGE_ORIENTATION)
    except MalformedValueError:
        return None
    if (len(position), len(orientation)) != (3, 6):
        return None
    normal = np.cross(orientation[:3], orientation[3:])
    return round(float(np.dot(position, normal if normal[2] >= 0 else -normal)), 4)


def _instance_number(header: Header) -> float:
    try:
        return header.decimal(Tag.INSTANCE_NUMBER) or 0.0
    except MalformedValueError:
        return 0.0


def _group(entries: list[_Entry]) -> tuple[Series, ...]:
    by_series: dict[str, list[_Entry]] = {}
    for entry in sorted(entries):
        by_series.setdefault(entry.uids.series, []).append(entry)
    series = (
        Series(found[0].uids.study, uid, tuple(entry.path for entry in found))
        for uid, found in by_series.items()
    )
    return tuple(sorted(series, key=lambda one: (-len(one.files), one.series_uid)))
