"""A slice message to pixels, timed; runs on a decoder thread."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from appliance.failpoints import hit
from appliance.ingest import IngestLimits, SliceRefusedError, read_dicom, read_raw
from appliance.ingest.apart import ReaderPool
from appliance.ingest.errors import ReadersUnavailableError, is_of_the_box
from appliance.ingest.header import is_uid
from appliance.metrics import Metrics
from appliance.scan.slice import Slice
from appliance.scan.verdicts import Refusal, RefusalReason
from breathhold.v1 import scan_pb2 as pb

logger = logging.getLogger(__name__)

_UNREADABLE = Refusal(RefusalReason.UNDECODABLE, "The appliance could not read this slice.")


@dataclass(frozen=True, slots=True)
class SliceReader:
    """Reads DICOM or raw pixels.

    Parameters
    ----------
    limits
        Of ingest.
    metrics
        Where the time is told.
    apart
        Processes that read DICOM; none: the calling thread does.
    """

    limits: IngestLimits
    metrics: Metrics
    apart: ReaderPool | None = None

    def read(self, message: pb.Slice, series_instance_uid: str) -> Slice:
        """The slice of a message. Blocks; safe to call from any thread.

        Raises
        ------
        SliceRefusedError
            Naming what is wrong with it.
        ReadersUnavailableError
            When the box cannot read it just now.
        """
        with self.metrics.decode_seconds.time():
            try:
                hit("decode")
                return self._read(message, series_instance_uid)
            except (SliceRefusedError, ReadersUnavailableError):
                raise
            except Exception as error:
                if isinstance(error, MemoryError) or is_of_the_box(error):
                    raise ReadersUnavailableError("there is no memory to read a slice") from error
                logger.error("a slice made the reader fail with %s", type(error).__name__)
                raise SliceRefusedError(_UNREADABLE) from error

    def _read(self, message: pb.Slice, series_instance_uid: str) -> Slice:
        match message.WhichOneof("content"):
            case "dicom" if self.apart:
                return self.apart.read(message.dicom)
            case "dicom":
                return read_dicom(message.dicom, self.limits)
            case "raw":
                return read_raw(message.raw, series_instance_uid, self.limits)
            case _:
                refusal = Refusal(RefusalReason.MALFORMED, "The message holds no image.")
                raise SliceRefusedError(refusal)


def claimed_uid(message: pb.Slice) -> str:
    """The SOP Instance UID that a message states outright; empty for DICOM, and when it is none."""
    claimed = message.raw.sop_instance_uid if message.HasField("raw") else ""
    return claimed if is_uid(claimed) else ""
