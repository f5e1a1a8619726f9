"""The network that sees fissures: shapes, parts of a region, and what it takes from values."""

from __future__ import annotations

import pytest
import torch

from engines.networks.fissures import FissureNet

SHAPE = (32, 32, 48)


@pytest.fixture
def network() -> FissureNet:
    torch.manual_seed(3)
    return FissureNet(SHAPE, width=6).eval()


def test_a_part_is_answered_as_in_the_whole(network: FissureNet) -> None:
    region = 0.3 + 0.1 * torch.rand(1, *SHAPE)
    with torch.no_grad():
        whole = network(region)
        part = network(region[:, 8:, 4:28, 10:40], (8, 4, 10))
    assert whole.shape == region.shape
    inner = (slice(None), slice(8, -8), slice(8, -8), slice(8, -8))
    torch.testing.assert_close(part[inner], whole[:, 8:, 4:28, 10:40][inner], atol=1e-5, rtol=1e-4)


def test_another_level_of_hu_changes_nothing_inside(network: FissureNet) -> None:
    region = 0.3 + 0.02 * torch.rand(1, *SHAPE)
    with torch.no_grad():
        torch.testing.assert_close(network(region + 0.1), network(region), atol=1e-3, rtol=1e-3)


def test_gradients_reach_every_weight(network: FissureNet) -> None:
    network.train()(torch.rand(1, *SHAPE)).square().mean().backward()
    assert all(weight.grad is not None for weight in network.parameters())
