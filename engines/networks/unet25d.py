"""2.5-D U-Net with a ResNet-34 encoder, the infection network of Li, Zhong et al. 2020.

The input is a slice and its neighbours as channels. The encoder is ResNet-34's
(He et al. 2016): a strided 7x7 stem and stages of 3, 4, 6 and 3 basic blocks.
The paper does not say its width; here it is a parameter, and 64 is ResNet-34's.
The decoder ends at half the resolution, where the stem's features are; each of
its pixels answers for four (sub-pixel convolution, Shi et al. 2016). Most of a
U-Net's time goes into its finest level, and lesions have no finer edges.
"""

from __future__ import annotations

from torch import Tensor, nn

from engines.networks.blocks import ConvNorm, Residual, UpJoin

_STAGES = (3, 4, 6, 3)


class UNet25d(nn.Module):  # type: ignore[misc]
    """U-Net on a stack of neighbouring slices.

    Parameters
    ----------
    planes
        Input planes: the target and its neighbours, foot to head.
    width
        Channels of the first stage; the others have 2, 4 and 8 times as many.
    outputs
        Maps to predict.
    """

    def __init__(self, planes: int = 3, width: int = 32, outputs: int = 1) -> None:
        super().__init__()
        w = width
        self.stem = ConvNorm(planes, w, 7, 2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.stages = nn.ModuleList()
        before = w
        for index, count in enumerate(_STAGES):
            channels = w * 2**index
            self.stages.append(_stage(before, channels, count, stride=2 if index else 1))
            before = channels
        self.up = nn.ModuleList()
        for skip in (4 * w, 2 * w, w, w):
            self.up.append(UpJoin(before, skip, skip, convolutions=1 if skip == w else 2))
            before = skip
        self.head = nn.Conv2d(before, 4 * outputs, 1)
        self.refine = nn.PixelShuffle(2)

    def forward(self, image: Tensor) -> Tensor:
        """Logits of a slice: (n, planes, rows, columns) to (n, outputs, rows, columns).

        Rows and columns are multiples of 32.
        """
        skips = [self.stem(image)]
        deep = self.pool(skips[-1])
        for stage in self.stages:
            deep = stage(deep)
            skips.append(deep)
        skips.pop()
        for join in self.up:
            deep = join(deep, skips.pop())
        return self.refine(self.head(deep))


def _stage(inputs: int, outputs: int, count: int, stride: int) -> nn.Sequential:
    blocks = [Residual(inputs, outputs, stride)]
    blocks += [Residual(outputs, outputs) for _ in range(count - 1)]
    return nn.Sequential(*blocks)
