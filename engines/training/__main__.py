"""``python -m engines.training``: train one model."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch

from engines.training.cases import deal, load_cases, split
from engines.training.loop import Trainer
from engines.training.models import PLANS
from engines.training.sampling import PHANTOM_SHARE
from engines.training.state import Recipe


def main(arguments: list[str] | None = None) -> None:
    """Train as the command line says."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    cases = load_cases(given.data)
    held_out = sorted(name for name in given.hold_out.split(",") if name)
    if given.fold:
        number, folds = given.fold
        held_out = deal(cases, folds)[number - 1]
    train, _ = split(cases, held_out)
    recipe = Recipe(
        model=given.model,
        held_out=held_out,
        minutes=given.minutes,
        steps=given.steps,
        seed=given.seed,
        network=given.network,
        width=given.width,
        rate=given.rate,
        start_from=str(given.start_from) if given.start_from else None,
        phantom_share=given.phantom_share,
    )
    Trainer(train, recipe, given.out, given.device, given.workers).train(given.until)


def _fold(text: str) -> tuple[int, int]:
    number, _, folds = text.partition("/")
    if not (number.isdigit() and folds.isdigit() and 1 <= int(number) <= int(folds)):
        raise argparse.ArgumentTypeError(f"a fold is written like 1/4, not {text!r}")
    return int(number), int(folds)


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"a share lies between 0 and 1, not {text}")
    return share


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engines.training", description=__doc__)
    parser.add_argument("--model", choices=list(PLANS), required=True)
    parser.add_argument("--network", choices=["vbnet", "denseunet"], help="of lesion_thin")
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="folder of cases; repeatable"
    )
    left_out = parser.add_mutually_exclusive_group()
    left_out.add_argument("--hold-out", default="", help="patients or cases, comma-separated")
    left_out.add_argument(
        "--fold", type=_fold, metavar="K/N", help="hold out the K-th of N parts of the patients"
    )
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--steps", type=int, help="train this many steps instead of minutes")
    parser.add_argument("--until", type=int, help="stop at this step; the run can be resumed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--width", type=int)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--start-from", type=Path, help="run whose weights to start from")
    parser.add_argument(
        "--phantom-share", type=_share, default=PHANTOM_SHARE, help="of samples, 0 to 1"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; resumed")
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=["cpu", "cuda"], default=default)
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that draw batches ahead, for a GPU"
    )
    return parser


if __name__ == "__main__":
    main()
