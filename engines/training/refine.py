"""Trains a shipped model further, on other scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from engines.models import ModelSpec
from engines.training.batches import Batches
from engines.training.cases import UNLABELLED, Case, load_case
from engines.training.loop import Trainer
from engines.training.restore import Restored, RestoreError, restore, settle
from engines.training.state import Recipe, save_checkpoint, save_recipe

__all__ = ["RestoreError", "refine_network"]

#: Of a network that has learnt already: a sixth of what a fresh one begins with.
_RATE = 3e-4
_SETTLING_BATCHES = 12


def refine_network(
    spec: ModelSpec,
    cases: Mapping[Path, str],
    held_out: Sequence[str],
    run: Path,
    *,
    minutes: float,
    steps: int | None = None,
    seed: int = 1,
) -> Path:
    """Train a model further, beginning with the weights of its fp32 file.

    Parameters
    ----------
    spec
        The model.
    cases
        Folder of each case to learn from, and its patient.
    held_out
        Patients not among them.
    run
        Folder of the training run; resumed when it was begun with the same recipe.
    minutes, steps, seed
        See :class:`engines.training.state.Recipe`.

    Returns
    -------
    The run.

    Raises
    ------
    RestoreError
        When the model cannot be trained here.
    ValueError
        When the folder holds another run, or no case has a label of what the model finds.
    """
    loaded = [load_case(folder, patient) for folder, patient in cases.items()]
    if not any(_labelled(case, spec.role) for case in loaded):
        raise ValueError(f"no scan to learn from has a {spec.role} label")
    restored = restore(spec)
    batches = Batches(loaded, restored.plan, seed)
    settle(restored.network, (batches[step].planes for step in range(_SETTLING_BATCHES)))
    start = _as_run(restored, held_out, run / "start")
    recipe = Recipe(
        model=restored.model,
        held_out=[*held_out],
        minutes=minutes,
        steps=steps,
        seed=seed,
        network=restored.plan.network,
        width=restored.plan.width,
        rate=_RATE,
        start_from=str(start),
    )
    Trainer(loaded, recipe, run).train()
    return run


def _labelled(case: Case, role: str) -> bool:
    return bool(((case.lung if role == "lung" else case.lesion) != UNLABELLED).any())


def _as_run(restored: Restored, held_out: Sequence[str], run: Path) -> Path:
    """The restored network as a run that others start from."""
    recipe = Recipe(
        model=restored.model,
        held_out=[*held_out],
        steps=0,
        network=restored.plan.network,
        width=restored.plan.width,
    )
    save_recipe(run, recipe)
    save_checkpoint(run, {"average": restored.network.state_dict()})
    return run
