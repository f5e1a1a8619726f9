"""Blocks of the 3-D networks; input and output have the shape (n, channels, planes, rows, columns).

As in :mod:`engines.networks.blocks`, each batch norm follows a convolution, so
that it folds into it, and resolution is won back by resize and convolution.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Steps along planes, rows and columns.
Step = tuple[int, int, int]
IN_PLANE: Step = (1, 2, 2)
ALL_WAYS: Step = (2, 2, 2)


class ConvNorm3d(nn.Sequential):  # type: ignore[misc]
    """Convolution without bias, batch norm, ReLU.

    Parameters
    ----------
    inputs, outputs
        Channels.
    kernel
        Odd sizes along planes, rows and columns.
    step
        Stride.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: Step = (3, 3, 3), step: Step = (1, 1, 1)
    ) -> None:
        padding = tuple(size // 2 for size in kernel)
        super().__init__(
            nn.Conv3d(inputs, outputs, kernel, step, padding, bias=False),
            nn.BatchNorm3d(outputs),
            nn.ReLU(inplace=True),
        )


class Up3d(nn.Module):  # type: ignore[misc]
    """Resize by a step, project, concatenate the skip.

    The projection runs before the resize, where it is cheapest; with a kernel
    of one and nearest-neighbour resize the order makes no difference.
    """

    def __init__(self, inputs: int, outputs: int, step: Step) -> None:
        super().__init__()
        self.project = ConvNorm3d(inputs, outputs, (1, 1, 1))
        self.resize = nn.Upsample(scale_factor=step, mode="nearest")

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        return torch.cat([self.resize(self.project(deep)), skip], dim=1)


def folded(planes: Tensor) -> Tensor:
    """Planes as a volume of half the resolution: each 2x2 pixels become four channels.

    Parameters
    ----------
    planes
        Shape (n, planes, rows, columns).

    Returns
    -------
    Shape (n, 4, planes, rows / 2, columns / 2). Pixels of 1.4 mm in planes 3 mm
    apart become voxels of nearly equal sides, and nothing is lost.
    """
    corners = F.pixel_unshuffle(planes, 2)
    return corners.unflatten(1, (planes.shape[1], 4)).transpose(1, 2)


def unfolded(volume: Tensor) -> Tensor:
    """The reverse of :func:`folded` for several maps (sub-pixel convolution, Shi et al. 2016).

    Parameters
    ----------
    volume
        Shape (n, 4 * maps, planes, rows, columns).

    Returns
    -------
    Shape (n, maps * planes, 2 * rows, 2 * columns), the planes of the first map first.
    """
    corners = volume.unflatten(1, (-1, 4)).transpose(2, 3)
    return F.pixel_shuffle(corners.flatten(1, 3), 2)
