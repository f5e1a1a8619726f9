"""Blocks the networks share; each batch norm follows a convolution, so that it folds into it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvNorm(nn.Sequential):  # type: ignore[misc]
    """Convolution without bias, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class DoubleConv(nn.Sequential):  # type: ignore[misc]
    """Two :class:`ConvNorm` of the U-Net."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(ConvNorm(inputs, outputs), ConvNorm(outputs, outputs))


class UpJoin(nn.Module):  # type: ignore[misc]
    """Resize to twice the size, concatenate the skip, convolve.

    Nearest-neighbour resize in place of a transposed convolution: it is exact
    in INT8 and leaves no checkerboard; the convolution after it smooths.
    """

    def __init__(self, inputs: int, skip: int, outputs: int, convolutions: int = 2) -> None:
        super().__init__()
        self.resize = nn.Upsample(scale_factor=2, mode="nearest")
        layers = [ConvNorm(inputs + skip, outputs)]
        layers += [ConvNorm(outputs, outputs) for _ in range(convolutions - 1)]
        self.convolve = nn.Sequential(*layers)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        joined = torch.cat([self.resize(deep), skip], dim=1)
        return self.convolve(joined)


class Residual(nn.Module):  # type: ignore[misc]
    """Basic residual block (He et al. 2016): two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, 3, stride)
        self.second = nn.Sequential(
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.activate = nn.ReLU(inplace=True)

    def forward(self, image: Tensor) -> Tensor:
        return self.activate(self.second(self.first(image)) + self.shortcut(image))
