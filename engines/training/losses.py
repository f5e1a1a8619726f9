"""Losses over what is labelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from engines.training.models import Network, Role

_SMOOTH = 50.0
#: What the lung weighs while a network learns lesions.
_LUNG_WEIGHT = 0.3


@dataclass(frozen=True)
class Balance:
    """How the parts of the loss weigh.

    Parameters
    ----------
    entropy
        Cross-entropy against overlap, which weighs 1.
    missed
        A missed pixel against a false one, which weighs 1 - `missed`; 0.5 is Dice.
    """

    entropy: float
    missed: float


#: Lesion labels are looser than what a network dares to paint: missing costs more.
BALANCES: dict[Role, Balance] = {
    "lung": Balance(entropy=4.0, missed=0.5),
    "lesion": Balance(entropy=1.5, missed=0.6),
}
#: Dice with plain, not squared sums, which is what COLI-Net learns by (Shiri et al. 2021).
_DICE = Balance(entropy=0.0, missed=0.5)
_OF_NETWORKS: dict[Network, dict[Role, Balance]] = {"colinet": {"lung": _DICE, "lesion": _DICE}}


def balances_of(network: Network) -> Mapping[Role, Balance]:
    """How the parts of the loss weigh for a network: its paper's way, or else the usual."""
    return _OF_NETWORKS.get(network, BALANCES)


def training_loss(
    logits: Tensor,
    label: Tensor,
    known: Tensor,
    role: Role,
    balances: Mapping[Role, Balance] = BALANCES,
) -> Tensor:
    """The loss of a role; for lesions that of the lung maps, if any, is added at a low weight.

    Parameters
    ----------
    logits
        Shape (n, maps, rows, columns).
    label, known
        Shape (n, maps, rows, columns); see :class:`engines.training.sampling.Sample`.
        The maps of the lung are passed over where `logits` has none.
    role
        What the network finds.
    balances
        How the parts weigh.
    """
    if role == "lung":
        return segmentation_loss(logits, label, known, balances["lung"])
    maps = label.shape[1] // 2
    lesion = segmentation_loss(
        logits[:, :maps], label[:, :maps], known[:, :maps], balances["lesion"]
    )
    if logits.shape[1] == maps:
        return lesion
    lung = segmentation_loss(logits[:, maps:], label[:, maps:], known[:, maps:], balances["lung"])
    return lesion + _LUNG_WEIGHT * lung


def segmentation_loss(logits: Tensor, label: Tensor, known: Tensor, balance: Balance) -> Tensor:
    """Binary cross-entropy plus soft overlap, over the whole batch at once.

    Overlap over the batch, not slice by slice, weighs each diseased pixel alike
    and does not punish a slice without disease for a single false pixel. It is
    the Tversky index (Salehi et al. 2017), which is Dice where both errors weigh
    the same.

    Parameters
    ----------
    logits, label, known
        Shape (n, maps, rows, columns); where `known` is 0 nothing counts.
    balance
        How the parts weigh.
    """
    entropy = F.binary_cross_entropy_with_logits(logits, label, weight=known, reduction="sum")
    probability = logits.sigmoid() * known
    truth = label * known
    overlap = (probability * truth).sum()
    missed = ((1 - probability) * truth).sum()
    false = (probability * (known - truth)).sum()
    wrong = balance.missed * missed + (1 - balance.missed) * false
    tversky = (overlap + _SMOOTH) / (overlap + wrong + _SMOOTH)
    return balance.entropy * entropy / known.sum().clamp(min=1) + (1 - tversky)
