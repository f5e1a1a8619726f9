"""The training loop of a lobes model: resumable, averaged."""

from __future__ import annotations

import json
import logging
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.di2in import Di2in
from engines.training.lobes.augment import Sample, draw
from engines.training.lobes.scans import SHAPE, find_scans, load_scan
from engines.training.state import Average, load_checkpoint, save_checkpoint

logger = logging.getLogger(__name__)

#: Share of the samples that are real scans; the rest are phantoms.
_REAL_SHARE = 0.5
_WARM_UP_STEPS = 40
_REPORT_STEPS = 20
_CHECKPOINT_S = 60.0
_OVERLAP_WEIGHT = 1.0
_SMOOTH = 100.0


@dataclass(frozen=True)
class LobesRecipe:
    """What a run was asked to do.

    Parameters
    ----------
    data
        Folders of labelled scans.
    held_out
        Scans not trained on.
    minutes
        Time to train; the learning rate falls over it.
    steps
        Number of steps, one scan each, instead of a time: the only way to the same
        weights twice.
    seed
        Draws weights, samples and augmentation.
    width
        Of the network.
    rate
        Learning rate at its highest.
    start_from
        Run whose averaged weights to start from; empty for none.
    shape
        Planes, rows and columns of the region, multiples of 16. A coarse region
        is learned fast; weights carry over to the fine one that ships.
    """

    data: list[str]
    held_out: list[str] = field(default_factory=list)
    minutes: float = 60.0
    steps: int | None = None
    seed: int = 1
    width: int = 16
    rate: float = 2e-3
    start_from: str = ""
    shape: tuple[int, int, int] = SHAPE


class LobesTrainer:
    """Trains one network; a run that was stopped goes on where it was saved.

    Parameters
    ----------
    recipe
        What to do.
    run
        Folder of the run.
    """

    def __init__(self, recipe: LobesRecipe, run: Path) -> None:
        run.mkdir(parents=True, exist_ok=True)
        (run / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1) + "\n")
        torch.manual_seed(recipe.seed)
        self._recipe, self._run, self._step = recipe, run, 0
        self._spent_s = 0.0
        folders = [Path(folder) for folder in recipe.data]
        self._real, self._phantoms = find_scans(folders, recipe.held_out)
        self._network = Di2in(recipe.shape, recipe.width)
        if recipe.start_from:
            self._network.load_state_dict(_checkpoint(Path(recipe.start_from))["average"])
        self._average = Average(self._network)
        self._optimizer = torch.optim.AdamW(
            self._network.parameters(), lr=recipe.rate, weight_decay=2e-3
        )
        self._resume()

    def train(self) -> nn.Module:
        """Train to the end of the recipe; the averaged network."""
        losses: list[float] = []
        saved = mark = time.monotonic()
        while self._progress() < 1:
            losses.append(self._learn())
            now = time.monotonic()
            self._spent_s += now - mark
            mark = now
            if self._step % _REPORT_STEPS == 0:
                logger.info("step %d loss %.4f", self._step, np.mean(losses))
                losses.clear()
            if now - saved > _CHECKPOINT_S:
                self._save()
                saved = now
        self._save()
        return self._average.network

    def _progress(self) -> float:
        if self._recipe.steps is not None:
            return self._step / self._recipe.steps
        return self._spent_s / (60 * self._recipe.minutes)

    def _rate(self) -> float:
        """Cosine from the highest rate to 1 % of it, after a short warm-up."""
        progress = min(self._progress(), 1.0)
        cosine = 0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2
        return self._recipe.rate * cosine * min(1.0, (self._step + 1) / _WARM_UP_STEPS)

    def _sample(self) -> Sample:
        rng = np.random.default_rng((self._recipe.seed, self._step))
        real = self._real and (not self._phantoms or rng.random() < _REAL_SHARE)
        paths = self._real if real else self._phantoms
        return draw(load_scan(paths[int(rng.integers(len(paths)))]), rng, self._recipe.shape)

    def _learn(self) -> float:
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate()
        sample = self._sample()
        self._network.train()
        loss = lobes_loss(self._network(sample.values), sample.labels)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), 2.0)
        self._optimizer.step()
        self._step += 1
        self._average.update(self._network, self._step)
        return float(loss.item())

    def _save(self) -> None:
        save_checkpoint(
            self._run,
            {
                "network": self._network.state_dict(),
                "average": self._average.network.state_dict(),
                "optimizer": self._optimizer.state_dict(),
                "step": self._step,
                "spent_s": self._spent_s,
            },
        )

    def _resume(self) -> None:
        content = load_checkpoint(self._run)
        if content is not None:
            self._network.load_state_dict(content["network"])
            self._average.network.load_state_dict(content["average"])
            self._optimizer.load_state_dict(content["optimizer"])
            self._step, self._spent_s = content["step"], content["spent_s"]
            logger.info("resumed at step %d", self._step)


def lobes_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy plus soft Dice, over lung alone.

    Parameters
    ----------
    logits
        Shape (n, lobes, planes, rows, columns).
    labels
        Shape (n, planes, rows, columns): 0 outside the lungs, lobes from 1.
    """
    lung = labels > 0
    chosen = logits.movedim(1, 0)[:, lung]
    lobes = labels[lung] - 1
    entropy = F.cross_entropy(chosen.T, lobes)
    probability = chosen.softmax(dim=0)
    right = probability.gather(0, lobes[None])[0]
    shared = torch.zeros(len(chosen)).index_add(0, lobes, right)
    both = probability.sum(dim=1) + torch.bincount(lobes, minlength=len(chosen))
    dice = (2 * shared + _SMOOTH) / (both + _SMOOTH)
    return entropy + _OVERLAP_WEIGHT * (1 - dice.mean())


def trained_lobes(run: Path) -> nn.Module:
    """The averaged network of a run, ready to predict.

    Raises
    ------
    FileNotFoundError
        When the run has no checkpoint yet.
    """
    recipe = LobesRecipe(**json.loads((run / "recipe.json").read_text()))
    network = Di2in(SHAPE, recipe.width)
    network.load_state_dict(_checkpoint(run)["average"])
    return network.eval()


def _checkpoint(run: Path) -> dict[str, Any]:
    content = load_checkpoint(run)
    if content is None:
        raise FileNotFoundError(f"{run} has no checkpoint")
    return content
