"""What each model sees and learns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from torch import nn

from engines.networks.colinet import COLINet
from engines.networks.covidlesionnet import COVIDLesionNet
from engines.networks.denseunet import DenseUNet
from engines.networks.unet2d import UNet2d
from engines.networks.unet25d import UNet25d
from engines.networks.vbnet import VBNet

Role = Literal["lung", "lesion"]
Network = Literal["unet2d", "unet25d", "vbnet", "denseunet", "colinet", "covidlesionnet"]
#: HU that become 0 and 1; the same for all models, so that a slice is prepared once.
WINDOW_HU = (-1350.0, 250.0)
#: Rows and columns of a plane.
SIZE = 256


@dataclass(frozen=True)
class ModelPlan:
    """One model: what it finds, what it sees and what does it.

    Parameters
    ----------
    role
        What it finds.
    network
        Which one of :mod:`engines.networks`.
    sections
        Which scans it serves.
    planes
        Input planes: the target in the middle, or a block of which each is a target.
    neighbour_mm
        How far the planes lie apart; 0 for one plane.
    width
        See the network.
    overlap
        Planes shared by two blocks; 0 where one plane is the target.
    """

    role: Role
    network: Network
    sections: tuple[str, ...]
    planes: int
    neighbour_mm: float
    width: int
    overlap: int = 0

    @property
    def is_block(self) -> bool:
        """True when the network answers for every plane it sees."""
        return self.network in ("vbnet", "denseunet")

    @property
    def maps(self) -> int:
        """What the network answers for each target.

        A lesion network also predicts the lung, which only helps it to learn: the
        maps of the lung follow those of the lesion, and the shipped model drops them.
        COLI-Net has learnt the lung before it learns lesions.
        """
        return 2 if self.role == "lesion" and self.network != "colinet" else 1

    def build(self) -> nn.Module:
        """A fresh network."""
        match self.network:
            case "unet2d":
                return UNet2d(self.planes, self.width)
            case "unet25d":
                return UNet25d(self.planes, self.width, outputs=self.maps)
            case "vbnet":
                return VBNet(self.width, outputs=self.maps)
            case "denseunet":
                return DenseUNet(self.width, outputs=self.maps)
            case "colinet":
                return COLINet(WINDOW_HU, SIZE, self.width)
            case "covidlesionnet":
                return COVIDLesionNet(self.planes, self.width, outputs=self.maps)


_ALL = ("thin", "medium", "thick")
#: What ships.
SHIPPED_PLANS: dict[str, ModelPlan] = {
    "lung": ModelPlan("lung", "unet2d", _ALL, 1, 0.0, width=16),
    "lesion_thick": ModelPlan("lesion", "unet25d", ("medium", "thick"), 3, 3.0, width=24),
    "lesion_thin": ModelPlan("lesion", "vbnet", ("thin",), 16, 3.0, width=16, overlap=4),
}
#: What ships, and the networks that it is compared with.
PLANS: dict[str, ModelPlan] = {
    **SHIPPED_PLANS,
    "colinet_lung": ModelPlan("lung", "colinet", _ALL, 1, 0.0, width=8),
    "colinet": ModelPlan("lesion", "colinet", _ALL, 1, 0.0, width=8),
    "covidlesionnet": ModelPlan("lesion", "covidlesionnet", _ALL, 1, 0.0, width=16),
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
