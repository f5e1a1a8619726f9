"""``python -m engines.training.lobes``: train a lobes model."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from engines.training.lobes.loop import LobesRecipe, LobesTrainer
from engines.training.lobes.scans import SHAPE


def main(arguments: list[str] | None = None) -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m engines.training.lobes", description=__doc__)
    parser.add_argument(
        "--data", action="append", required=True, help="folder of labelled scans; repeatable"
    )
    parser.add_argument("--hold-out", default="", help="scans, comma-separated")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, help="train this many steps instead of minutes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--start-from", default="", help="run whose weights to start from")
    parser.add_argument(
        "--shape", type=int, nargs=3, default=SHAPE, help="planes, rows and columns to train on"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; resumed")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    held_out = [name for name in given.hold_out.split(",") if name]
    recipe = LobesRecipe(
        data=given.data,
        held_out=held_out,
        minutes=given.minutes,
        steps=given.steps,
        seed=given.seed,
        width=given.width,
        rate=given.rate,
        start_from=given.start_from,
        shape=(given.shape[0], given.shape[1], given.shape[2]),
    )
    LobesTrainer(recipe, given.out).train()


if __name__ == "__main__":
    main()
