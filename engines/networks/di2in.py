"""Deep image-to-image network of Yang et al. 2017 (arXiv 1705.05998) for lobes.

Chaganti et al. 2020 (arXiv 2004.01279) find lungs and lobes with it: an encoder
and a decoder of 3-D convolutions, features of the encoder concatenated to those
of the decoder at every level. The papers give no widths; here width is a
parameter. In place of transposed convolutions stand resize and convolution,
which INT8 runtimes do fast, and 2 x 2 x 2 voxels are folded into channels at
both ends, where most of the time goes. The papers' deep supervision is left out.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from engines.networks.blocks3d import ALL_WAYS, ConvNorm3d, Up3d

_LEVELS = 3
_FOLD = 2
_CORNERS = _FOLD**3
#: Values of lung lie here, far from those of the window's ends.
_LUNG_VALUES = (0.2, 0.5)


class Di2in(nn.Module):  # type: ignore[misc]
    """The network on a region of interest.

    Parameters
    ----------
    shape
        Planes, rows and columns of the region, multiples of 16: the network is
        told where in the region it looks, so that the shape is fixed.
    width
        Channels at half resolution; each level down has twice as many.
    outputs
        Classes.
    """

    def __init__(
        self, shape: tuple[int, int, int] = (96, 80, 112), width: int = 16, outputs: int = 5
    ) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(_LEVELS + 1)]
        self.outputs = outputs
        self.register_buffer("places", folded_places(shape), persistent=False)
        self.stem = ConvNorm3d(2 * _CORNERS + 4, width)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.decode = nn.ModuleList()
        for shallow, deep in itertools.pairwise(widths):
            self.down.append(
                nn.Sequential(ConvNorm3d(shallow, deep, step=ALL_WAYS), ConvNorm3d(deep, deep))
            )
            self.up.append(Up3d(deep, shallow, ALL_WAYS))
            self.decode.append(ConvNorm3d(2 * shallow, shallow))
        self.head = nn.Conv3d(width, _CORNERS * outputs, 1)

    def forward(self, region: Tensor) -> Tensor:
        """Logits of every voxel.

        Parameters
        ----------
        region
            Shape (n, planes, rows, columns); 0 where there is no lung.

        Returns
        -------
        Shape (n, outputs, planes, rows, columns).
        """
        skips = [self.stem(self._seen(region))]
        for down in self.down:
            skips.append(down(skips[-1]))
        deep = skips.pop()
        for up, decode in zip(reversed(self.up), reversed(self.decode), strict=True):
            deep = decode(up(deep, skips.pop()))
        return unfolded_cells(self.head(deep), self.outputs)

    def _seen(self, region: Tensor) -> Tensor:
        """The region, its lung values spread out, the share of lung, and places, all folded."""
        low, high = _LUNG_VALUES
        spread = ((region - low) / (high - low)).clamp(0, 1)
        corners, lung = folded_cells(region), (region * 1000.0).clamp(0, 1)
        share = folded_cells(lung).mean(dim=1, keepdim=True)
        places = self.places.expand(len(region), -1, -1, -1, -1)
        return torch.cat([corners, folded_cells(spread), share, places], dim=1)


def folded_cells(volume: Tensor) -> Tensor:
    """Each 2 x 2 x 2 voxels of (n, planes, rows, columns) as eight channels."""
    planes, rows, columns = volume.shape[1:]
    cells = volume.reshape(
        -1, planes // _FOLD, _FOLD, rows // _FOLD, _FOLD, columns // _FOLD, _FOLD
    )
    return cells.permute(0, 2, 4, 6, 1, 3, 5).flatten(1, 3)


def unfolded_cells(volume: Tensor, outputs: int) -> Tensor:
    """The reverse of :func:`folded_cells` for several maps."""
    planes, rows, columns = volume.shape[2:]
    cells = volume.reshape(-1, outputs, _FOLD, _FOLD, _FOLD, planes, rows, columns)
    cells = cells.permute(0, 1, 5, 2, 6, 3, 7, 4)
    return cells.reshape(-1, outputs, planes * _FOLD, rows * _FOLD, columns * _FOLD)


def folded_places(shape: tuple[int, int, int]) -> Tensor:
    """Place along each axis, -1 to 1, of every folded voxel; shape (1, 3, ...)."""
    axes = [torch.linspace(-1, 1, size // _FOLD) for size in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]
