"""What a training run is made of, and how it is kept on disk."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from engines.training.models import PLANS, ModelPlan, Network
from engines.training.sampling import PHANTOM_SHARE


@dataclass(frozen=True)
class Recipe:
    """What a run was asked to do.

    Parameters
    ----------
    model
        Which one of :data:`engines.training.models.PLANS`.
    held_out
        Patients not trained on.
    minutes
        Time to train; the learning rate falls over it.
    steps
        Number of steps instead of a time: the only way to the same weights twice.
    seed
        Draws weights, samples and augmentation.
    network
        Another network than the model's usual one.
    width
        Of the network.
    rate
        Learning rate at its highest.
    start_from
        Folder of a run whose weights this one starts from.
    phantom_share
        Share of samples, 0 to 1, that show phantoms where there are real cases too.
    """

    model: str
    held_out: list[str] = field(default_factory=list)
    minutes: float = 20.0
    steps: int | None = None
    seed: int = 1
    network: Network | None = None
    width: int | None = None
    rate: float = 2e-3
    start_from: str | None = None
    phantom_share: float = PHANTOM_SHARE

    @property
    def plan(self) -> ModelPlan:
        plan = PLANS[self.model]
        return replace(plan, network=self.network or plan.network, width=self.width or plan.width)


class Average:
    """Exponential moving average of a network's weights, batch norm included."""

    def __init__(self, network: nn.Module) -> None:
        self.network = copy.deepcopy(network).eval()

    def update(self, network: nn.Module, step: int) -> None:
        """Move a little towards `network`; further in the first steps."""
        keep = min(0.997, (1 + step) / (10 + step))
        for mine, theirs in zip(
            self.network.state_dict().values(), network.state_dict().values(), strict=True
        ):
            if mine.dtype.is_floating_point:
                mine.lerp_(theirs.detach(), 1 - keep)
            else:
                mine.copy_(theirs)


def save_recipe(run: Path, recipe: Recipe) -> None:
    """Write the recipe into the run's folder, which is made.

    Raises
    ------
    ValueError
        When the folder holds another recipe's run.
    """
    run.mkdir(parents=True, exist_ok=True)
    path = run / "recipe.json"
    if path.is_file() and load_recipe(run) != recipe:
        raise ValueError(f"{run} holds a run with another recipe; choose another folder")
    path.write_text(json.dumps(asdict(recipe), indent=1) + "\n")


def load_recipe(run: Path) -> Recipe:
    """The recipe of a run."""
    return Recipe(**json.loads((run / "recipe.json").read_text()))


def save_checkpoint(run: Path, content: dict[str, Any]) -> None:
    """Replace the run's checkpoint; a crash leaves the old one."""
    part = run / "checkpoint.part"
    torch.save(content, part)
    part.replace(run / "checkpoint.pt")


def load_checkpoint(run: Path) -> dict[str, Any] | None:
    """The run's checkpoint, or None before the first."""
    path = run / "checkpoint.pt"
    if not path.is_file():
        return None
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)
    return content


def trained_network(run: Path) -> nn.Module:
    """The averaged network of a run, ready to predict.

    Raises
    ------
    FileNotFoundError
        When the run has no checkpoint yet.
    """
    content = load_checkpoint(run)
    if content is None:
        raise FileNotFoundError(f"{run} has no checkpoint")
    network = load_recipe(run).plan.build()
    network.load_state_dict(content["average"])
    return network.eval()
