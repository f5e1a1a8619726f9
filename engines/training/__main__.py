"""``python -m engines.training``: train one model."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch

from engines.training.cases import load_cases, split
from engines.training.loop import Trainer
from engines.training.state import Recipe


def main(arguments: list[str] | None = None) -> None:
    """Train as the command line says."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    held_out = sorted(name for name in given.hold_out.split(",") if name)
    train, _ = split(load_cases(given.data), held_out)
    recipe = Recipe(
        role=given.model,
        held_out=held_out,
        minutes=given.minutes,
        steps=given.steps,
        seed=given.seed,
        width=given.width,
        rate=given.rate,
        start_from=str(given.start_from) if given.start_from else None,
    )
    Trainer(train, recipe, given.out, given.device).train()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engines.training", description=__doc__)
    parser.add_argument("--model", choices=["lung", "lesion"], required=True)
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="folder of cases; repeatable"
    )
    parser.add_argument("--hold-out", default="", help="patients or cases, comma-separated")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--steps", type=int, help="train this many steps instead of minutes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--width", type=int)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--start-from", type=Path, help="run whose weights to start from")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; resumed")
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=["cpu", "cuda"], default=default)
    return parser


if __name__ == "__main__":
    main()
