"""A slice with the noise of a lower dose: noise in the projections, reconstructed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from calibration.quality.projection import Image, reconstruct, view_angles

_VIEWS = 240
_LOWEST_HU, _HIGHEST_HU = -1024, 3071


def noise_plane(size: int, rng: np.random.Generator) -> Image:
    """Noise with the texture that filtered back-projection gives it, standard deviation 1.

    Parameters
    ----------
    size
        Rows and columns.
    rng
        Draws the noise of the projections.

    Returns
    -------
    Shape (size, size); 0 outside the circle that every view sees.
    """
    sinogram = rng.standard_normal((_VIEWS, size), np.float32)
    plane = reconstruct(sinogram, view_angles(_VIEWS))
    middle = np.s_[size // 4 : -(size // 4), size // 4 : -(size // 4)]
    return np.asarray(plane / plane[middle].std(), np.float32)


def noisier(
    hu: npt.NDArray[np.int16], added_hu: float, rng: np.random.Generator
) -> npt.NDArray[np.int16]:
    """A slice with noise of a standard deviation added to what it has.

    Parameters
    ----------
    hu
        Shape (n, n).
    added_hu
        Standard deviation, HU.
    rng
        Draws it.
    """
    noisy = hu + np.float32(added_hu) * noise_plane(hu.shape[0], rng)
    return np.asarray(np.rint(np.clip(noisy, _LOWEST_HU, _HIGHEST_HU)), np.int16)
