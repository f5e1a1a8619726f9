"""Raw pixels and geometry, for consoles that have no DICOM yet, to a slice in HU."""

from __future__ import annotations

import numpy as np

from appliance.ingest.digest import digest_slice
from appliance.ingest.errors import refuse
from appliance.ingest.header import is_uid
from appliance.ingest.hounsfield import check_rescale
from appliance.ingest.limits import DEFAULT_LIMITS, IngestLimits
from appliance.ingest.notices import plane_notices
from appliance.ingest.plane import build_geometry, check_matrix, check_plane
from appliance.scan.geometry import SliceGeometry
from appliance.scan.slice import Slice, SliceHeader
from appliance.scan.verdicts import Notice, NoticeReason, RefusalReason
from breathhold.v1.scan_pb2 import RawSlice

#: One more than any of them has; a message may hold millions.
_MOST_NUMBERS = 7


def read_raw(
    raw: RawSlice, series_instance_uid: str, limits: IngestLimits = DEFAULT_LIMITS
) -> Slice:
    """Read one raw slice.

    Parameters
    ----------
    raw
        As in ``protos/breathhold/v1/scan.proto``.
    series_instance_uid
        Of the scan it was sent in.
    limits
        What it may cost.

    Raises
    ------
    SliceRefusedError
        MALFORMED, TOO_LARGE, NO_GEOMETRY, NOT_AXIAL, GANTRY_TILT, NO_RESCALE,
        LOSSY_TOO_COARSE or TRUNCATED.
    """
    if not is_uid(raw.sop_instance_uid):
        raise refuse(RefusalReason.MALFORMED, "The slice has no well-formed SOP Instance UID.")
    check_matrix(raw.rows, raw.columns, limits)
    geometry = _read_geometry(raw, limits)
    rescale = check_rescale(raw.rescale_slope or None, raw.rescale_intercept, limits)
    _check_pixel_bytes(raw, geometry)
    stored = np.frombuffer(raw.pixels, "<i2").reshape(geometry.rows, geometry.columns)
    hu = rescale.to_hu(stored)
    header = SliceHeader(
        sop_instance_uid=raw.sop_instance_uid,
        series_instance_uid=series_instance_uid,
        frame_of_reference_uid="",
        geometry=geometry,
        digest=digest_slice(hu, geometry),
        notices=_find_notices(raw, geometry, limits),
    )
    return Slice(header, hu)


def _read_geometry(raw: RawSlice, limits: IngestLimits) -> SliceGeometry:
    geometry = build_geometry(
        tuple(raw.image_position[:_MOST_NUMBERS]),
        tuple(raw.image_orientation[:_MOST_NUMBERS]),
        tuple(raw.pixel_spacing[:_MOST_NUMBERS]),
        (raw.rows, raw.columns),
        raw.slice_thickness if 0 < raw.slice_thickness < float("inf") else None,
    )
    check_plane(geometry, 0.0, limits)
    return geometry


def _check_pixel_bytes(raw: RawSlice, geometry: SliceGeometry) -> None:
    needed = geometry.rows * geometry.columns * 2
    if len(raw.pixels) != needed:
        shorter = len(raw.pixels) < needed
        raise refuse(
            RefusalReason.TRUNCATED if shorter else RefusalReason.MALFORMED,
            "The number of pixel bytes is not rows times columns times two.",
            bytes=len(raw.pixels),
            needed=needed,
        )


def _find_notices(
    raw: RawSlice, geometry: SliceGeometry, limits: IngestLimits
) -> tuple[Notice, ...]:
    found = plane_notices(geometry, limits)
    if geometry.thickness is None:
        found[NoticeReason.THICKNESS_MISSING] = (
            "Slice thickness is missing; distances come from the slice positions."
        )
    if geometry.tilt_degrees > limits.notice_tilt_degrees:
        found[NoticeReason.GANTRY_TILT] = (
            f"The gantry was tilted by {geometry.tilt_degrees:.1f} degrees."
        )
    return tuple(Notice(reason, message, raw.sop_instance_uid) for reason, message in found.items())
