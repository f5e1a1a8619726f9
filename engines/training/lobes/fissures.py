"""``python -m engines.training.lobes.fissures``: train the network that sees fissures.

What a fissure looks like it learns from phantoms, whose fissures are known to the voxel. What
is none it learns from real scans too: whatever lies far from the borders that registration
gave them; about what lies near it is told nothing. It sees parts of regions: what it looks
for is local, and an eighth of a region costs an eighth.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.fissures import FissureNet
from engines.training.lobes.scans import SHAPE, LobeScan, find_scans, load_scan
from engines.training.models import WINDOW_HU
from engines.training.state import load_checkpoint, save_checkpoint

logger = logging.getLogger(__name__)

#: Planes, rows and columns of a part.
PART = (48, 40, 56)
_HU = 1.0 / (WINDOW_HU[1] - WINDOW_HU[0])
_WARM_UP_STEPS = 30
_REPORT_STEPS = 100
_CHECKPOINT_S = 60.0
#: Voxels of fissure below which a part teaches too little.
_FEWEST = 50
#: Share of the parts that come from real scans.
_REAL_SHARE = 0.4
#: How far a registered border may lie from the fissure, voxels.
_UNSURE = 5
#: Lobes of the right lung.
_RIGHT = 3


@dataclass(frozen=True, eq=False)
class Part:
    """A part of a region; all of :data:`PART` but the last.

    Parameters
    ----------
    values
        As the network sees them.
    fissure
        Where one is.
    known
        Where that is known.
    first
        Where the part begins.
    """

    values: Tensor
    fissure: Tensor
    known: Tensor
    first: tuple[int, int, int]


def draw_part(scan: LobeScan, rng: np.random.Generator) -> Part:
    """A part of a scan, from anywhere, with another scanner's HU and dose."""
    z, y, x = (
        2 * int(rng.integers((whole - part) // 2 + 1))
        for whole, part in zip(SHAPE, PART, strict=True)
    )
    cut = tuple(slice(at, at + part) for at, part in zip((z, y, x), PART, strict=True))
    lobes = torch.from_numpy(scan.labels[cut])
    fissure, known = fissure_voxels(lobes), lobes > 0
    if not scan.synthetic:
        near = F.max_pool3d(fissure[None, None].float(), 2 * _UNSURE + 1, 1, _UNSURE)[0, 0] > 0
        fissure, known = torch.zeros_like(fissure), known & ~near
    values = torch.from_numpy(scan.values[cut].astype(np.float32))
    return Part(_noisy(values, rng), fissure, known, (z, y, x))


class FissureTrainer:
    """Trains the network; a run that was stopped, or asked for more steps, goes on.

    Parameters
    ----------
    real, phantoms
        Labelled scans.
    run
        Folder of the run.
    steps
        One part each.
    seed
        Draws weights and parts.
    rate
        Learning rate at its highest.
    """

    def __init__(
        self,
        real: list[Path],
        phantoms: list[Path],
        run: Path,
        steps: int,
        seed: int = 1,
        rate: float = 4e-3,
    ) -> None:
        run.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(seed)
        self._real, self._phantoms = real, phantoms
        self._run, self._steps, self._seed, self._rate = run, steps, seed, rate
        self._network = FissureNet()
        self._optimizer = torch.optim.AdamW(self._network.parameters(), lr=rate, weight_decay=1e-3)
        self._step = self._first = 0
        if (content := load_checkpoint(run)) is not None:
            self._network.load_state_dict(content["network"])
            self._step = self._first = content["step"]

    def train(self) -> nn.Module:
        """Train to the last step; the network."""
        losses: list[float] = []
        saved = time.monotonic()
        while self._step < self._steps:
            losses.append(self._learn())
            if self._step % _REPORT_STEPS == 0:
                logger.info("step %d loss %.4f", self._step, np.mean(losses))
                losses.clear()
            if time.monotonic() - saved > _CHECKPOINT_S:
                self._save()
                saved = time.monotonic()
        self._save()
        return self._network.eval()

    def _learn(self) -> float:
        progress = (self._step - self._first) / (self._steps - self._first)
        cosine = 0.02 + 0.98 * (1 + math.cos(math.pi * progress)) / 2
        warm = min(1.0, (self._step - self._first + 1) / _WARM_UP_STEPS)
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate * cosine * warm
        part = self._part(np.random.default_rng((self._seed, self._step)))
        logits = self._network.train()(part.values[None], part.first)[0]
        loss = F.binary_cross_entropy_with_logits(
            logits[part.known], part.fissure[part.known].float()
        )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        self._step += 1
        return float(loss.item())

    def _part(self, rng: np.random.Generator) -> Part:
        real = bool(self._real) and rng.random() < _REAL_SHARE
        paths = self._real if real else self._phantoms
        while True:
            part = draw_part(load_scan(paths[int(rng.integers(len(paths)))], SHAPE), rng)
            if int((part.known if real else part.fissure).sum()) >= _FEWEST:
                return part

    def _save(self) -> None:
        save_checkpoint(self._run, {"network": self._network.state_dict(), "step": self._step})


def _noisy(values: Tensor, rng: np.random.Generator) -> Tensor:
    """Another scanner's HU and dose; 0 stays 0."""
    strength = float(max(rng.uniform(-8, 8), 0.0) * _HU)
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    noise = strength * torch.randn(values.shape, generator=generator)
    other = values + float(rng.normal(0, 16 * _HU)) + noise
    return torch.where(values > 0, other.clamp(1e-3, 1), values)


def fissure_voxels(lobes: Tensor) -> Tensor:
    """Voxels beside one of another lobe of the same lung; shape of `lobes`, 0 outside the lungs."""
    found = torch.zeros_like(lobes, dtype=torch.bool)
    for axis, count in enumerate(lobes.shape):
        before, after = lobes.narrow(axis, 0, count - 1), lobes.narrow(axis, 1, count - 1)
        apart = (before > 0) & (after > 0) & (before != after)
        apart &= (before <= _RIGHT) == (after <= _RIGHT)
        found.narrow(axis, 0, count - 1).logical_or_(apart)
        found.narrow(axis, 1, count - 1).logical_or_(apart)
    return found


def trained_fissures(run: Path) -> nn.Module:
    """The network of a run, ready to predict.

    Raises
    ------
    FileNotFoundError
        When the run has no checkpoint yet.
    """
    content = load_checkpoint(run)
    if content is None:
        raise FileNotFoundError(f"{run} has no checkpoint")
    network = FissureNet()
    network.load_state_dict(content["network"])
    return network.eval()


def main(arguments: list[str] | None = None) -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m engines.training.lobes.fissures", description=__doc__
    )
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="folder of scans; repeatable"
    )
    parser.add_argument("--hold-out", default="", help="scans, comma-separated")
    parser.add_argument("--steps", type=int, default=1800)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=4e-3, help="highest learning rate")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; resumed")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    held_out = [name for name in given.hold_out.split(",") if name]
    real, phantoms = find_scans(given.data, held_out)
    FissureTrainer(real, phantoms, given.out, given.steps, given.seed, given.rate).train()


if __name__ == "__main__":
    main()
