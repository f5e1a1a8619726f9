"""COLI-Net, the lung and lesion network of Shiri et al. 2021.

A residual network without any pooling, after Li et al. 2017 (HighRes3DNet), in
2-D: 20 convolutions, of which the first seven see their neighbours, the next six
every second pixel, the six after them every fourth; a link around every two of
them, leaky ReLU. The paper does not say its width; 16 is that of Li et al. Its two
softmax channels are one sigmoid channel here, and batch norm stands behind each
convolution, so that it folds into it.

The paper's preprocessing is part of the network: HU are cut at -1024 and 300 and
scaled to 0..1.3, rows in front of and behind the chest are cut off, and what is
left of a plane is resized to 216 x 296.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: HU that the paper scales to 0 and to 1.3.
LOWEST_HU, HIGHEST_HU, HIGHEST = -1024.0, 300.0, 1.3
#: The paper's matrix: rows and columns.
MATRIX = (216, 296)
_DILATIONS = (1, 2, 4)
_BLOCKS = 3
#: Logit of what is cut off: neither lung nor lesion.
_NOTHING = -10.0


class COLINet(nn.Module):  # type: ignore[misc]
    """COLI-Net on a plane.

    Parameters
    ----------
    window_hu
        HU that are 0 and 1 in a plane.
    size
        Rows and columns of a whole plane. Networks in training take windows of one, too,
        and cut nothing off.
    width
        Channels of the first level; the others have two and four times as many.
    """

    def __init__(self, window_hu: tuple[float, float], size: int, width: int = 16) -> None:
        super().__init__()
        self._window_hu, self._size = window_hu, size
        self._kept = round(size * MATRIX[0] / MATRIX[1])
        # The couch lies behind the patient: more can go there.
        self._front = (size - self._kept) // 3
        self.stem = _conv(1, width, 1)
        blocks: list[nn.Module] = []
        before = width
        for level, dilation in enumerate(_DILATIONS):
            channels = width * 2**level
            for _ in range(_BLOCKS):
                blocks.append(DilatedPair(before, channels, dilation))
                before = channels
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Conv2d(before, 1, 1)

    def forward(self, planes: Tensor) -> Tensor:
        """Logits of planes, both of shape (n, 1, rows, columns)."""
        if self.training:
            given = (planes.shape[2], planes.shape[3])
            zoomed = [round(side * MATRIX[1] / self._size) for side in given]
            return self._logits(planes, (zoomed[0], zoomed[1]), given)
        first, end = self._front, self._front + self._kept
        logits = self._logits(planes[:, :, first:end], MATRIX, (self._kept, self._size))
        front, behind = (
            torch.full_like(rows, _NOTHING) for rows in (planes[:, :, :first], planes[:, :, end:])
        )
        return torch.cat([front, logits, behind], dim=2)

    def _logits(self, planes: Tensor, inside: tuple[int, int], given: tuple[int, int]) -> Tensor:
        """Logits of planes of the size `given`, which the network sees in the size `inside`."""
        image = _resized(self._scaled(planes), inside)
        return _resized(self.head(self.blocks(self.stem(image))), given)

    def _scaled(self, planes: Tensor) -> Tensor:
        low, high = self._window_hu
        per_hu = HIGHEST / (HIGHEST_HU - LOWEST_HU)
        scaled = planes * ((high - low) * per_hu) + (low - LOWEST_HU) * per_hu
        return scaled.clamp(0.0, HIGHEST)


class DilatedPair(nn.Module):  # type: ignore[misc]
    """Two convolutions and the link around them; channels that are new are added to nothing."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        self._linked, self._grows = inputs, outputs > inputs
        self.first = _conv(inputs, outputs, dilation)
        self.second = _conv(outputs, outputs, dilation)[:2]
        self.activate = nn.LeakyReLU(inplace=True)

    def forward(self, image: Tensor) -> Tensor:
        found = self.second(self.first(image))
        if not self._grows:
            return self.activate(found + image)
        linked = found[:, : self._linked] + image
        return self.activate(torch.cat([linked, found[:, self._linked :]], dim=1))


def _conv(inputs: int, outputs: int, dilation: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(inplace=True),
    )


def _resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(image, size, mode="bilinear", align_corners=False)
