"""``python -m calibration.quality``: how well movement is found, and what noise does.

Takes slices of labelled scans, moves the body while their views are taken
(:mod:`calibration.quality.motion`), segments them with the shipped models, and prints
sensitivity, specificity and area under the ROC curve of the motion flag by movement
and amplitude, and the mean percentage of opacity found, as JSON. With ``--noise`` it adds
noise instead, and prints how far the percentage of opacity moves.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

from calibration.evaluation import EvaluationError, find_cases, load_engines, read_case
from calibration.quality.figures import Record, motion_figures, noise_figures
from calibration.quality.taking import Noisy, Scanner, Taken
from engines.artefacts import ModelError
from engines.runtimes import RuntimeUnavailableError
from engines.training.cases import patients_of

logger = logging.getLogger(__name__)
_FAULTS = (EvaluationError, ModelError, RuntimeUnavailableError, OSError, ValueError)


def measure(data: Path, slices: int, amplitudes_mm: list[float]) -> list[Taken]:
    """So many slices of each case under a folder, at rest and moved.

    Raises
    ------
    EvaluationError
        When a case cannot be read or segmented.
    """
    folders = find_cases(data)
    patients = patients_of(data, [folder.absolute().name for folder in folders])
    scanner = Scanner(*load_engines())
    taken: list[Taken] = []
    for folder in folders:
        case = read_case(folder)
        taken += scanner.take(case, patients[case.name], slices, amplitudes_mm)
        logger.info("%s: %d images so far", case.name, len(taken))
    if len({one.patient for one in taken}) < 2:
        raise EvaluationError(f"{data}: slices of two patients with lung labels are needed")
    return taken


def measure_noise(data: Path, slices: int, added_hu: list[float]) -> list[Noisy]:
    """So many slices of each case under a folder, with noise; errors of :func:`measure`."""
    scanner = Scanner(*load_engines())
    taken: list[Noisy] = []
    for folder in find_cases(data):
        taken += scanner.take_noisy(read_case(folder), slices, added_hu)
        logger.info("%s: %d images so far", folder.absolute().name, len(taken))
    if not taken:
        raise EvaluationError(f"{data}: no slice has a lung label")
    return taken


def main(arguments: list[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = _parser()
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        figures: Record | list[Record]
        if given.noise:
            figures = noise_figures(measure_noise(given.data, given.slices, given.noise))
        else:
            figures = motion_figures(measure(given.data, given.slices, given.amplitudes))
        text = json.dumps(figures, indent=1)
        if given.out:
            given.out.write_text(text + "\n", encoding="utf-8")
    except _FAULTS as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    print(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m calibration.quality")
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled cases")
    parser.add_argument("--slices", type=int, default=4, help="of each case")
    parser.add_argument(
        "--amplitudes", type=_lengths, default=[3.0, 6.0, 10.0], help="mm, comma-separated"
    )
    parser.add_argument("--noise", type=_lengths, help="added noise, HU, comma-separated")
    parser.add_argument("--out", type=Path, help="JSON file")
    return parser


def _lengths(text: str) -> list[float]:
    lengths = [float(part) for part in text.split(",")]
    if not lengths or min(lengths) <= 0:
        raise argparse.ArgumentTypeError(f"these are numbers above 0, not {text!r}")
    return lengths


if __name__ == "__main__":
    main()
