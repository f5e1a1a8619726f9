"""From the header to the geometry of the slice, or a refusal.

References
----------
DICOM PS3.3 C.7.6.2 (image plane), C.8.2.1 (gantry tilt).
"""

from __future__ import annotations

from appliance.ingest.errors import refuse
from appliance.ingest.header import Header, MalformedValueError, Tag
from appliance.ingest.limits import IngestLimits
from appliance.scan.geometry import GeometryError, Orientation, SliceGeometry, Vector
from appliance.scan.verdicts import RefusalReason

#: No gantry tilts further; a plane that does was cut out of a volume.
_GANTRY_DEGREES = 30.0


def check_matrix(rows: int, columns: int, limits: IngestLimits) -> None:
    """Refuse a matrix that is too large to allocate or too small to show anything.

    Raises
    ------
    SliceRefusedError
        TOO_LARGE or MALFORMED.
    """
    if rows > limits.max_rows or columns > limits.max_columns:
        raise refuse(
            RefusalReason.TOO_LARGE,
            "The image has more rows or columns than are allowed.",
            rows=rows,
            columns=columns,
            max_rows=limits.max_rows,
            max_columns=limits.max_columns,
        )
    if min(rows, columns) < limits.min_matrix:
        raise refuse(
            RefusalReason.MALFORMED,
            "The image has too few rows or columns to show a chest.",
            rows=rows,
            columns=columns,
            min_matrix=limits.min_matrix,
        )


def read_matrix(header: Header, limits: IngestLimits) -> tuple[int, int]:
    """Rows and columns, within the limits."""
    rows, columns = header.integer(Tag.ROWS), header.integer(Tag.COLUMNS)
    if rows is None or columns is None:
        raise refuse(RefusalReason.MALFORMED, "The image does not say how many pixels it has.")
    check_matrix(rows, columns, limits)
    return rows, columns


def read_geometry(header: Header, limits: IngestLimits) -> SliceGeometry:
    """Where the slice lies.

    Raises
    ------
    SliceRefusedError
        NO_GEOMETRY, NOT_AXIAL, GANTRY_TILT, TOO_LARGE or MALFORMED.
    """
    rows, columns = read_matrix(header, limits)
    geometry = build_geometry(
        _numbers(header, Tag.IMAGE_POSITION),
        _numbers(header, Tag.IMAGE_ORIENTATION),
        _numbers(header, Tag.PIXEL_SPACING),
        (rows, columns),
        read_thickness(header),
    )
    check_plane(geometry, _gantry_tilt(header), limits)
    return geometry


def build_geometry(
    position: tuple[float, ...],
    orientation: tuple[float, ...],
    spacing: tuple[float, ...],
    matrix: tuple[int, int],
    thickness: float | None,
) -> SliceGeometry:
    """Geometry from numbers of unchecked count and value.

    Raises
    ------
    SliceRefusedError
        NO_GEOMETRY when they are not the geometry of an image plane.
    """
    if (len(position), len(orientation), len(spacing)) != (3, 6, 2):
        raise refuse(
            RefusalReason.NO_GEOMETRY,
            "The image does not say where it lies: position, orientation or pixel spacing "
            "is missing or has the wrong number of values.",
            position_values=len(position),
            orientation_values=len(orientation),
            spacing_values=len(spacing),
        )
    x, y, z = position
    a, b, c, d, e, f = orientation
    vector: Vector = (x, y, z)
    directions: Orientation = (a, b, c, d, e, f)
    try:
        return SliceGeometry(vector, directions, (spacing[0], spacing[1]), *matrix, thickness)
    except GeometryError as error:
        raise refuse(
            RefusalReason.NO_GEOMETRY, f"The geometry of the image is impossible: {error}."
        ) from error


def check_plane(geometry: SliceGeometry, gantry_tilt: float, limits: IngestLimits) -> None:
    """Refuse a plane that is not axial or is tilted too far.

    Parameters
    ----------
    geometry
        Of the slice.
    gantry_tilt
        GantryDetectorTilt in degrees, 0 when unknown.
    limits
        `max_tilt_degrees` applies.
    """
    tilt = max(geometry.tilt_degrees, abs(gantry_tilt))
    if limits.max_tilt_degrees < tilt and geometry.tilt_degrees <= _GANTRY_DEGREES:
        raise refuse(
            RefusalReason.GANTRY_TILT,
            "The gantry was tilted too far for the image to count as axial.",
            tilt_degrees=round(tilt, 1),
            max_tilt_degrees=limits.max_tilt_degrees,
        )
    if not geometry.is_axial:
        raise refuse(
            RefusalReason.NOT_AXIAL,
            "The image is not an axial section.",
            tilt_degrees=round(geometry.tilt_degrees, 1),
        )


def read_tilt(header: Header, geometry: SliceGeometry) -> float:
    """The larger of the tilt of the plane and the stated gantry tilt, degrees."""
    return max(geometry.tilt_degrees, abs(_gantry_tilt(header)))


def read_thickness(header: Header) -> float | None:
    """SliceThickness in mm, None when absent, zero or malformed."""
    try:
        thickness = header.decimal(Tag.SLICE_THICKNESS)
    except MalformedValueError:
        return None
    return thickness if thickness is not None and thickness > 0 else None


def _gantry_tilt(header: Header) -> float:
    try:
        return header.decimal(Tag.GANTRY_DETECTOR_TILT) or 0.0
    except MalformedValueError:
        return 0.0


def _numbers(header: Header, tag: Tag) -> tuple[float, ...]:
    try:
        return header.decimals(tag)
    except MalformedValueError as error:
        raise refuse(
            RefusalReason.NO_GEOMETRY,
            "Position, orientation or pixel spacing is not a number.",
            element=tag.name,
        ) from error
