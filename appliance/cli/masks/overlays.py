"""One slice as a picture, with its lesion and the outline of its lung."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import binary_erosion

from appliance.scan.geometry import to_standard
from appliance.scan.slice import Slice

_WINDOW_CENTRE, _WINDOW_WIDTH = -600.0, 1500.0
_LESION_COLOUR = np.array((255.0, 70.0, 40.0))
_LESION_OPACITY = 0.45
_LUNG_COLOUR = np.array((70.0, 200.0, 255.0))

Mask = npt.NDArray[np.bool_]


def overlay(image: Slice, lesion: Mask, lung: Mask) -> Image.Image:
    """The slice in the lung window, front on top and patient's right on the left.

    Parameters
    ----------
    image
        HU and geometry.
    lesion, lung
        Shape (rows, columns) as the slice was sent.
    """
    geometry = image.header.geometry
    pixels = np.repeat(windowed(to_standard(image.hu, geometry))[..., None], 3, axis=2)
    inside = to_standard(lesion, geometry).astype(bool)
    pixels[inside] += _LESION_OPACITY * (_LESION_COLOUR - pixels[inside])
    pixels[_outline(to_standard(lung, geometry).astype(bool))] = _LUNG_COLOUR
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def windowed(hu: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Grey values 0 to 255 of the lung window: width 1500, level -600 HU."""
    low = _WINDOW_CENTRE - _WINDOW_WIDTH / 2
    return np.clip((hu.astype(np.float64) - low) / _WINDOW_WIDTH, 0, 1) * 255


def _outline(mask: Mask) -> Mask:
    return np.asarray(mask & ~binary_erosion(mask), bool)
