"""A slice as the scanner shows it when the patient moved while it turned.

The views of a half rotation are taken from a body that moves meanwhile, and
reconstructed as if it had lain still, which is what makes double contours,
blurred edges and streaks (Barrett and Keat, Artifacts in CT, RadioGraphics 2004).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from calibration.quality.projection import Image, project, reconstruct, view_angles

#: Views of a half rotation, and how many moments of the movement they are taken from.
VIEWS, MOMENTS = 320, 20
_AIR_HU = -1000.0
#: Through the plane, lung moves this much further in a breath than the front wall does.
_ALONG_PER_FRONT = 2.0
#: Where the heart lies in the box of the lungs, and its size: shares of that box.
_HEART, _HEART_SIGMA = (0.45, 0.58), 0.16


class Movement(enum.StrEnum):
    """What moves."""

    BREATH = "breath"
    HEART = "heart"


@dataclass(frozen=True, slots=True)
class Motion:
    """A movement during the half rotation.

    Parameters
    ----------
    movement
        The front of the chest and, through the plane, the lung; or the heart.
    amplitude_mm
        Way between the first and the last place; 0 is a body at rest.
    direction
        Of the heart's way in the plane, radians; and the sign of the breath (its cosine).
    """

    movement: Movement
    amplitude_mm: float
    direction: float = 0.0


def moved_slice(
    volume: npt.NDArray[np.int16],
    lung: npt.NDArray[np.bool_],
    index: int,
    spacing: tuple[float, float],
    motion: Motion,
) -> npt.NDArray[np.int16]:
    """One slice of a scan, taken while the body moved.

    Parameters
    ----------
    volume
        HU, shape (slices, n, n), foot to head, front on top.
    lung
        Lung of the slice, shape (n, n): says where chest and heart lie.
    index
        Which slice.
    spacing
        Distance between slices, and between pixels, mm.
    motion
        What moved, and how far. Amplitude 0 gives the slice projected and
        reconstructed without movement.

    Returns
    -------
    HU, shape (n, n); -1024 outside the circle that the scanner sees.
    """
    angles = view_angles(VIEWS)
    sinogram = np.empty((VIEWS, volume.shape[1]), np.float32)
    moments = np.arange(VIEWS) * MOMENTS // VIEWS
    for moment in range(MOMENTS):
        place = 0.5 - 0.5 * np.cos(np.pi * (moment + 0.5) / MOMENTS) - 0.5
        body = _body(volume, lung, index, spacing, motion, float(place))
        for view in np.flatnonzero(moments == moment):
            sinogram[view] = project(body, float(angles[view]))
    hu = reconstruct(sinogram, angles) * 1000.0 + np.float32(_AIR_HU)
    hu[~_seen(hu.shape[0])] = -1024
    return np.asarray(np.rint(np.clip(hu, -1024, 3071)), np.int16)


def _body(
    volume: npt.NDArray[np.int16],
    lung: npt.NDArray[np.bool_],
    index: int,
    spacing: tuple[float, float],
    motion: Motion,
    place: float,
) -> Image:
    """Attenuation over water's, with the body at a share (-0.5 to 0.5) of its way."""
    way_mm = motion.amplitude_mm * place
    along_mm, down, right = _ways(lung, motion, way_mm / spacing[1])
    plane = _between(volume, index + along_mm * spacing[1] / spacing[0])
    plane = np.where(_seen(plane.shape[0]), np.maximum(plane, _AIR_HU), _AIR_HU)
    if motion.amplitude_mm:
        rows, columns = np.mgrid[: plane.shape[0], : plane.shape[1]].astype(np.float32)
        plane = map_coordinates(plane, [rows + down, columns + right], order=1, mode="nearest")
    return np.asarray((plane - _AIR_HU) / 1000.0, np.float32)


def _ways(lung: npt.NDArray[np.bool_], motion: Motion, way_px: float) -> tuple[float, Image, Image]:
    """Ways through the plane, down and right, pixels, of every pixel."""
    rows, columns = np.flatnonzero(lung.any(axis=1)), np.flatnonzero(lung.any(axis=0))
    y, x = np.mgrid[: lung.shape[0], : lung.shape[1]].astype(np.float32)
    y = (y - rows[0]) / max(int(rows[-1] - rows[0]), 1)
    x = (x - columns[0]) / max(int(columns[-1] - columns[0]), 1)
    if motion.movement is Movement.HEART:
        away = ((y - _HEART[0]) ** 2 + (x - _HEART[1]) ** 2) / (2 * _HEART_SIGMA**2)
        weight = np.exp(-away) * way_px
        return 0.0, weight * np.sin(motion.direction), weight * np.cos(motion.direction)
    sign = 1.0 if np.cos(motion.direction) >= 0 else -1.0
    front = np.clip(1 - y, 0, 1) * sign * way_px
    return sign * way_px * _ALONG_PER_FRONT, front, np.zeros_like(front)


def _between(volume: npt.NDArray[np.int16], place: float) -> Image:
    """The plane between two slices, linearly."""
    place = float(np.clip(place, 0, len(volume) - 1))
    low = min(int(place), len(volume) - 2) if len(volume) > 1 else 0
    share = np.float32(place - low)
    high = min(low + 1, len(volume) - 1)
    return np.asarray(volume[low] * (1 - share) + volume[high] * share, np.float32)


def _seen(size: int) -> npt.NDArray[np.bool_]:
    centre = (size - 1) / 2
    rows, columns = np.mgrid[:size, :size] - centre
    return np.asarray(np.hypot(rows, columns) <= centre)
