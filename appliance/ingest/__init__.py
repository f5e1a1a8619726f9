"""Bytes to a slice in HU, or a refusal by name."""

from appliance.ingest.dicom import read_dicom
from appliance.ingest.errors import SliceRefusedError
from appliance.ingest.folder import FolderListing, Series, Skipped, find_series, peek_uids
from appliance.ingest.limits import DEFAULT_LIMITS, IngestLimits
from appliance.ingest.raw import read_raw

__all__ = [
    "DEFAULT_LIMITS",
    "FolderListing",
    "IngestLimits",
    "Series",
    "Skipped",
    "SliceRefusedError",
    "find_series",
    "peek_uids",
    "read_dicom",
    "read_raw",
]
