"""Two lungs with five lobes, out of ellipsoids and planes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.uint8]

SPACING = (4.0, 4.0, 4.0)


def made_lobes(
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0), tilt: float = 0.8, touching: bool = False
) -> Labels:
    """Lobes 1 to 5 as models count them, shape (64, 48, 80), foot to head."""
    z, y, x = np.meshgrid(
        (np.arange(64) - 31.5) / (26 * stretch[0]),
        (np.arange(48) - 23.5) / (19 * stretch[1]),
        (np.arange(80) - 39.5) / (34 * stretch[2]),
        indexing="ij",
    )
    labels = np.zeros(z.shape, np.uint8)
    for side, lobes in ((-1, (1, 2, 3)), (1, (4, 4, 5))):
        centre = side * (0.42 if touching else 0.52)
        lung = z**2 + y**2 + ((x - centre) / 0.44) ** 2 < 1
        lower = z < tilt * y - 0.05
        middle = ~lower & (z < 0.1)
        for part, lobe in zip((~lower & ~middle, middle, lower), lobes, strict=True):
            labels[lung & part & (np.sign(x) == side)] = lobe
    return labels
