"""Where a slice lies in the patient.

Coordinates are DICOM's patient coordinates, LPS in mm: x grows to the
patient's left, y to the back, z to the head (PS3.3 C.7.6.2.1.1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Vector = tuple[float, float, float]
Orientation = tuple[float, float, float, float, float, float]

#: A row or column may lean this far out of its patient axis and still be axial.
AXIAL_TOLERANCE_DEGREES = 25.0
_UNIT_TOLERANCE = 1e-2
#: Beyond these, numbers cannot be those of a CT scanner.
MOST_POSITION_MM = 10_000.0
LEAST_SPACING_MM = 0.05
MOST_SPACING_MM = 20.0
MOST_THICKNESS_MM = 200.0


class GeometryError(ValueError):
    """Numbers that cannot be the geometry of an image plane."""


@dataclass(frozen=True, slots=True)
class SliceGeometry:
    """Place, direction and grid of one image plane.

    Parameters
    ----------
    position
        ImagePositionPatient: centre of the first pixel, LPS, mm.
    orientation
        ImageOrientationPatient: unit vector along a row, then along a column.
    spacing
        PixelSpacing in mm: distance between rows, then between columns.
    rows, columns
        Matrix.
    thickness
        SliceThickness in mm, None when unknown.

    Raises
    ------
    GeometryError
        When a number is not finite or out of any scanner's range, or the
        orientation is not two perpendicular unit vectors.

    References
    ----------
    DICOM PS3.3 C.7.6.2 (Image Plane Module).
    """

    position: Vector
    orientation: Orientation
    spacing: tuple[float, float]
    rows: int
    columns: int
    thickness: float | None = None
    _normal: Vector = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        numbers = (*self.position, *self.orientation, *self.spacing)
        if len(self.position) != 3 or len(self.orientation) != 6 or len(self.spacing) != 2:
            raise GeometryError("position needs 3 values, orientation 6, pixel spacing 2")
        if not all(math.isfinite(number) for number in numbers):
            raise GeometryError("position, orientation and pixel spacing must be finite numbers")
        if max(map(abs, self.position)) > MOST_POSITION_MM:
            raise GeometryError(f"the position lies more than {MOST_POSITION_MM:g} mm away")
        if not MOST_SPACING_MM >= max(self.spacing) >= min(self.spacing) >= LEAST_SPACING_MM:
            raise GeometryError(
                f"pixel spacing must be {LEAST_SPACING_MM} to {MOST_SPACING_MM} mm, "
                f"not {self.spacing}"
            )
        if self.thickness is not None and not 0 <= self.thickness <= MOST_THICKNESS_MM:
            raise GeometryError(f"slice thickness must be 0 to {MOST_THICKNESS_MM:g} mm")
        if self.rows < 1 or self.columns < 1:
            raise GeometryError(f"a slice needs pixels, not {self.rows} x {self.columns}")
        if max(map(abs, self.orientation)) > 1 + _UNIT_TOLERANCE:
            raise GeometryError("image orientation must be two unit vectors")
        row, column = self.orientation[:3], self.orientation[3:]
        if any(abs(math.hypot(*vector) - 1) > _UNIT_TOLERANCE for vector in (row, column)):
            raise GeometryError("image orientation must be two unit vectors")
        if abs(sum(a * b for a, b in zip(row, column, strict=True))) > _UNIT_TOLERANCE:
            raise GeometryError("image orientation must be two perpendicular vectors")
        object.__setattr__(self, "_normal", _normal(self.orientation))

    @property
    def normal(self) -> npt.NDArray[np.float64]:
        """Unit vector perpendicular to the plane, pointing to the head, shape (3,)."""
        return np.array(self._normal)

    @property
    def tilt_degrees(self) -> float:
        """Angle between the plane and the true axial plane, 0 to 90 degrees."""
        return math.degrees(math.acos(min(1.0, abs(self._normal[2]))))

    @property
    def along_mm(self) -> float:
        """Place along the plane's normal, mm, growing from foot to head."""
        return round(float(np.dot(self.position, self._normal)), 4)

    @property
    def pixel_area_mm2(self) -> float:
        return self.spacing[0] * self.spacing[1]

    @property
    def is_axial(self) -> bool:
        """True when rows and columns run along the patient's x and y axes, either way."""
        return self.tilt_degrees <= AXIAL_TOLERANCE_DEGREES and self._in_plane_error <= (
            AXIAL_TOLERANCE_DEGREES
        )

    @property
    def _in_plane_error(self) -> float:
        """Degrees by which the rows lean away from the nearer of the x and y axes."""
        x, y = abs(self.orientation[0]), abs(self.orientation[1])
        return math.degrees(math.atan2(min(x, y), max(x, y)))

    @property
    def transposed(self) -> bool:
        """True when a row of the image runs front to back instead of across the patient."""
        return abs(self.orientation[1]) > abs(self.orientation[0])

    @property
    def flips(self) -> tuple[bool, bool]:
        """Whether rows, then columns, must be reversed (after any transposition).

        Afterwards rows run from front to back and columns from the patient's
        right to the left, the usual radiological picture.
        """
        row, column = self.orientation[:3], self.orientation[3:]
        along_x, along_y = (column, row) if self.transposed else (row, column)
        return along_y[1] < 0, along_x[0] < 0


def _normal(orientation: Orientation) -> Vector:
    a, b, c, d, e, f = orientation
    across = np.array((b * f - c * e, c * d - a * f, a * e - b * d), np.float64)
    across /= np.linalg.norm(across)
    x, y, z = (across if across[2] >= 0 else -across).tolist()
    return x, y, z


def to_standard(plane: npt.NDArray[np.generic], geometry: SliceGeometry) -> npt.NDArray[np.generic]:
    """Turn an image to the radiological view: front on top, patient's right on the left.

    Parameters
    ----------
    plane
        Shape (rows, columns), any type, as it was sent.
    geometry
        Of this plane.

    Returns
    -------
    A view of `plane` (shape (columns, rows) when the image lies transposed).
    """
    turned = plane.T if geometry.transposed else plane
    flip_rows, flip_columns = geometry.flips
    return turned[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def from_standard(
    plane: npt.NDArray[np.generic], geometry: SliceGeometry
) -> npt.NDArray[np.generic]:
    """Undo :func:`to_standard`: back to rows and columns as they were sent (a view)."""
    flip_rows, flip_columns = geometry.flips
    turned = plane[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
    return turned.T if geometry.transposed else turned
