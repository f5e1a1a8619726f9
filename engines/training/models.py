"""What each model sees and learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch import nn

from engines.networks.unet2d import UNet2d
from engines.networks.unet25d import UNet25d

Role = Literal["lung", "lesion"]
#: HU that become 0 and 1; the same for all models, so that a slice is prepared once.
WINDOW_HU = (-1350.0, 250.0)
#: Rows and columns of a plane.
SIZE = 256


@dataclass(frozen=True)
class ModelPlan:
    """One model: its role, input and width.

    Parameters
    ----------
    role
        What it finds.
    planes
        Input planes, the target in the middle.
    neighbour_mm
        How far the neighbours are away; 0 for one plane.
    width
        See the network.
    """

    role: Role
    planes: int
    neighbour_mm: float
    width: int

    def network(self) -> nn.Module:
        """A fresh network."""
        if self.role == "lung":
            return UNet2d(self.planes, self.width)
        return UNet25d(self.planes, self.width)


PLANS: dict[Role, ModelPlan] = {
    "lung": ModelPlan("lung", planes=1, neighbour_mm=0.0, width=12),
    "lesion": ModelPlan("lesion", planes=3, neighbour_mm=3.0, width=16),
}


def windowed(hu: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """HU to 0..1 by :data:`WINDOW_HU`, clipped."""
    low, high = WINDOW_HU
    scaled = (hu.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    return np.asarray(np.clip(scaled, 0, 1), np.float32)


def plane_indices(
    target: int, slices: int, spacing: float, planes: int, neighbour_mm: float
) -> list[int]:
    """Slices that make one input, foot to head, clamped at the ends of the scan.

    Neighbours are the slices nearest to `neighbour_mm` away, at least one slice.
    """
    step = max(1, round(neighbour_mm / spacing))
    half = planes // 2
    return [min(max(target + step * k, 0), slices - 1) for k in range(-half, half + 1)]
