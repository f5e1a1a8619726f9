"""Blocks of the 3-D networks; input and output have the shape (n, channels, planes, rows, columns).

As in :mod:`engines.networks.blocks`, each batch norm follows a convolution, so
that it folds into it, and resolution is won back by resize and convolution.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Steps along planes, rows and columns; planes lie about twice as far apart as pixels.
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
