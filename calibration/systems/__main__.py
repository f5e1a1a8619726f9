"""``python -m calibration.systems``: the five papers' systems side by side.

``make`` exports training runs, one model repository a system; ``table`` measures
them on the patients that were left out, and writes the table into a document.
docs/systems.md says how they are trained and calibrated.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from calibration.crossvalidation import Fold, FoldError, cases_of
from calibration.evaluation import EvaluationError, read_case
from calibration.systems.measure import measure
from calibration.systems.systems import (
    SYSTEMS,
    System,
    SystemsError,
    Training,
    make_repository,
    systems_in,
)
from calibration.systems.table import check_document, table_text, write_table
from engines.artefacts import ModelError
from engines.runtimes import RuntimeUnavailableError

logger = logging.getLogger(__name__)

#: What a sentence says; anything else is a fault of the program.
_FAULTS = (
    SystemsError,
    FoldError,
    EvaluationError,
    ModelError,
    RuntimeUnavailableError,
    OSError,
)


def main(arguments: list[str] | None = None) -> None:
    """Make or measure as the command line says."""
    parser = _parser()
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        if given.verb == "make":
            _make(given.runs, given.out, given.system)
        else:
            _table(given.data, given.systems, given.out)
    except _FAULTS as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def _make(runs: Path, out: Path, names: list[str] | None) -> None:
    for system in SYSTEMS:
        if system.name in (names or [system.name]):
            make_repository(system, runs, out / system.name)
            logger.info("%s is in %s", system.title, out / system.name)


def _table(data: Path, folder: Path, out: Path) -> None:
    check_document(out)
    found = systems_in(folder)
    fold = Fold((), _held_out(folder, found))
    cases = [read_case(path) for path in cases_of(fold, data)]
    figures = [measure(one, folder / one.name, cases, logger.info) for one in found]
    write_table(out, table_text(figures))


def _held_out(folder: Path, found: Sequence[System]) -> tuple[str, ...]:
    """The patients whom no system saw."""
    held_out = {Training.read(folder / system.name).held_out for system in found}
    if len(held_out) != 1:
        raise SystemsError(f"{folder}: the systems do not leave out the same patients")
    return next(iter(held_out))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m calibration.systems", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    make = verbs.add_parser("make", help="model repositories from training runs")
    make.add_argument("--runs", type=Path, required=True, help="one folder a trained model")
    make.add_argument("--out", type=Path, required=True, help="folder of the systems")
    make.add_argument(
        "--system", action="append", choices=[one.name for one in SYSTEMS], help="repeatable"
    )
    table = verbs.add_parser("table", help="measure and write the table")
    table.add_argument("--data", type=Path, required=True, help="folder of labelled cases")
    table.add_argument("--systems", type=Path, required=True, help="what make wrote")
    table.add_argument("--out", type=Path, required=True, help="document with the table's marks")
    return parser


if __name__ == "__main__":
    main()
