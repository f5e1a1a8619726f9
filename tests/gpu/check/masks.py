"""Masks and PO of a runtime against what OpenVINO serves on the CPU: int8, where it is gated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from appliance.inference.shapes import slab_shapes
from appliance.scan.scan import ScanPolicy
from calibration.evaluation import LabelledCase, find_cases, read_case
from calibration.evaluation.agreement import agreement
from calibration.evaluation.measures import Mask, Overlap
from calibration.evaluation.run import FoundMasks, segment_case
from engines.artefacts import ModelError
from engines.models import ModelSpec, load_repository
from engines.runtimes import RUNTIMES
from engines.segmenter import Segmenter
from tests.gpu.check.parts import Choice, Found, Row
from tests.gpu.check.phantoms import SLICES, phantom

LEAST_DICE = 0.999
MOST_PO_POINTS = 0.05
_REFERENCE = "openvino"


def compare_masks(choice: Choice) -> Found:
    """One row a case and precision; a sentence a precision over all cases."""
    specs = load_repository(choice.models)
    policy = ScanPolicy(slab_shapes(specs))
    reference = Segmenter(specs, RUNTIMES[_REFERENCE])
    served = (f"{name} {one.artefact.precision}" for name, one in reference.engines.items())
    found = Found(notes=[f"Compared with {', '.join(served)} of {_REFERENCE} on the CPU."])
    engines = {}
    for precision in choice.precisions:
        try:
            engines[precision] = _engines(specs, choice, precision)
        except ModelError as error:
            found.notes.append(f"{precision} is not compared: {error}")
    points: dict[str, list[tuple[float | None, float | None]]] = {one: [] for one in engines}
    for case in _cases(choice):
        expected = segment_case(case, reference, policy)
        for precision, segmenter in engines.items():
            ours = segment_case(case, segmenter, policy)
            found.rows.append(_row(case, precision, ours, expected))
            points[precision].append((ours.scores.po, expected.scores.po))
    for precision, pairs in points.items():
        over = agreement(pairs)
        if over.error_mean is not None:
            found.notes.append(
                f"{precision}: PO moves by {over.error_mean:.4f} points on average, "
                f"{over.error_worst:.4f} at worst, over {over.cases} cases."
            )
    return found


def _engines(specs: list[ModelSpec], choice: Choice, precision: str) -> Segmenter:
    assert choice.runtime is not None
    return Segmenter(specs, RUNTIMES[choice.runtime], precision)


def _row(case: LabelledCase, precision: str, ours: FoundMasks, expected: FoundMasks) -> Row:
    lung, lesion = _dice(ours.lung, expected.lung), _dice(ours.lesion, expected.lesion)
    moved = _moved(ours.scores.po, expected.scores.po)
    return {
        "case": case.name,
        "slices": len(case.hu),
        "precision": precision,
        "lung Dice": lung,
        "lesion Dice": lesion,
        "PO moved, points": moved,
        "ok": min(lung, lesion) >= LEAST_DICE and moved <= MOST_PO_POINTS,
    }


def _dice(ours: Mask, expected: Mask) -> float:
    """1 where neither found anything."""
    dice = Overlap.of(ours, expected).dice
    return 1.0 if dice is None else dice


def _moved(ours: float | None, expected: float | None) -> float:
    if ours is None or expected is None:
        return 0.0 if ours is expected else float("inf")
    return abs(ours - expected)


def _cases(choice: Choice) -> Iterator[LabelledCase]:
    for section, slices in SLICES.items():
        made = phantom(section, choice.slices or slices, choice.matrix)
        lesion, lung = (made.lesion > 0).astype(np.uint8), made.lung.astype(np.uint8)
        yield LabelledCase(f"phantom, {section.value}", made.hu, lesion, lung, None, made.spacing)
    for folder in _folders(choice.cases)[: choice.most_cases]:
        yield read_case(folder)


def _folders(cases: Path | None) -> list[Path]:
    return find_cases(cases) if cases else []
