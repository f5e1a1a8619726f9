from __future__ import annotations

import pytest
import torch

from engines.training.losses import (
    BALANCES,
    Balance,
    balances_of,
    segmentation_loss,
    training_loss,
)

_EVEN = Balance(entropy=1.0, missed=0.5)


def _tensors() -> tuple[torch.Tensor, torch.Tensor]:
    label = torch.zeros(1, 1, 64, 64)
    label[..., 16:48, 16:48] = 1
    return label, torch.ones_like(label)


def test_the_truth_costs_nothing() -> None:
    label, known = _tensors()
    loss = segmentation_loss(40 * (label - 0.5), label, known, _EVEN)
    assert loss.item() == pytest.approx(0, abs=1e-3)


def test_the_opposite_costs_most() -> None:
    label, known = _tensors()
    right, wrong = (segmentation_loss(s * (label - 0.5), label, known, _EVEN) for s in (8, -8))
    assert wrong > right + 1


def test_what_is_unknown_does_not_count() -> None:
    label, known = _tensors()
    known[..., :32] = 0
    logits = torch.randn(label.shape, generator=torch.Generator().manual_seed(1))
    other = torch.where(known == 0, -logits, logits)
    first = segmentation_loss(logits, label, known, _EVEN)
    torch.testing.assert_close(first, segmentation_loss(other, label, known, _EVEN))
    nothing = segmentation_loss(logits, label, torch.zeros_like(known), _EVEN)
    assert nothing.item() == pytest.approx(0, abs=1e-6)


def test_missing_a_lesion_costs_more_than_painting_too_much() -> None:
    label, known = _tensors()
    less, more = torch.zeros_like(label), torch.zeros_like(label)
    less[..., 16:48, 16:40] = 1
    more[..., 16:48, 16:56] = 1
    cost = [
        segmentation_loss(20 * (guess - 0.5), label, known, Balance(0.0, BALANCES["lesion"].missed))
        for guess in (less, more)
    ]
    assert cost[0] > cost[1]


def test_lesions_weigh_more_than_the_lung_that_helps_to_learn_them() -> None:
    label, known = _tensors()
    both, seen = label.repeat(1, 2, 1, 1), known.repeat(1, 2, 1, 1)
    right = 40 * (both - 0.5)
    wrong_lesion, wrong_lung = right.clone(), right.clone()
    wrong_lesion[:, :1] *= -1
    wrong_lung[:, 1:] *= -1
    lesion, lung = (
        training_loss(logits, both, seen, "lesion") for logits in (wrong_lesion, wrong_lung)
    )
    assert training_loss(right, both, seen, "lesion") < 0.01 < lung < lesion
    alone = segmentation_loss(wrong_lung[:, 1:], label, known, BALANCES["lung"])
    torch.testing.assert_close(training_loss(wrong_lung[:, 1:], label, known, "lung"), alone)


def test_colinet_learns_by_dice_alone_and_without_the_lung() -> None:
    label, known = _tensors()
    logits = torch.randn(label.shape, generator=torch.Generator().manual_seed(1))
    probability = logits.sigmoid()
    both = probability.sum() + label.sum()
    dice = 1 - (2 * (probability * label).sum() + 100) / (both + 100)
    labels, seen = label.repeat(1, 2, 1, 1), known.repeat(1, 2, 1, 1)
    loss = training_loss(logits, labels, seen, "lesion", balances_of("colinet"))
    torch.testing.assert_close(loss, dice)
    assert balances_of("vbnet") is BALANCES
