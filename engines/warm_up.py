"""The warm-up of an engine: a slab that is the same everywhere, and the check of its answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from engines.models import Artefact, ModelError, ModelSpec
from engines.preprocess import Plane
from engines.runtimes import Executable

#: How far an answer may lie from the one the fp32 network gave when the model was sealed.
_TOLERANCE = {"fp32": 0.01, "fp16": 0.02, "int8": 0.05}


class WarmUpError(ModelError):
    """An engine that answers the warm-up wrongly."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A model made runnable on this box.

    Parameters
    ----------
    because
        Why this artefact serves, in words.
    seconds_per_slab
        By precision, of those that were timed before it was chosen, s.
    """

    spec: ModelSpec
    artefact: Artefact
    runtime: str
    device: str
    executable: Executable
    because: str = ""
    seconds_per_slab: Mapping[str, float] = field(default_factory=dict)


def warm_up_input(spec: ModelSpec) -> Plane:
    """A slab that looks roughly like a chest: body, two lungs, a dense patch in one.

    Returns
    -------
    float32 in [0, 1], shape (1, planes, rows, columns); the same on every machine.
    """
    rows, columns = spec.size
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float64)
    y, x = y / rows - 0.5, x / columns - 0.5
    low, high = spec.window_hu

    def level(hu: float) -> float:
        return min(1.0, max(0.0, (hu - low) / (high - low)))

    plane = np.full(spec.size, level(-1000.0))
    plane[(x / 0.45) ** 2 + (y / 0.33) ** 2 < 1] = level(40.0)
    for side in (-0.2, 0.2):
        plane[((x - side) / 0.14) ** 2 + (y / 0.24) ** 2 < 1] = level(-850.0)
    plane[((x - 0.22) / 0.05) ** 2 + ((y - 0.12) / 0.06) ** 2 < 1] = level(-450.0)
    slab = np.repeat(plane[None, None], spec.planes, axis=1)
    return np.ascontiguousarray(slab, dtype=np.float32)


def check_warm_up(engine: Engine) -> None:
    """Run the warm-up and check its answer.

    The answer must have the shape that the spec says and be a probability, the
    same at every place of a batch, and, where the model was sealed with another
    runtime's answer, close to that.

    Raises
    ------
    WarmUpError
        Naming the model and what was wrong.
    """
    slab = warm_up_input(engine.spec)
    answers = engine.executable.run(np.repeat(slab, 3, axis=0))
    name = f"{engine.spec.name} ({engine.runtime})"
    planes = engine.spec.output_planes
    shape = (planes, *engine.spec.size) if planes > 1 else engine.spec.size
    if answers.shape[1:] != shape:
        raise WarmUpError(f"{name}: the answer's shape is {answers.shape[1:]}, not {shape}")
    if not np.isfinite(answers).all() or answers.min() < 0 or answers.max() > 1:
        raise WarmUpError(f"{name}: the warm-up answer is not a probability")
    if any(not np.array_equal(answers[0], other) for other in answers[1:]):
        raise WarmUpError(f"{name}: the warm-up answer depends on the place in the batch")
    expected = engine.spec.warm_up
    if expected is None:
        return
    found = (float(answers[0].mean()), float(answers[0].max()))
    tolerance = _TOLERANCE[engine.artefact.precision]
    for value, wanted in zip(found, (expected.mean, expected.maximum), strict=True):
        if not math.isclose(value, wanted, abs_tol=tolerance):
            raise WarmUpError(
                f"{name}: the warm-up answer is {found}, the model was sealed with "
                f"({expected.mean}, {expected.maximum})"
            )
