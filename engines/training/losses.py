"""Losses over what is labelled."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

_SMOOTH = 50.0


def segmentation_loss(logits: Tensor, label: Tensor, known: Tensor) -> Tensor:
    """Binary cross-entropy plus soft Dice, over the whole batch at once.

    Dice over the batch, not slice by slice, weighs each diseased pixel alike
    and does not punish a slice without disease for a single false pixel. After
    Milletari et al. 2016 (V-Net), with squares in the denominator.

    Parameters
    ----------
    logits, label, known
        Shape (n, 1, rows, columns); where `known` is 0 nothing counts.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, label, weight=known, reduction="sum")
    probability = logits.sigmoid() * known
    overlap = (probability * label).sum()
    total = (probability**2).sum() + (label * known).sum()
    dice = (2 * overlap + _SMOOTH) / (total + _SMOOTH)
    return entropy / known.sum().clamp(min=1) * 4 + (1 - dice)
