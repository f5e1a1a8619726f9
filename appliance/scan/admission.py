"""Whether a readable slice belongs to this scan."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from appliance.scan.geometry import SliceGeometry
from appliance.scan.slice import SliceHeader
from appliance.scan.stack import Stack
from appliance.scan.verdicts import Refusal, RefusalReason

#: Directions of two slices of one scan differ by less than this.
_DIRECTION_TOLERANCE = 1e-3
#: Pixel spacings of two slices of one scan differ by less than this share.
_SPACING_TOLERANCE = 1e-3
#: Slices of one scan lie above each other to this many mm.
_LATERAL_TOLERANCE_MM = 1.0
#: A stack that a gantry tilted by more than this has sheared is refused.
_SHEAR_TOLERANCE_DEGREES = 5.0


def refusal_of(
    header: SliceHeader,
    accepted: Mapping[str, SliceHeader],
    stack: Stack,
    series_instance_uid: str,
    max_slices: int,
) -> Refusal | None:
    """Why a slice cannot join a scan, or None.

    Parameters
    ----------
    header
        The slice that wants in.
    accepted, stack
        What the scan holds already, by SOP Instance UID and by position.
    series_instance_uid
        Of the scan.
    max_slices
        The scan's limit.
    """
    if header.series_instance_uid != series_instance_uid:
        return Refusal(
            RefusalReason.OTHER_SERIES,
            "The slice belongs to another series; each scan needs a stream of its own.",
        )
    if header.sop_instance_uid in accepted:
        return Refusal(
            RefusalReason.SOP_INSTANCE_REUSED,
            "A different image with the same SOP Instance UID was accepted before.",
        )
    if len(accepted) >= max_slices:
        return Refusal(
            RefusalReason.TOO_MANY_SLICES,
            f"The scan has {max_slices} slices already, the most that are allowed.",
            {"max_slices": str(max_slices)},
        )
    first = next(iter(accepted.values()), None)
    contradiction = None if first is None else _contradiction(header, first)
    return contradiction or _position_taken(header, stack)


def _contradiction(header: SliceHeader, first: SliceHeader) -> Refusal | None:
    if header.frame_of_reference_uid != first.frame_of_reference_uid:
        return Refusal(
            RefusalReason.OTHER_FRAME_OF_REFERENCE,
            "The slice lies in another frame of reference than the scan's other slices.",
        )
    difference = _grid_difference(header.geometry, first.geometry)
    if difference is None:
        return _shift(header.geometry, first.geometry)
    return _contradicts(difference)


def _grid_difference(mine: SliceGeometry, theirs: SliceGeometry) -> str | None:
    if (mine.rows, mine.columns) != (theirs.rows, theirs.columns):
        return f"{mine.rows} x {mine.columns} pixels, not {theirs.rows} x {theirs.columns}"
    spacings = zip(mine.spacing, theirs.spacing, strict=True)
    if any(abs(one - other) > _SPACING_TOLERANCE * other for one, other in spacings):
        return f"pixel spacing {mine.spacing} mm, not {theirs.spacing} mm"
    directions = zip(mine.orientation, theirs.orientation, strict=True)
    if any(abs(one - other) > _DIRECTION_TOLERANCE for one, other in directions):
        return "it lies in another direction"
    return None


def _shift(mine: SliceGeometry, theirs: SliceGeometry) -> Refusal | None:
    """A slice that does not lie above the other: sheared by a tilted gantry, or moved."""
    step = np.subtract(mine.position, theirs.position)
    sideways = step - step @ mine.normal * mine.normal
    if np.abs(sideways).max() <= _LATERAL_TOLERANCE_MM:
        return None
    table = np.array([0.0, 0.0, step[2]])
    shear = table - table @ mine.normal * mine.normal
    if not np.abs(sideways - shear).max() <= _LATERAL_TOLERANCE_MM:
        return _contradicts("it is shifted sideways")
    if mine.tilt_degrees <= _SHEAR_TOLERANCE_DEGREES:
        return None
    return Refusal(
        RefusalReason.GANTRY_TILT,
        "The gantry was tilted: the slices are sheared against each other and make no volume.",
        {"tilt_degrees": f"{mine.tilt_degrees:.1f}"},
    )


def _contradicts(difference: str) -> Refusal:
    return Refusal(
        RefusalReason.GEOMETRY_CONTRADICTION,
        f"The slice contradicts the scan's other slices: {difference}.",
    )


def _position_taken(header: SliceHeader, stack: Stack) -> Refusal | None:
    if stack.taken_by(header.geometry.along_mm) is None:
        return None
    return Refusal(
        RefusalReason.POSITION_TAKEN,
        "Another image lies at the same position already.",
        {"position_mm": f"{header.geometry.along_mm:.3f}"},
    )
