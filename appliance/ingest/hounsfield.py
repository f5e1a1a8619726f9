"""From stored values to Hounsfield units.

References
----------
DICOM PS3.3 C.11.1 (Modality LUT: slope, intercept, rescale type).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from appliance.ingest.errors import refuse
from appliance.ingest.header import Header, MalformedValueError, Tag
from appliance.ingest.limits import IngestLimits
from appliance.scan.verdicts import RefusalReason

#: Padding outside the field of view, and anything below air, becomes this.
PADDING_HU = -1024
_MAX_HU = 32767
#: Rescale types whose unit is not HU (PS3.3 C.11.1.1.2).
_OTHER_UNITS = frozenset(("OD", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT"))


@dataclass(frozen=True, slots=True)
class Rescale:
    """HU = stored value * `slope` + `intercept`.

    `padding` holds the lowest and the highest stored value that mean "outside
    the field of view" (PS3.3 C.7.5.1.1.2), None when no value does.
    """

    slope: float
    intercept: float
    padding: tuple[int, int] | None = None

    def to_hu(
        self, stored: npt.NDArray[np.signedinteger | np.unsignedinteger]
    ) -> npt.NDArray[np.int16]:
        """Rescale, round to whole HU and clamp to -1024 .. 32767.

        Parameters
        ----------
        stored
            Integers of any shape.

        Returns
        -------
        A new array of the same shape, C-contiguous.
        """
        hu = self._scaled(stored)
        if self.padding is not None:
            hu[(stored >= self.padding[0]) & (stored <= self.padding[1])] = PADDING_HU
        return hu

    def _scaled(
        self, stored: npt.NDArray[np.signedinteger | np.unsignedinteger]
    ) -> npt.NDArray[np.int16]:
        intercept = float(self.intercept)
        if self.slope == 1 and intercept.is_integer() and abs(intercept) < 2**24:
            whole = stored.astype(np.int32)
            whole += int(intercept)
            return np.clip(whole, PADDING_HU, _MAX_HU, out=whole).astype(np.int16)
        exact = stored.astype(np.float64)
        exact *= self.slope
        exact += self.intercept
        np.clip(np.rint(exact, out=exact), PADDING_HU, _MAX_HU, out=exact)
        return exact.astype(np.int16)


def check_rescale(slope: float | None, intercept: float | None, limits: IngestLimits) -> Rescale:
    """A usable rescale, or a refusal.

    Raises
    ------
    SliceRefusedError
        NO_RESCALE when HU cannot be known, LOSSY_TOO_COARSE when the steps are too large.
    """
    if slope is None or intercept is None:
        raise refuse(
            RefusalReason.NO_RESCALE,
            "The image has no rescale slope and intercept, so its values are not HU.",
        )
    if not (math.isfinite(slope) and math.isfinite(intercept)) or slope <= 0:
        raise refuse(
            RefusalReason.NO_RESCALE,
            "The rescale slope or intercept cannot be right.",
            slope=slope,
            intercept=intercept,
        )
    if slope > limits.max_hu_step:
        raise refuse(
            RefusalReason.LOSSY_TOO_COARSE,
            "The grey levels of the image lie too far apart to measure HU.",
            hu_step=slope,
            max_hu_step=limits.max_hu_step,
        )
    return Rescale(slope, intercept)


def read_rescale(header: Header, limits: IngestLimits) -> Rescale:
    """Slope and intercept of a slice.

    Raises
    ------
    SliceRefusedError
        NO_RESCALE (also for a Modality LUT and for units other than HU) or
        LOSSY_TOO_COARSE.
    """
    if header.has_sequence(Tag.MODALITY_LUT_SEQUENCE):
        raise refuse(
            RefusalReason.NO_RESCALE,
            "The image uses a lookup table, not slope and intercept.",
        )
    unit = header.text(Tag.RESCALE_TYPE).upper()
    if unit in _OTHER_UNITS:
        raise refuse(RefusalReason.NO_RESCALE, "The values of the image are not HU.", unit=unit)
    try:
        slope = header.decimal(Tag.RESCALE_SLOPE)
        intercept = header.decimal(Tag.RESCALE_INTERCEPT)
    except MalformedValueError as error:
        raise refuse(
            RefusalReason.NO_RESCALE, "The rescale slope or intercept is not a number."
        ) from error
    rescale = check_rescale(slope, intercept, limits)
    return replace(rescale, padding=_read_padding(header))


def _read_padding(header: Header) -> tuple[int, int] | None:
    """Pixel Padding Value and, where given, Range Limit; a malformed one is no padding."""
    try:
        value = header.stored_value(Tag.PIXEL_PADDING_VALUE)
        limit = header.stored_value(Tag.PIXEL_PADDING_RANGE_LIMIT)
    except MalformedValueError:
        return None
    if value is None:
        return None
    return (value, value) if limit is None else (min(value, limit), max(value, limit))
