"""Anisotropic DenseUNet, the abnormality network of Chaganti, Grenier et al. 2020.

Dense blocks of 1x3x3 convolutions with batch norm and leaky ReLU; the first
two halvings are of rows and columns only, the last three also of the planes,
which lie 3 mm apart. Then as many levels up. The paper has two softmax channels;
one sigmoid channel is the same for two classes. Its transposed convolutions
are resize and convolution here, and leaky ReLU is ReLU: both are what INT8
runtimes fuse. The first halving folds 2x2 pixels into channels, and the last
level up unfolds them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engines.networks.blocks3d import ALL_WAYS, IN_PLANE, ConvNorm3d, Step, Up3d, folded, unfolded

_STEPS: tuple[Step, ...] = (IN_PLANE, ALL_WAYS, ALL_WAYS, ALL_WAYS)
_FLAT: Step = (1, 3, 3)
_THICK: Step = (3, 3, 3)


class DenseBlock(nn.Module):  # type: ignore[misc]
    """Each layer sees the block's input and all layers before it; a 1x1x1 convolution ends it.

    Parameters
    ----------
    inputs, outputs
        Channels.
    growth
        Channels each layer adds.
    layers
        Number of layers.
    kernel
        Of each layer.
    """

    def __init__(self, inputs: int, outputs: int, growth: int, layers: int, kernel: Step) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ConvNorm3d(inputs + index * growth, growth, kernel) for index in range(layers)
        )
        self.join = ConvNorm3d(inputs + layers * growth, outputs, (1, 1, 1))

    def forward(self, volume: Tensor) -> Tensor:
        known = volume
        for layer in self.layers:
            known = torch.cat([known, layer(known)], dim=1)
        return self.join(known)


class DenseUNet(nn.Module):  # type: ignore[misc]
    """Anisotropic DenseUNet on a block of planes.

    Parameters
    ----------
    width
        Channels at full resolution; each level down has twice as many.
    outputs
        Maps to predict.
    """

    def __init__(self, width: int = 16, outputs: int = 1) -> None:
        super().__init__()
        widths = [width * 2 ** min(level, 3) for level in range(len(_STEPS) + 1)]
        self.stem = ConvNorm3d(4, width, _FLAT)
        self.down, self.encode = nn.ModuleList(), nn.ModuleList()
        self.up, self.decode = nn.ModuleList(), nn.ModuleList()
        for level, step in enumerate(_STEPS):
            shallow, deep = widths[level], widths[level + 1]
            kernel = _FLAT if step == IN_PLANE else _THICK
            self.down.append(ConvNorm3d(shallow, deep, _FLAT, step))
            self.encode.append(DenseBlock(deep, deep, deep // 2, 2, kernel))
            self.up.append(Up3d(deep, shallow, step))
            self.decode.append(ConvNorm3d(2 * shallow, shallow, _FLAT))
        self.head = nn.Conv3d(width, 4 * outputs, 1)

    def forward(self, planes: Tensor) -> Tensor:
        """Logits of a block; shapes as those of :class:`engines.networks.vbnet.VBNet`."""
        skips = [self.stem(folded(planes))]
        for down, encode in zip(self.down, self.encode, strict=True):
            skips.append(encode(down(skips[-1])))
        deep = skips.pop()
        for up, decode in zip(reversed(self.up), reversed(self.decode), strict=True):
            deep = decode(up(deep, skips.pop()))
        return unfolded(self.head(deep))
