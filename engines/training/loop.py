"""The training loop."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from engines.training.batches import Batches
from engines.training.cases import Case
from engines.training.curve import Curve
from engines.training.losses import balances_of, training_loss
from engines.training.state import (
    Average,
    Recipe,
    load_checkpoint,
    load_recipe,
    save_checkpoint,
    save_recipe,
    trained_network,
)

logger = logging.getLogger(__name__)

_WARM_UP_STEPS = 60
_CHECKPOINT_S = 60.0
_REPORT_STEPS = 50


class Trainer:
    """Trains one network; continues where the run's checkpoint stands.

    Parameters
    ----------
    cases
        To train on.
    recipe
        How.
    run
        Folder for recipe, checkpoint and loss curve.
    device
        "cpu" or "cuda".
    workers
        Processes that draw batches ahead; 0 for none. The weights do not depend on it.

    Raises
    ------
    ValueError
        When the folder holds another recipe's run, or the run to start from saw
        somebody whom this one holds out.
    """

    def __init__(
        self,
        cases: list[Case],
        recipe: Recipe,
        run: Path,
        device: str = "cpu",
        workers: int = 0,
    ) -> None:
        save_recipe(run, recipe)
        torch.manual_seed(recipe.seed)
        self._recipe, self._run, self._device = recipe, run, device
        layout = torch.channels_last_3d if recipe.plan.is_block else torch.channels_last
        self._network = recipe.plan.build().to(device, memory_format=layout)
        self._half = device == "cuda" or _has_bfloat16()
        self._average = Average(self._network)
        self._optimizer = torch.optim.AdamW(
            self._network.parameters(), lr=recipe.rate, weight_decay=2e-3
        )
        self._curve = Curve(run)
        self._step, self._spent_s = 0, 0.0
        self._resume()
        batches = Batches(cases, recipe.plan, recipe.seed, recipe.phantom_share)
        self._batches = batches.following(self._step, workers)

    def train(self, until: int | None = None) -> nn.Module:
        """Train to the end of the recipe, or until a step before it; the averaged network."""
        last = math.inf if until is None else until
        losses: list[float] = []
        saved = mark = time.monotonic()
        while self._progress() < 1 and self._step < last:
            losses.append(self._learn())
            now = time.monotonic()
            self._spent_s += now - mark
            mark = now
            if self._step % _REPORT_STEPS == 0:
                self._curve.add(self._step, self._spent_s, float(np.mean(losses)), self._rate())
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

    def _learn(self) -> float:
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate()
        batch = next(self._batches)
        planes = batch.planes.to(self._device)
        if not self._recipe.plan.is_block:
            planes = planes.to(memory_format=torch.channels_last)
        self._network.train()
        with torch.autocast(self._device, torch.bfloat16, enabled=self._half):
            logits = self._network(planes)
        loss = training_loss(
            logits.float(),
            batch.label.to(self._device),
            batch.known.to(self._device),
            self._recipe.plan.role,
            balances_of(self._recipe.plan.network),
        )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._network.parameters(), 2.0)
        self._optimizer.step()
        self._step += 1
        self._average.update(self._network, self._step)
        return float(loss.item())

    def _save(self) -> None:
        logger.info("step %d after %.0f s", self._step, self._spent_s)
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
        self._curve.draw()

    def _resume(self) -> None:
        content = load_checkpoint(self._run)
        if content is None:
            self._start_from(self._recipe.start_from)
            return
        self._network.load_state_dict(content["network"])
        self._average.network.load_state_dict(content["average"])
        self._optimizer.load_state_dict(content["optimizer"])
        self._step, self._spent_s = content["step"], content["spent_s"]
        self._curve.cut_after(self._step)
        logger.info("resumed at step %d", self._step)

    def _start_from(self, other: str | None) -> None:
        """Take over the averaged weights of another run, which saw nobody this one holds out."""
        if other is not None:
            if seen := set(self._recipe.held_out) - set(load_recipe(Path(other)).held_out):
                raise ValueError(f"{other} was trained on {', '.join(sorted(seen))}, held out here")
            weights = trained_network(Path(other)).state_dict()
            self._network.load_state_dict(weights)
            self._average.network.load_state_dict(weights)


def _has_bfloat16() -> bool:
    """Without instructions for it, bfloat16 is slower than float32."""
    flags = Path("/proc/cpuinfo")
    return flags.is_file() and "avx512_bf16" in flags.read_text()
