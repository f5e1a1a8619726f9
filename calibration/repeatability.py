"""``python -m calibration.repeatability``: how far two measurements of one patient lie apart.

Each scan is measured as it is, and again as if the patient had been moved a little on the
table and scanned once more: shifted by half a slice and by a part of a pixel, with fresh noise.
Shifted by cubic interpolation it stays as sharp as it was ("moved"); by linear interpolation it
is softer, as from another reconstruction ("softened"). The dead bands of a follow-up
(``appliance/followup/changes.py``) come from the latter. How deeply a patient breathes in is in
neither.

References
----------
Bland and Altman 1999, Stat Methods Med Res 8:135: within-subject standard deviation and
repeatability coefficient, 1.96 * sqrt(2) times it: 95 % of pairs lie closer together.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from appliance.quantify.scores import Scores, Volumes
from appliance.scan.scan import ScanPolicy
from calibration.evaluation import (
    EvaluationError,
    LabelledCase,
    find_cases,
    load_engines,
    read_case,
    segment_case,
)
from engines.artefacts import ModelError
from engines.models import SHIPPED
from engines.runtimes import RuntimeUnavailableError
from engines.segmenter import Segmenter

logger = logging.getLogger(__name__)

#: Slices, rows and columns.
SHIFT = (0.5, 0.37, -0.61)
NOISE_HU = 10.0
#: Order of the interpolation by which a scan is shifted.
AGAIN = {"moved": 3, "softened": 1}
_FAULTS = (EvaluationError, ModelError, RuntimeUnavailableError, OSError)
_LIMITS_SD = 1.96

Measured = dict[str, float | None]
Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Repeatability:
    """How well a score repeats.

    Parameters
    ----------
    pairs
        Scans that had the score both times.
    bias
        Mean of second - first.
    coefficient
        Repeatability coefficient, in the unit of the score.
    share
        The same of the differences in units of the pair's larger size, over the half of the
        pairs with the larger scores: in small ones a share means nothing.
    worst
        Largest difference, without sign.
    """

    pairs: int
    bias: float
    coefficient: float
    share: float
    worst: float


def scanned_again(case: LabelledCase, order: int, seed: int) -> LabelledCase:
    """The case as a second scan would show it: moved by :data:`SHIFT`, with fresh noise.

    Parameters
    ----------
    order
        Of the interpolation, one of :data:`AGAIN`.
    seed
        Of the noise.
    """
    noise = np.random.default_rng(seed).normal(0, NOISE_HU, case.hu.shape)
    moved = ndimage.shift(case.hu.astype(np.float32), SHIFT, order=order, mode="nearest")
    hu = np.clip(np.rint(moved + noise), -1024, 32767).astype(np.int16)
    return replace(case, hu=hu)


def measure(case: LabelledCase, segmenter: Segmenter, policy: ScanPolicy) -> Measured:
    """The scores of a follow-up, by the names that they have there."""
    return _named(segment_case(case, segmenter, policy).scores)


def _named(scores: Scores) -> Measured:
    volumes = scores.volumes
    return {
        "po": scores.po,
        "pho": scores.pho,
        "ihu": volumes.ihu,
        "lung_ml": volumes.lung_ml,
        "lesion_ml": volumes.lesion_ml,
        "high_opacity_ml": volumes.high_opacity_ml,
    }


def repeatability(pairs: Sequence[Pair]) -> Repeatability:
    """Of pairs of measurements, at least one."""
    first, second = np.array(pairs, np.float64).T
    differences = second - first
    sizes = np.maximum(np.abs(first), np.abs(second))
    shares = np.divide(differences, sizes, out=np.zeros_like(sizes), where=sizes > 0)
    larger = shares[sizes >= np.median(sizes)]
    return Repeatability(
        pairs=len(pairs),
        bias=float(differences.mean()),
        coefficient=_LIMITS_SD * math.sqrt(float(np.mean(differences**2))),
        share=_LIMITS_SD * math.sqrt(float(np.mean(larger**2))),
        worst=float(np.abs(differences).max()),
    )


def summary(cases: Sequence[tuple[Measured, Measured]]) -> dict[str, Repeatability]:
    """Repeatability of every score over the cases that have it both times."""
    found = {}
    for name in _named(Scores(Volumes())):
        pairs = [(first[name], second[name]) for first, second in cases]
        whole = [(a, b) for a, b in pairs if a is not None and b is not None]
        if whole:
            found[name] = repeatability(whole)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measure as the command line says."""
    parser = _parser()
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        _measure_all(given.data, given.models, given.out)
    except _FAULTS as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def _measure_all(data: Path, models: Path, out: Path | None) -> None:
    folders = find_cases(data)
    segmenter, policy = load_engines(models)
    cases: dict[str, dict[str, Measured]] = {}
    for seed, folder in enumerate(folders):
        case = read_case(folder)
        measured = {"first": measure(case, segmenter, policy)}
        for again, order in AGAIN.items():
            measured[again] = measure(scanned_again(case, order, seed), segmenter, policy)
        logger.info("%s: PO %s", case.name, [one["po"] for one in measured.values()])
        cases[case.name] = measured
    content = {"cases": cases, "repeatability": _summaries(cases.values())}
    text = json.dumps(content, indent=1)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n")
    print(text)


def _summaries(cases: Collection[Mapping[str, Measured]]) -> dict[str, object]:
    return {
        again: {
            name: asdict(one)
            for name, one in summary([(case["first"], case[again]) for case in cases]).items()
        }
        for again in AGAIN
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m calibration.repeatability")
    parser.add_argument("--data", type=Path, required=True, help="folder of cases")
    parser.add_argument("--models", type=Path, default=SHIPPED, help="model repository")
    parser.add_argument("--out", type=Path, help="JSON file")
    return parser


if __name__ == "__main__":
    main()
