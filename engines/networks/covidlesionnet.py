"""COVID-Lesion Net, the lesion network of Pan et al. 2020: a U-Net and a fully convolutional one.

Twelve convolution segments (convolution, batch norm, activation), three max
poolings, three transposed convolutions, and bridges by concatenation. The paper
gives neither width nor where its twelve segments stand: here two stand on each of
the three levels down and at the bottom, one on each level up, and a last one
before the score. A transposed convolution of 2x2 pixels in steps of 2 is a
convolution of one pixel and a shuffle of its channels, which is how it is written:
INT8 runtimes do that fast.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engines.networks.blocks import ConvNorm, DoubleConv

_LEVELS = 3


class COVIDLesionNet(nn.Module):  # type: ignore[misc]
    """COVID-Lesion Net on a plane.

    Parameters
    ----------
    planes
        Input planes.
    width
        Channels at full resolution; each level down has twice as many.
    outputs
        Maps to predict.
    """

    def __init__(self, planes: int = 1, width: int = 16, outputs: int = 1) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(_LEVELS + 1)]
        self.pool = nn.MaxPool2d(2)
        self.down, self.up, self.join = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for inputs, channels in zip([planes, *widths], widths, strict=False):
            self.down.append(DoubleConv(inputs, channels))
        for channels in reversed(widths[:-1]):
            self.up.append(Transposed(2 * channels, channels))
            self.join.append(ConvNorm(2 * channels, channels))
        self.last = ConvNorm(width, width)
        self.head = nn.Conv2d(width, outputs, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits, shape (n, outputs, rows, columns), of (n, planes, rows, columns).

        Rows and columns are multiples of 8.
        """
        skips = [self.down[0](image)]
        for segment in self.down[1:]:
            skips.append(segment(self.pool(skips[-1])))
        deep = skips.pop()
        for up, join in zip(self.up, self.join, strict=True):
            deep = join(torch.cat([up(deep), skips.pop()], dim=1))
        return self.head(self.last(deep))


class Transposed(nn.Module):  # type: ignore[misc]
    """A transposed convolution of 2x2 pixels in steps of 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(inputs, 4 * outputs, 1)
        self.spread = nn.PixelShuffle(2)

    def forward(self, image: Tensor) -> Tensor:
        return self.spread(self.project(image))
