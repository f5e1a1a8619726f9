"""COLI-Net: its layers, and the paper's preprocessing within it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engines.networks.colinet import COLINet, DilatedPair

_WINDOW = (-1350.0, 250.0)


def made(size: int = 64) -> COLINet:
    return COLINet(_WINDOW, size, width=4)


def test_twenty_convolutions_see_ever_further_apart() -> None:
    layers = [layer for layer in made().modules() if isinstance(layer, nn.Conv2d)]
    assert [layer.dilation[0] for layer in layers] == [1] * 7 + [2] * 6 + [4] * 6 + [1]
    assert [layer.out_channels for layer in layers] == [4] * 7 + [8] * 6 + [16] * 6 + [1]


def test_a_link_is_around_every_two_convolutions_and_adds_nothing_to_new_channels() -> None:
    pair = DilatedPair(4, 8, dilation=2).eval()
    nn.init.zeros_(pair.second[0].weight)
    image = torch.rand(1, 4, 9, 9)
    with torch.no_grad():
        answer = pair(image)
    torch.testing.assert_close(answer[:, :4], image)
    assert (answer[:, 4:] == 0).all()
    assert len(made().blocks) == 9


def test_what_is_negative_leaks_through() -> None:
    assert made().blocks[0].activate(torch.tensor([-1.0])) == pytest.approx(-0.01)


@pytest.mark.parametrize(
    ("hu", "scaled"), [(-1350.0, 0.0), (-1024.0, 0.0), (-362.0, 0.65), (250.0, 1.3 * 1274 / 1324)]
)
def test_hu_are_cut_and_scaled_as_in_the_paper(hu: float, scaled: float) -> None:
    low, high = _WINDOW
    plane = torch.full((1, 1, 4, 4), (hu - low) / (high - low))
    assert made()._scaled(plane).unique().tolist() == pytest.approx([scaled], abs=1e-6)


def test_a_wider_window_ends_at_the_papers_highest_value() -> None:
    network = COLINet((-1350.0, 400.0), 64, width=4)
    assert network._scaled(torch.ones(1, 1, 2, 2)).max().item() == pytest.approx(1.3)


def test_the_layers_see_the_papers_matrix() -> None:
    seen: list[torch.Size] = []
    network = made(256).eval()
    network.stem.register_forward_hook(lambda layer, given, answer: seen.append(answer.shape))
    with torch.no_grad():
        network(torch.rand(1, 1, 256, 256))
    assert seen == [torch.Size((1, 4, 216, 296))]


def test_rows_in_front_of_and_behind_the_chest_are_neither_seen_nor_answered() -> None:
    network = made(256).eval()
    planes = torch.rand(1, 1, 256, 256)
    other = planes.clone()
    other[:, :, :23] = 1 - other[:, :, :23]
    other[:, :, 210:] = 1 - other[:, :, 210:]
    with torch.no_grad():
        answer, same = network(planes), network(other)
    torch.testing.assert_close(answer, same, rtol=0, atol=0)
    nothing = answer == -10
    assert nothing[:, :, :23].all()
    assert nothing[:, :, 210:].all()
    assert not nothing[:, :, 23:210].any()


def test_windows_of_a_plane_can_be_learnt_from_whole() -> None:
    logits = made(256).train()(torch.rand(2, 1, 128, 128))
    assert logits.shape == (2, 1, 128, 128)
    assert not (logits == -10).any()
