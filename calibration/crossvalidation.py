"""``python -m calibration.crossvalidation``: patients measured by networks that never saw them.

A folder of runs holds one folder a fold, and in it one training run a model::

    for k in 1 2 3 4; do for model in lung lesion_thick lesion_thin; do
        python -m engines.training --model $model --fold $k/4 --data CASES --out RUNS/$k/$model
    done; done
    python -m calibration.crossvalidation --data CASES --runs RUNS --out FIGURES

Each fold's runs are exported and measured on the daemon's own path, on the
patients that all of them left out.
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from calibration.evaluation import (
    CaseFigures,
    EvaluationError,
    LabelledCase,
    compare,
    find_cases,
    load_engines,
    overall,
    read_case,
    segment_case,
)
from engines.artefacts import ModelError
from engines.runtimes import RuntimeUnavailableError
from engines.training.cases import patients_meant, patients_of

logger = logging.getLogger(__name__)


class FoldError(Exception):
    """Runs that cannot be measured together; the message says which and why."""


#: What a sentence says; anything else is a fault of the program.
_FAULTS = (FoldError, EvaluationError, ModelError, RuntimeUnavailableError, OSError)


@dataclass(frozen=True, slots=True)
class Fold:
    """The runs of one fold.

    Parameters
    ----------
    runs
        Folder of each run; its name is the model's.
    held_out
        Patients that no run of the fold saw.
    """

    runs: tuple[Path, ...]
    held_out: tuple[str, ...]


def find_folds(folder: Path) -> list[Fold]:
    """The folds in a folder of runs.

    Raises
    ------
    FoldError
        When there is none, runs of a fold saw different patients, or two folds
        hold out the same patient.
    """
    folds = [_fold(path) for path in sorted(folder.iterdir()) if path.is_dir()]
    if not folds:
        raise FoldError(f"{folder}: no fold found (no <fold>/<model>/recipe.json)")
    patients = [patient for fold in folds for patient in fold.held_out]
    if twice := sorted({patient for patient in patients if patients.count(patient) > 1}):
        raise FoldError(f"{folder}: held out by two folds: {', '.join(twice)}")
    return folds


def _fold(folder: Path) -> Fold:
    from engines.training.state import load_recipe

    runs = tuple(sorted(path.parent for path in folder.glob("*/recipe.json")))
    held_out = {tuple(load_recipe(run).held_out) for run in runs}
    if not runs:
        raise FoldError(f"{folder}: no run found (no <model>/recipe.json)")
    if len(held_out) != 1:
        raise FoldError(f"{folder}: its runs do not leave out the same patients")
    (patients,) = held_out
    if not patients:
        raise FoldError(f"{folder}: its runs leave nobody out")
    return Fold(runs, patients)


def measure_fold(
    fold: Fold, data: Path, repository: Path, precision: str | None = None, model: str | None = None
) -> list[CaseFigures]:
    """Export a fold's runs into a repository and measure its patients.

    Parameters
    ----------
    fold
        What to measure.
    data
        Folder of labelled cases.
    repository
        Empty folder.
    precision, model
        See :func:`calibration.evaluation.load_engines`.
    """
    from engines.training.export import export

    for run in fold.runs:
        export(run, repository / run.name)
    segmenter, policy = load_engines(repository, model, precision)
    figures = []
    for folder in cases_of(fold, data):
        case: LabelledCase = read_case(folder)
        figures.append(compare(case, segment_case(case, segmenter, policy)))
        logger.info("%s: Dice %s", case.name, figures[-1].lesion.dice)
    return figures


def cases_of(fold: Fold, data: Path) -> list[Path]:
    """Folders of the cases whose patients a fold held out.

    Raises
    ------
    FoldError
        When the data does not have one of these patients.
    """
    folders = {folder.absolute().name: folder for folder in find_cases(data)}
    try:
        patients = patients_of(data, folders)
        chosen = patients_meant(patients, fold.held_out)
    except ValueError as error:
        raise FoldError(f"{data}: {error}") from error
    return [folders[name] for name, patient in patients.items() if patient in chosen]


def main(arguments: list[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = _parser()
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        _measure(given.data, given.runs, given.model, given.out)
    except _FAULTS as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def _measure(data: Path, runs: Path, model: str | None, out: Path | None) -> None:
    figures: list[CaseFigures] = []
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
    for fold in find_folds(runs):
        with TemporaryDirectory() as repository:
            figures += measure_fold(fold, data, Path(repository), model=model)
    figures.sort(key=lambda one: one.case)
    content = {"cases": [one.record() for one in figures], "overall": overall(figures)}
    text = json.dumps(content, indent=1)
    if out:
        out.write_text(text + "\n")
    print(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m calibration.crossvalidation")
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled cases")
    parser.add_argument("--runs", type=Path, required=True, help="one folder a fold")
    parser.add_argument("--model", help="lesion model that serves every section")
    parser.add_argument("--out", type=Path, help="JSON file")
    return parser


if __name__ == "__main__":
    main()
