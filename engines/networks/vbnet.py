"""VB-Net, the infection network of Shan, Gao et al. 2020 (arXiv 2003.04655).

A V-Net (Milletari et al. 2016) whose convolution blocks are bottlenecks: a
1x1x1 convolution reduces the channels, a 3x3x3 one works on the few, a 1x1x1
one restores them, and the result is added to the block's input. The paper
gives neither width nor the number of blocks a level; here width is a parameter
and the levels have V-Net's 1, 2, 3, 3 blocks. In place of V-Net's transposed
convolutions stands resize and convolution, which INT8 runtimes do fast, and 2x2
pixels are folded into channels at both ends, where most of a V-Net's time goes.
"""

from __future__ import annotations

from torch import Tensor, nn

from engines.networks.blocks3d import ALL_WAYS, IN_PLANE, ConvNorm3d, Step, Up3d, folded, unfolded

_STEPS: tuple[Step, ...] = (ALL_WAYS, ALL_WAYS, ALL_WAYS, IN_PLANE)
_BLOCKS = (1, 2, 3, 3)
_REDUCTION = 2


class Bottleneck(nn.Module):  # type: ignore[misc]
    """Reduce, convolve, restore, add."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        few = max(channels // _REDUCTION, 8)
        self.reduce = ConvNorm3d(channels, few, (1, 1, 1))
        self.convolve = ConvNorm3d(few, few)
        self.restore = nn.Sequential(
            nn.Conv3d(few, channels, 1, bias=False), nn.BatchNorm3d(channels)
        )
        self.activate = nn.ReLU(inplace=True)

    def forward(self, volume: Tensor) -> Tensor:
        return self.activate(self.restore(self.convolve(self.reduce(volume))) + volume)


class VBNet(nn.Module):  # type: ignore[misc]
    """VB-Net on a block of planes.

    Parameters
    ----------
    width
        Channels at full resolution; each level down has twice as many.
    outputs
        Maps to predict.
    """

    def __init__(self, width: int = 16, outputs: int = 1) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(len(_STEPS) + 1)]
        self.stem = ConvNorm3d(4, width)
        self.down, self.encode = nn.ModuleList(), nn.ModuleList()
        self.up, self.decode = nn.ModuleList(), nn.ModuleList()
        for level, (step, blocks) in enumerate(zip(_STEPS, _BLOCKS, strict=True)):
            shallow, deep = widths[level], widths[level + 1]
            self.down.append(_halved(shallow, deep, step))
            self.encode.append(nn.Sequential(*[Bottleneck(deep) for _ in range(blocks)]))
            self.up.append(Up3d(deep, shallow, step))
            merge = ConvNorm3d(2 * shallow, shallow, (1, 1, 1))
            refine = [Bottleneck(shallow) for _ in range(min(level + 1, 2))]
            self.decode.append(nn.Sequential(merge, *refine))
        self.head = nn.Conv3d(width, 4 * outputs, 1)

    def forward(self, planes: Tensor) -> Tensor:
        """Logits of a block.

        Parameters
        ----------
        planes
            Shape (n, planes, rows, columns); planes a multiple of 8, rows and
            columns of 32.

        Returns
        -------
        Shape (n, outputs * planes, rows, columns), the planes of the first output first.
        """
        skips = [self.stem(folded(planes))]
        for down, encode in zip(self.down, self.encode, strict=True):
            skips.append(encode(down(skips[-1])))
        deep = skips.pop()
        for up, decode in zip(reversed(self.up), reversed(self.decode), strict=True):
            deep = decode(up(deep, skips.pop()))
        return unfolded(self.head(deep))


def _halved(inputs: int, outputs: int, step: Step) -> nn.Sequential:
    """V-Net's way down: a strided convolution as large as its step."""
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, step, step, bias=False),
        nn.BatchNorm3d(outputs),
        nn.ReLU(inplace=True),
    )
