"""Bounded inflation: pydicom would inflate a whole data set, whatever becomes of it.

References
----------
DICOM PS3.5 annex A.5 (deflate).
"""

from __future__ import annotations

import zlib

from appliance.ingest.errors import refuse
from appliance.ingest.limits import IngestLimits
from appliance.scan.verdicts import RefusalReason

_INFLATE_STEP = 1024 * 1024


def inflate(body: memoryview, limits: IngestLimits) -> bytearray:
    """Inflate a deflated data set, never far past what the limits allow.

    Parameters
    ----------
    body
        All behind the file meta; bytes after the end of the stream are ignored.
    limits
        `max_bytes`, `max_inflated_bytes` and `max_inflation` apply.

    Raises
    ------
    SliceRefusedError
        TOO_LARGE, TRUNCATED, or MALFORMED when it is not deflated data.
    """
    relative = _INFLATE_STEP + limits.max_inflation * len(body)
    most = min(limits.max_bytes, limits.max_inflated_bytes, relative)
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = bytearray()
    pending: bytes | memoryview = body
    try:
        while not inflater.eof and pending:
            inflated += inflater.decompress(pending, _INFLATE_STEP)
            pending = inflater.unconsumed_tail
            if len(inflated) > most:
                raise refuse(
                    RefusalReason.TOO_LARGE,
                    "The file inflates to more bytes than are allowed.",
                    max_bytes=most,
                )
    except zlib.error as error:
        raise refuse(RefusalReason.MALFORMED, "The deflated file cannot be inflated.") from error
    if not inflater.eof:
        raise refuse(RefusalReason.TRUNCATED, "The deflated file is cut short.")
    return inflated
