"""Which series of a folder is sent."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from appliance.cli.errors import CliError
from appliance.ingest import FolderListing, Series, find_series


def choose_series(
    path: Path, series_uid: str | None = None, *, every: bool = False
) -> list[Series]:
    """The series to send: the one asked for, all of them, or the largest CT series.

    What is left out is said in one line on stderr.

    Raises
    ------
    CliError
        When there is nothing to send.
    """
    listing = _listed(path)
    named = [series for series in listing.series if series.series_uid]
    if not named:
        raise CliError(_nothing(path, listing))
    chosen = _chosen(named, series_uid, every=every)
    _say_skipped(listing, chosen)
    return chosen


def _listed(path: Path) -> FolderListing:
    try:
        return find_series(path)
    except FileNotFoundError as error:
        raise CliError(f"{path} does not exist.") from error


def _nothing(path: Path, listing: FolderListing) -> str:
    if listing.series:
        return f"The DICOM images in {path} belong to no series: they have no Series Instance UID."
    if not listing.skipped:
        return f"{path} holds no files."
    reasons = {skipped.refusal.message for skipped in listing.skipped}
    if len(reasons) == 1:
        return f"{path} holds no DICOM images: {reasons.pop()}"
    return f"{path} holds no DICOM images; none of its {len(listing.skipped)} files is one."


def _chosen(named: Sequence[Series], series_uid: str | None, *, every: bool) -> list[Series]:
    if series_uid is not None:
        found = [series for series in named if series.series_uid == series_uid]
        if not found:
            raise CliError("The folder holds no series of that UID.")
        return found
    if every:
        return list(named)
    return [next((series for series in named if _is_ct(series.files[0])), named[0])]


def _is_ct(path: Path) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Modality"])
            return bool(data.get("Modality") == "CT")
    except (InvalidDicomError, OSError, ValueError, AttributeError, NotImplementedError):
        return False


def _say_skipped(listing: FolderListing, chosen: Sequence[Series]) -> None:
    left = [series for series in listing.series if series not in chosen]
    parts = []
    if left:
        parts.append(f"{len(left)} other series ({sum(len(s.files) for s in left)} images)")
    if listing.skipped:
        parts.append(f"{len(listing.skipped)} files that are no readable DICOM images")
    if parts:
        print(f"Left out: {' and '.join(parts)}.", file=sys.stderr)
