"""Left and right lung of a lung mask, also where the two touch in front."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt, label

Mask = npt.NDArray[np.bool_]

#: How deep the mask is eroded before the search ends, mm.
_DEEPEST_MM = 30.0
_STEP_MM = 1.5
#: Each lung keeps at least this share of what was not eroded.
_SMALLEST_SHARE = 0.15
#: Specks below this share of the mask are of no lung.
_SPECK = 0.02


def split_sides(lung: Mask, spacing: tuple[float, float, float]) -> tuple[Mask, Mask]:
    """Right and left lung.

    The mask is eroded until its two largest parts lie side by side and are of
    similar size; each voxel then goes to the part that is nearer. A junction of
    the lungs in front of or behind the heart is thin, so it is gone long before
    a lung is.

    Parameters
    ----------
    lung
        Shape (slices, rows, columns), the patient's right on low columns.
    spacing
        mm.

    Raises
    ------
    ValueError
        When no two lungs appear.
    """
    depth = distance_transform_edt(lung, sampling=spacing)
    for erosion in np.arange(0.0, _DEEPEST_MM, _STEP_MM):
        seeds = _seeds(depth > erosion)
        if seeds is not None:
            nearest = distance_transform_edt(
                seeds == 0, sampling=spacing, return_distances=False, return_indices=True
            )
            side = seeds[tuple(nearest)]
            return np.asarray(lung & (side == 1)), np.asarray(lung & (side == 2))
    raise ValueError("the lung mask does not part into a right and a left lung")


def _seeds(eroded: Mask) -> npt.NDArray[np.uint8] | None:
    """1 in the right part, 2 in the left; None unless there are two, side by side."""
    parts, _ = label(eroded)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    total = sizes.sum()
    seeds = np.zeros(eroded.shape, np.uint8)
    columns = np.broadcast_to(np.arange(eroded.shape[2]), eroded.shape)
    large = [part for part in np.argsort(sizes)[::-1] if sizes[part] >= _SPECK * total]
    middles = {part: float(columns[parts == part].mean()) for part in large}
    if len(large) < 2 or sizes[large[1]] < _SMALLEST_SHARE * total:
        return None
    first, second = sorted(middles[part] for part in large[:2])
    if second - first < 0.1 * eroded.shape[2]:
        return None
    for part in large:
        seeds[parts == part] = 1 if middles[part] < (first + second) / 2 else 2
    return seeds
