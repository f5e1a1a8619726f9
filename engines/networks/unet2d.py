"""Plain 2-D U-Net, the lung network of Li, Zhong et al. 2020.

After Ronneberger et al. 2015, with batch norm, padded convolutions and resize
in place of transposed convolutions. A first halving of the image keeps it fast
on a CPU: lung edges need no finer features than that and the skip.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.blocks import ConvNorm, DoubleConv, UpJoin


class UNet2d(nn.Module):  # type: ignore[misc]
    """U-Net with five levels.

    Parameters
    ----------
    planes
        Input planes.
    width
        Channels of the second level; the first has half, deeper ones up to 6 times as many.
    """

    def __init__(self, planes: int = 1, width: int = 16) -> None:
        super().__init__()
        w = width
        widths = [w, 2 * w, 4 * w, 6 * w]
        self.stem = ConvNorm(planes, w // 2)
        self.down = nn.ModuleList()
        before = w // 2
        for outputs in widths:
            self.down.append(DoubleConv(before, outputs))
            before = outputs
        self.up = nn.ModuleList()
        for skip in [*reversed(widths[:-1]), w // 2]:
            outputs = max(skip, w // 2)
            self.up.append(UpJoin(before, skip, outputs, convolutions=1))
            before = outputs
        self.head = nn.Conv2d(before, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Logits, shape (n, 1, rows, columns), of (n, planes, rows, columns); multiples of 16."""
        skips = [self.stem(image)]
        for block in self.down:
            skips.append(block(F.max_pool2d(skips[-1], 2)))
        deep = skips.pop()
        for join in self.up:
            deep = join(deep, skips.pop())
        return self.head(deep)
