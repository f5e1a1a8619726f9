"""Projections of a slice and its reconstruction, in parallel-beam geometry.

References
----------
A. C. Kak and M. Slaney, Principles of Computerized Tomographic Imaging (1988),
chapter 3: filtered back-projection, the band-limited ramp of equation 61.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import affine_transform

Image = npt.NDArray[np.float32]


def view_angles(views: int) -> npt.NDArray[np.float64]:
    """Angles of a half rotation, radians, in the order they are measured."""
    return np.arange(views, dtype=np.float64) * (np.pi / views)


def project(image: Image, angle: float) -> Image:
    """Line integrals of a square image along one direction.

    Parameters
    ----------
    image
        Attenuation, shape (n, n).
    angle
        Of the view, radians; at 0 the columns are summed.

    Returns
    -------
    Shape (n,), in the image's unit times pixels.
    """
    turned = affine_transform(image, _turn(angle), _offset(image.shape[0], angle), order=1)
    return np.asarray(turned.sum(axis=0), np.float32)


def reconstruct(sinogram: Image, angles: npt.NDArray[np.float64]) -> Image:
    """Filtered back-projection.

    Parameters
    ----------
    sinogram
        Shape (views, n).
    angles
        Of the views, radians, evenly over a half rotation.

    Returns
    -------
    Shape (n, n), in the unit of the projected image; 0 outside the circle that every
    view sees.
    """
    size = sinogram.shape[1]
    filtered = _ramp_filtered(sinogram)
    centre = (size - 1) / 2
    rows, columns = np.mgrid[:size, :size] - centre
    inside = np.hypot(rows, columns) <= centre
    y, x = rows[inside], columns[inside]
    total = np.zeros(y.size)
    places = np.arange(size)
    for view, angle in zip(filtered, angles, strict=True):
        total += np.interp(x * np.cos(angle) + y * np.sin(angle) + centre, places, view)
    image = np.zeros((size, size), np.float32)
    image[inside] = total * (np.pi / len(angles))
    return image


def _turn(angle: float) -> npt.NDArray[np.float64]:
    """Takes a place in the turned image, (along the ray, across), to one in the image."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, sin], [-sin, cos]])


def _offset(size: int, angle: float) -> npt.NDArray[np.float64]:
    centre = np.full(2, (size - 1) / 2)
    return np.asarray(centre - _turn(angle) @ centre, np.float64)


def _ramp_filtered(sinogram: Image) -> npt.NDArray[np.float64]:
    size = sinogram.shape[1]
    length = 2 ** int(np.ceil(np.log2(2 * size)))
    lags = np.fft.fftfreq(length, 1 / length).round().astype(int)
    kernel = np.zeros(length)
    kernel[lags == 0] = 0.25
    odd = lags % 2 == 1
    kernel[odd] = -1 / (np.pi * lags[odd]) ** 2
    spectrum = np.fft.rfft(sinogram, length) * np.fft.rfft(kernel)
    return np.asarray(np.fft.irfft(spectrum, length)[:, :size])
