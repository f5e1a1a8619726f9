"""The batch of each step: a function of seed and step alone.

So it does not matter which process draws it, and a run that is resumed sees
what it would have seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from torch.utils.data import DataLoader, Dataset

from engines.training.augment import Batch, collate
from engines.training.cases import Case
from engines.training.models import ModelPlan, Role
from engines.training.sampling import PHANTOM_SHARE, Sampler

#: Slices in a step: whole frames, or windows of so many pixels a side.
_FRAMES, _CROPS, _CROP_SIDE = 4, 12, 128
#: Every so many steps frames are whole; lung networks must see more of them.
_WHOLE_EVERY: dict[Role, int] = {"lung": 2, "lesion": 4}
#: Blocks in a step: whole frames of a few planes, or windows of all planes.
_BLOCKS, _FRAME_PLANES, _BLOCK_SIDE = 2, 8, 160
#: Batches that each worker process holds ready.
_AHEAD = 4


class Batches(Dataset):  # type: ignore[misc]
    """Batches by step.

    Parameters
    ----------
    cases
        To draw from.
    plan
        The model that is trained.
    seed
        Where all chance comes from.
    phantom_share
        See :class:`engines.training.sampling.Sampler`.
    """

    def __init__(
        self,
        cases: list[Case],
        plan: ModelPlan,
        seed: int,
        phantom_share: float = PHANTOM_SHARE,
    ) -> None:
        self._plan, self._seed = plan, seed
        self._sampler = Sampler(cases, plan, np.random.default_rng(seed), phantom_share)

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng((self._seed, step))
        sampler = self._sampler.seeded(rng)
        whole = step % _WHOLE_EVERY[self._plan.role] == 0
        if self._plan.is_block:
            planes, side = (_FRAME_PLANES, None) if whole else (None, _BLOCK_SIDE)
            samples = [sampler.draw(planes) for _ in range(_BLOCKS)]
        else:
            side = None if whole else _CROP_SIDE
            samples = [sampler.draw() for _ in range(_FRAMES if whole else _CROPS)]
        return collate(samples, rng, side)

    def following(self, step: int, workers: int) -> Iterator[Batch]:
        """The batches from a step on, without end.

        Parameters
        ----------
        step
            The first.
        workers
            Processes that draw ahead; 0 draws here, when asked.
        """
        loader: DataLoader[Batch] = DataLoader(
            self,
            batch_size=None,
            sampler=itertools.count(step),
            num_workers=workers,
            prefetch_factor=_AHEAD if workers else None,
        )
        return iter(loader)
