"""Both networks: shapes, determinism in eval, and what INT8 needs of them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engines.networks.unet2d import UNet2d
from engines.networks.unet25d import UNet25d

_NETWORKS = [UNet2d(planes=1, width=4), UNet25d(planes=3, width=4)]


@pytest.mark.parametrize("network", _NETWORKS, ids=["unet2d", "unet25d"])
class TestNetworks:
    def test_gives_one_logit_a_pixel(self, network: nn.Module) -> None:
        planes = 1 if isinstance(network, UNet2d) else 3
        with torch.no_grad():
            logits = network.eval()(torch.rand(2, planes, 64, 96))
        assert logits.shape == (2, 1, 64, 96)
        assert logits.min() < 0.5  # logits, not something clipped to 0..1 from above

    def test_a_slice_does_not_depend_on_what_shares_its_batch(self, network: nn.Module) -> None:
        planes = 1 if isinstance(network, UNet2d) else 3
        batch = torch.rand(3, planes, 64, 64)
        with torch.no_grad():
            together, alone = network.eval()(batch)[1:2], network(batch[1:2])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)

    def test_every_batch_norm_follows_a_convolution(self, network: nn.Module) -> None:
        for block in network.modules():
            layers = list(block.children())
            for before, layer in zip([None, *layers], layers, strict=False):
                if isinstance(layer, nn.BatchNorm2d):
                    assert isinstance(before, nn.Conv2d)
                    assert before.bias is None

    def test_has_no_transposed_convolution(self, network: nn.Module) -> None:
        assert not any(isinstance(layer, nn.ConvTranspose2d) for layer in network.modules())

    def test_gradients_reach_every_weight(self, network: nn.Module) -> None:
        planes = 1 if isinstance(network, UNet2d) else 3
        network.train()(torch.rand(2, planes, 64, 64)).square().mean().backward()
        assert all(weight.grad is not None for weight in network.parameters())


def test_width_is_a_parameter() -> None:
    small, large = (sum(p.numel() for p in UNet25d(3, w).parameters()) for w in (8, 16))
    assert 3.5 < large / small < 4.5


def test_the_encoder_at_full_width_is_resnet_34() -> None:
    stages = UNet25d(3, 64).stages
    assert [len(stage) for stage in stages] == [3, 4, 6, 3]
    assert sum(p.numel() for p in stages.parameters()) == pytest.approx(21.27e6, rel=0.01)
