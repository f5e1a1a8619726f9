"""A slice message to pixels, timed; runs on a decoder thread."""

from __future__ import annotations

import logging

from appliance.failpoints import hit
from appliance.ingest import IngestLimits, SliceRefusedError, read_dicom, read_raw
from appliance.metrics import Metrics
from appliance.scan.slice import Slice
from appliance.scan.verdicts import Refusal, RefusalReason
from breathhold.v1 import scan_pb2 as pb

logger = logging.getLogger(__name__)

_UNREADABLE = Refusal(RefusalReason.UNDECODABLE, "The appliance could not read this slice.")


def read_slice(
    message: pb.Slice, series_instance_uid: str, limits: IngestLimits, metrics: Metrics
) -> Slice:
    """Read DICOM or raw pixels.

    Raises
    ------
    SliceRefusedError
        Naming what is wrong with it.
    """
    with metrics.decode_seconds.time():
        try:
            hit("decode")
            return _read(message, series_instance_uid, limits)
        except SliceRefusedError:
            raise
        except Exception as error:
            logger.error("a slice made the reader fail with %s", type(error).__name__)
            raise SliceRefusedError(_UNREADABLE) from error


def _read(message: pb.Slice, series_instance_uid: str, limits: IngestLimits) -> Slice:
    match message.WhichOneof("content"):
        case "dicom":
            return read_dicom(message.dicom, limits)
        case "raw":
            return read_raw(message.raw, series_instance_uid, limits)
        case _:
            raise SliceRefusedError(Refusal(RefusalReason.MALFORMED, "The message holds no image."))


def claimed_uid(message: pb.Slice) -> str:
    """The SOP Instance UID that a message states outright; empty for DICOM."""
    return message.raw.sop_instance_uid if message.HasField("raw") else ""
