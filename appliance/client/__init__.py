"""The library for consoles and dashboards: send a scan, watch the board, fetch reports.

>>> from appliance.client import ScanClient, dicom_slices
>>> with ScanClient("127.0.0.1:50051") as client:  # doctest: +SKIP
...     for event in client.send(scan):
...         print(event)
"""

from appliance.client.client import ScanClient
from appliance.client.errors import ClientError
from appliance.client.masks import mask_plane
from appliance.client.sending import Interrupted, OutgoingScan, ScanEvent
from appliance.client.slices import DicomSlice, OutgoingSlice, dicom_slices
from appliance.client.tls import ClientTls

__all__ = [
    "ClientError",
    "ClientTls",
    "DicomSlice",
    "Interrupted",
    "OutgoingScan",
    "OutgoingSlice",
    "ScanClient",
    "ScanEvent",
    "dicom_slices",
    "mask_plane",
]
