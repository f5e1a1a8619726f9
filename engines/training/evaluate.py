"""``python -m engines.training.evaluate``: Dice and PO of trained networks, case by case."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from engines.training.cases import UNLABELLED, Case, load_cases, split
from engines.training.models import ModelPlan, plane_indices, windowed
from engines.training.state import load_recipe, trained_network

_BATCH = 8
_THRESHOLD = 0.5
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class CaseFigures:
    """What one case measured; None where it cannot be.

    Parameters
    ----------
    case
        Its name.
    dice_lung, dice_lesion
        Over all slices labelled for it; lesion counts inside the predicted lung.
    dice_lesion_alone
        Without that limit.
    po, po_reference
        Percent of lung, both over the slices that carry both labels.
    po_whole
        Predicted PO over all slices.
    lung_share
        Predicted lung in percent of all pixels: near 0 where there is no lung.
    """

    case: str
    dice_lung: float | None
    dice_lesion: float | None
    dice_lesion_alone: float | None
    po: float | None
    po_reference: float | None
    po_whole: float | None
    lung_share: float


@dataclass(frozen=True)
class Predictor:
    """A trained network and what it wants to see."""

    network: nn.Module
    plan: ModelPlan

    @classmethod
    def of(cls, run: Path) -> Predictor:
        """The network of a run."""
        return cls(trained_network(run), load_recipe(run).plan)

    def __call__(self, case: Case) -> Mask:
        """Mask of the whole case, shape of its HU."""
        masks = []
        for first in range(0, len(case.hu), _BATCH):
            targets = range(first, min(first + _BATCH, len(case.hu)))
            planes = np.stack([self._planes(case, target) for target in targets])
            with torch.inference_mode():
                logits = self.network(torch.from_numpy(planes))
            masks.append((logits[:, 0].sigmoid() > _THRESHOLD).numpy())
        return np.concatenate(masks)

    def _planes(self, case: Case, target: int) -> npt.NDArray[np.float32]:
        plan = self.plan
        chosen = plane_indices(target, len(case.hu), case.spacing, plan.planes, plan.neighbour_mm)
        return windowed(case.hu[chosen])


def dice(found: Mask, label: npt.NDArray[np.uint8]) -> float | None:
    """Dice over what is labelled; None where neither holds anything."""
    known = label != UNLABELLED
    truth = label == 1
    total = int((found & known).sum()) + int(truth.sum())
    return 2 * int((found & truth).sum()) / total if total else None


def evaluate_case(case: Case, lung: Predictor, lesion: Predictor) -> CaseFigures:
    """Run both networks over one case of 256 x 256 slices."""
    lung_mask, alone = lung(case), lesion(case)
    lesion_mask = alone & lung_mask
    both = (case.lung != UNLABELLED).any(axis=(1, 2)) & (case.lesion != UNLABELLED).any(axis=(1, 2))
    return CaseFigures(
        case=case.name,
        dice_lung=dice(lung_mask, case.lung),
        dice_lesion=dice(lesion_mask, case.lesion),
        dice_lesion_alone=dice(alone, case.lesion),
        po=_percent(lesion_mask[both], lung_mask[both]),
        po_reference=_percent((case.lesion == 1)[both], (case.lung == 1)[both]),
        po_whole=_percent(lesion_mask, lung_mask),
        lung_share=100 * float(lung_mask.mean()),
    )


def _percent(part: Mask, whole: Mask) -> float | None:
    total = int(whole.sum())
    return 100 * int((part & whole).sum()) / total if total else None


def overall(figures: list[CaseFigures]) -> dict[str, float]:
    """Means over cases."""
    result = {}
    for name in ("dice_lung", "dice_lesion"):
        values = [value for f in figures if (value := getattr(f, name)) is not None]
        if values:
            result[f"{name}_mean"] = float(np.mean(values))
            result[f"{name}_worst"] = float(np.min(values))
    errors = [
        abs(f.po - f.po_reference)
        for f in figures
        if f.po is not None and f.po_reference is not None
    ]
    if errors:
        result["po_error_mean"], result["po_error_worst"] = float(np.mean(errors)), max(errors)
    return result


def main(arguments: list[str] | None = None) -> None:
    """Evaluate as the command line says."""
    given = _parser().parse_args(arguments)
    lung, lesion = Predictor.of(given.lung), Predictor.of(given.lesion)
    names = [name for name in given.cases.split(",") if name]
    _, chosen = split(load_cases(given.data), names)
    figures = [evaluate_case(case, lung, lesion) for case in chosen]
    content = {"cases": [asdict(f) for f in figures], "overall": overall(figures)}
    text = json.dumps(content, indent=1)
    if given.out:
        given.out.write_text(text + "\n")
    print(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engines.training.evaluate")
    parser.add_argument("--lung", type=Path, required=True, help="folder of the lung run")
    parser.add_argument("--lesion", type=Path, required=True, help="folder of the lesion run")
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--cases", required=True, help="patients or cases, comma-separated")
    parser.add_argument("--out", type=Path, help="JSON file")
    return parser


if __name__ == "__main__":
    main()
