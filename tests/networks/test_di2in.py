"""The network of lobes: shapes, places, and what INT8 needs of it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engines.networks.di2in import Di2in, folded_cells, unfolded_cells

SHAPE = (16, 32, 16)


@pytest.fixture
def network() -> Di2in:
    torch.manual_seed(1)
    return Di2in(SHAPE, width=4)


def test_gives_a_logit_a_lobe_in_every_voxel(network: Di2in) -> None:
    region = torch.rand(2, *SHAPE)
    with torch.no_grad():
        logits = network.eval()(region)
        alone = network(region[1:])
    assert logits.shape == (2, 5, *SHAPE)
    torch.testing.assert_close(logits[1:], alone, atol=1e-5, rtol=1e-5)


def test_knows_where_it_looks(network: Di2in) -> None:
    with torch.no_grad():
        logits = network.eval()(torch.zeros(1, *SHAPE))
    assert logits[0, :, 8, 8, 8] != pytest.approx(logits[0, :, 8, 24, 8])


def test_unfolding_brings_back_what_was_folded() -> None:
    volume = torch.rand(2, 8, 6, 10)
    folded = folded_cells(volume)
    assert folded.shape == (2, 8, 4, 3, 5)
    both = unfolded_cells(torch.cat([folded, 2 * folded], dim=1), 2)
    torch.testing.assert_close(both, torch.stack([volume, 2 * volume], dim=1), rtol=0, atol=0)


def test_gradients_reach_every_weight_and_no_convolution_is_transposed(network: Di2in) -> None:
    network.train()(torch.rand(2, *SHAPE)).square().mean().backward()
    assert all(weight.grad is not None for weight in network.parameters())
    assert not any(isinstance(layer, nn.ConvTranspose3d) for layer in network.modules())


def test_weights_carry_over_to_a_region_of_another_shape(network: Di2in) -> None:
    other = Di2in((32, 16, 32), width=4)
    other.load_state_dict(network.state_dict())
    assert other(torch.rand(1, 32, 16, 32)).shape == (1, 5, 32, 16, 32)
