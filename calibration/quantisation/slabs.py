"""Slabs to calibrate on: what a network was given while the daemon's path segmented scans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from appliance.inference.shapes import slab_shapes
from appliance.scan.scan import ScanPolicy
from calibration.evaluation import read_case, segment_case
from engines.artefacts import Artefact, ModelError
from engines.models import ModelSpec
from engines.runtimes import Executable, Runtime
from engines.segmenter import Segmenter

Slab = npt.NDArray[np.float32]
#: How many slabs of one case are looked at; of blocks, which are few, all.
_LOOKED_AT = 64
#: Every third slab is held back from the ranges, to choose by.
_HELD_BACK = 3


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationSlabs:
    """Network inputs, each of shape (planes, rows, columns), and what they are for.

    Parameters
    ----------
    measuring
        Ranges are measured on these,
    choosing
        and methods and kept layers chosen by these; no slab is in both.
    """

    measuring: list[Slab]
    choosing: list[Slab]


def record_slabs(
    specs: Sequence[ModelSpec],
    model: str,
    runtime: Runtime,
    folders: Sequence[Path],
    number: int,
) -> CalibrationSlabs:
    """Slabs that one model of a repository sees in some cases, all models in fp32.

    Half of them have lung or lesion (what the model finds), half have none,
    where there are enough; the same every time.

    Parameters
    ----------
    specs
        The repository.
    model
        Name of the model.
    runtime
        What executes the networks.
    folders
        Cases to segment.
    number
        Of slabs, about.

    Raises
    ------
    ModelError
        When the model sees too few slabs in these cases.
    EvaluationError
        When a case cannot be read or segmented.
    """
    recording = _Recording(runtime, model)
    segmenter = Segmenter(specs, recording, "fp32")
    policy = ScanPolicy(slab_shapes(specs))
    (spec,) = [spec for spec in specs if spec.name == model]
    slabs: list[Slab] = []
    for folder in folders:
        case = read_case(folder)
        recording.start(1 if spec.form == "block" else max(1, len(case.hu) // _LOOKED_AT))
        segment_case(case, segmenter, policy)
        slabs += _chosen(recording.taken, spec.threshold, -(-number // len(folders)))
    if len(slabs) < _HELD_BACK:
        names = ", ".join(folder.name for folder in folders)
        raise ModelError(f"{model} sees only {len(slabs)} slabs in {names}")
    held = slice(_HELD_BACK - 1, None, _HELD_BACK)
    return CalibrationSlabs(
        [slab for place, slab in enumerate(slabs) if place % _HELD_BACK != _HELD_BACK - 1],
        slabs[held],
    )


def _chosen(taken: Sequence[tuple[Slab, Slab]], threshold: float, number: int) -> list[Slab]:
    found = [bool((answer >= threshold).any()) for _, answer in taken]
    with_it = [slab for (slab, _), yes in zip(taken, found, strict=True) if yes]
    without = [slab for (slab, _), yes in zip(taken, found, strict=True) if not yes]
    half = min(len(without), number // 2)
    chosen = [_spread(with_it, number - half), _spread(without, half)]
    return [slab for group in chosen for slab in group]


def _spread(slabs: Sequence[Slab], number: int) -> list[Slab]:
    """So many of them, evenly."""
    if number >= len(slabs):
        return list(slabs)
    return [slabs[int((place + 0.5) * len(slabs) / number)] for place in range(number)]


class _Recording:
    """A runtime that keeps a share of what one model was given, and its answers."""

    def __init__(self, inner: Runtime, model: str) -> None:
        self._inner, self._model = inner, model
        self.name, self.precisions = inner.name, inner.precisions
        self.timed, self.dialects = inner.timed, inner.dialects
        self.by_name_only = inner.by_name_only
        self.taken: list[tuple[Slab, Slab]] = []
        self._every: int | None = None
        self._seen = 0

    def start(self, every: int) -> None:
        """Forget what was kept, and keep every so-manieth slab from now on."""
        self.taken, self._every, self._seen = [], every, 0

    def version(self) -> str:
        return self._inner.version()

    def unavailable(self) -> str | None:
        return self._inner.unavailable()

    def device(self) -> str:
        return self._inner.device()

    def load(self, spec: ModelSpec, artefact: Artefact) -> Executable:
        loaded = self._inner.load(spec, artefact)
        return _Recorded(loaded, self) if spec.name == self._model else loaded

    def note(self, slabs: Slab, answers: Slab) -> None:
        for slab, answer in zip(slabs, answers, strict=True):
            if self._every and self._seen % self._every == 0:
                self.taken.append((slab.copy(), answer.copy()))
            self._seen += 1


@dataclass(frozen=True, slots=True)
class _Recorded:
    executable: Executable
    recording: _Recording

    def run(self, slabs: Slab) -> Slab:
        answers = self.executable.run(slabs)
        self.recording.note(slabs, answers)
        return answers
