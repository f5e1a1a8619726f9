"""A small network that tells where a fissure shows itself in the region around the lungs.

Fissures are faint: about 10 HU in a voxel of 3 mm, where a region spans 1600. The
network sees the lung less the mean of the lung around it, at twenty times the contrast,
and nothing beyond 5 voxels, so that it learns the look of a fissure, not the shape of
lungs. As in :mod:`engines.networks.di2in`, 2 x 2 x 2 voxels are folded into channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks3d import ConvNorm3d
from engines.networks.di2in import folded_cells, folded_places, unfolded_cells

_CORNERS = 8
#: Differences to the mean around a voxel that are told apart: 75 HU of a window of 1600.
_CONTRAST = 75 / 1600
#: Folded voxels across the surroundings whose mean is taken.
_AROUND = 3


class FissureNet(nn.Module):  # type: ignore[misc]
    """The network, on a region of interest or a part of it.

    Parameters
    ----------
    shape
        Planes, rows and columns of the region, even: the network is told where in
        the region it looks.
    width
        Channels of the first layer.
    """

    def __init__(self, shape: tuple[int, int, int] = (96, 80, 112), width: int = 24) -> None:
        super().__init__()
        self.register_buffer("places", folded_places(shape), persistent=False)
        narrow = 2 * width // 3
        self.layers = nn.Sequential(
            ConvNorm3d(_CORNERS + 4, width),
            ConvNorm3d(width, narrow),
            nn.Conv3d(narrow, _CORNERS, 1),
        )

    def forward(self, region: Tensor, first: tuple[int, int, int] = (0, 0, 0)) -> Tensor:
        """Logit of a fissure in every voxel.

        Parameters
        ----------
        region
            Shape (n, planes, rows, columns), each even; 0 where there is no lung.
        first
            Where it begins in the whole region, even.

        Returns
        -------
        Shape of `region`.
        """
        corners = folded_cells(region)
        share = folded_cells((region * 1000.0).clamp(0, 1)).mean(dim=1, keepdim=True)
        places = self.places
        for axis, (start, count) in enumerate(zip(first, corners.shape[2:], strict=True), start=2):
            places = places.narrow(axis, start // 2, count)
        places = places.expand(len(region), -1, -1, -1, -1)
        seen = torch.cat([_contrast(corners, share), share, places], dim=1)
        return unfolded_cells(self.layers(seen), 1)[:, 0]


def _contrast(corners: Tensor, share: Tensor) -> Tensor:
    """What each voxel of lung has more than the lung around it, -1 to 1; 0 outside the lungs.

    Parameters
    ----------
    corners
        The region, folded: shape (n, 8, planes, rows, columns).
    share
        Of lung in each folded voxel, shape (n, 1, planes, rows, columns).
    """
    pad = _AROUND // 2
    total = F.avg_pool3d(corners.mean(dim=1, keepdim=True), _AROUND, 1, pad)
    mean = total / F.avg_pool3d(share, _AROUND, 1, pad).clamp(min=1e-3)
    more = ((corners - mean) / _CONTRAST).clamp(-1, 1)
    return more * (corners * 1000.0).clamp(0, 1)
