"""COVID-Lesion Net: the layers that its paper counts."""

from __future__ import annotations

import torch
from torch import nn

from engines.networks.blocks import ConvNorm
from engines.networks.covidlesionnet import COVIDLesionNet, Transposed


def test_twelve_segments_three_poolings_three_transposed_convolutions() -> None:
    network = COVIDLesionNet(width=4).eval()
    assert sum(isinstance(layer, ConvNorm) for layer in network.modules()) == 12
    assert sum(isinstance(layer, Transposed) for layer in network.modules()) == 3
    sides: list[int] = []
    network.pool.register_forward_hook(lambda layer, given, answer: sides.append(answer.shape[-1]))
    with torch.no_grad():
        network(torch.rand(1, 1, 32, 32))
    assert sides == [16, 8, 4]


def test_bridges_concatenate_what_was_seen_on_the_way_down() -> None:
    network = COVIDLesionNet(width=4)
    assert [join[0].in_channels for join in network.join] == [32, 16, 8]
    assert [join[0].out_channels for join in network.join] == [16, 8, 4]


def test_a_shuffled_convolution_is_a_transposed_one() -> None:
    mine, theirs = Transposed(6, 3), nn.ConvTranspose2d(6, 3, 2, 2)
    weight = mine.project.weight.detach().view(3, 2, 2, 6)
    theirs.weight.data = weight.permute(3, 0, 1, 2).contiguous()
    mine.project.bias.data = theirs.bias.detach().repeat_interleave(4)
    image = torch.rand(2, 6, 5, 7)
    with torch.no_grad():
        torch.testing.assert_close(mine(image), theirs(image))
