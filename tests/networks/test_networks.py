"""Every network: shapes, determinism in eval, and what INT8 needs of them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from engines.networks.blocks3d import folded, unfolded
from engines.networks.colinet import COLINet
from engines.networks.covidlesionnet import COVIDLesionNet
from engines.networks.denseunet import DenseBlock, DenseUNet
from engines.networks.unet2d import UNet2d
from engines.networks.unet25d import UNet25d
from engines.networks.vbnet import Bottleneck, VBNet


@dataclass(frozen=True)
class Kind:
    """A network, how many planes go in and how many maps come out."""

    network: nn.Module
    planes: int
    maps: int
    size: tuple[int, int] = (64, 96)

    def input(self, count: int = 2) -> Tensor:
        return torch.rand(count, self.planes, *self.size)


_KINDS = {
    "unet2d": Kind(UNet2d(planes=1, width=4), 1, 1),
    "unet25d": Kind(UNet25d(planes=3, width=4), 3, 1),
    "vbnet": Kind(VBNet(width=4), 8, 8),
    "denseunet": Kind(DenseUNet(width=4), 8, 8),
    "colinet": Kind(COLINet((-1350.0, 250.0), size=64, width=4), 1, 1, (64, 64)),
    "covidlesionnet": Kind(COVIDLesionNet(planes=1, width=4), 1, 1),
}
_CONVOLUTIONS = {nn.BatchNorm2d: nn.Conv2d, nn.BatchNorm3d: nn.Conv3d}


@pytest.mark.parametrize("kind", _KINDS.values(), ids=list(_KINDS))
class TestNetworks:
    def test_gives_one_logit_a_pixel(self, kind: Kind) -> None:
        with torch.no_grad():
            logits = kind.network.eval()(kind.input())
        assert logits.shape == (2, kind.maps, *kind.size)
        assert logits.isfinite().all()
        assert logits.std() > 0

    def test_a_sample_does_not_depend_on_what_shares_its_batch(self, kind: Kind) -> None:
        batch = kind.input(3)
        with torch.no_grad():
            together, alone = kind.network.eval()(batch)[1:2], kind.network(batch[1:2])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)

    def test_every_batch_norm_follows_a_convolution(self, kind: Kind) -> None:
        for block in kind.network.modules():
            layers = list(block.children())
            for before, layer in zip([None, *layers], layers, strict=False):
                if type(layer) in _CONVOLUTIONS:
                    assert isinstance(before, _CONVOLUTIONS[type(layer)])
                    assert before.bias is None

    def test_has_no_transposed_convolution(self, kind: Kind) -> None:
        transposed = (nn.ConvTranspose2d, nn.ConvTranspose3d)
        assert not any(isinstance(layer, transposed) for layer in kind.network.modules())

    def test_gradients_reach_every_weight(self, kind: Kind) -> None:
        kind.network.train()(kind.input()).square().mean().backward()
        assert all(weight.grad is not None for weight in kind.network.parameters())


@pytest.mark.parametrize("network", [UNet25d, VBNet, DenseUNet, COVIDLesionNet])
def test_width_is_a_parameter(network: type[nn.Module]) -> None:
    small, large = (sum(p.numel() for p in network(width=w).parameters()) for w in (16, 32))
    assert 3.5 < large / small < 4.5


def test_the_encoder_at_full_width_is_resnet_34() -> None:
    stages = UNet25d(3, 64).stages
    assert [len(stage) for stage in stages] == [3, 4, 6, 3]
    assert sum(p.numel() for p in stages.parameters()) == pytest.approx(21.27e6, rel=0.01)


def test_a_second_map_follows_the_first_for_all_planes() -> None:
    network = VBNet(width=4, outputs=2).eval()
    nn.init.zeros_(network.head.weight)
    network.head.bias.data[:] = torch.tensor([1.0] * 4 + [2.0] * 4)
    with torch.no_grad():
        answer = network(torch.rand(1, 8, 32, 32))
    assert answer.shape == (1, 16, 32, 32)
    assert (answer[:, :8] == 1).all()
    assert (answer[:, 8:] == 2).all()


def test_unfolding_brings_back_what_was_folded() -> None:
    planes = torch.rand(2, 8, 6, 10)
    volume = folded(planes)
    assert volume.shape == (2, 4, 8, 3, 5)
    torch.testing.assert_close(unfolded(volume), planes, rtol=0, atol=0)
    both = unfolded(torch.cat([volume, 2 * volume], dim=1))
    torch.testing.assert_close(both, torch.cat([planes, 2 * planes], dim=1), rtol=0, atol=0)


def test_the_blocks_of_vbnet_are_bottlenecks_that_add_their_input() -> None:
    block = Bottleneck(32).eval()
    kernels = [layer.kernel_size for layer in block.modules() if isinstance(layer, nn.Conv3d)]
    assert kernels == [(1, 1, 1), (3, 3, 3), (1, 1, 1)]
    nn.init.zeros_(block.restore[0].weight)
    volume = torch.rand(1, 32, 4, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(block(volume), volume)


def test_a_dense_layer_sees_the_input_and_all_layers_before_it() -> None:
    block = DenseBlock(8, 16, growth=4, layers=3, kernel=(1, 3, 3))
    inputs = [layer[0].in_channels for layer in block.layers]
    assert inputs == [8, 12, 16]
    assert block.join[0].in_channels == 20


def test_denseunet_keeps_planes_apart_until_they_are_as_far_apart_as_pixels() -> None:
    network = DenseUNet(width=4)
    steps = [down[0].stride for down in network.down]
    assert steps == [(1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2)]
    flat = [layer[0].kernel_size for layer in network.encode[0].layers]
    assert flat == [(1, 3, 3), (1, 3, 3)]
    assert network.stem[0].in_channels == 4
