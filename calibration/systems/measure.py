"""One system on the scans that its networks never saw, on the daemon's own path."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from appliance.inference.shapes import slab_shapes
from appliance.scan.scan import ScanPolicy
from calibration.evaluation import CaseFigures, LabelledCase, compare, segment_case
from calibration.systems.cost import Cost, cost
from calibration.systems.systems import System, Training
from engines.artefacts import Artefact, ModelError
from engines.models import ModelSpec, load_repository
from engines.runtimes import Runtime, choose
from engines.segmenter import Segmenter


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Figures of one precision.

    Parameters
    ----------
    cases
        Of each scan.
    core_s
        Seconds of a core that all of them took from HU to masks: preparing, both
        networks, restoring.
    """

    cases: tuple[CaseFigures, ...]
    core_s: float

    @property
    def slices_per_core_s(self) -> float:
        """Slices that one core segments in a second; more cores do more."""
        return sum(one.slices for one in self.cases) / self.core_s

    @property
    def dice_lesion(self) -> float:
        """Mean over the scans that have one; NaN for none."""
        return _mean([one.lesion.dice for one in self.cases])

    @property
    def dice_lung(self) -> float:
        return _mean([one.lung.dice for one in self.cases])

    @property
    def po_error(self) -> float:
        """Mean size of the error in points."""
        return _mean([_apart(one.po, one.po_reference) for one in self.cases])


@dataclass(frozen=True, slots=True)
class SystemFigures:
    """What a system measured.

    Parameters
    ----------
    system, training
        Which, and how trained.
    costs
        Of lung and lesion network.
    precisions
        fp32, and int8 where both networks were calibrated.
    failed
        Models whose INT8 did not pass the gate; they are measured, and never served.
    runtime
        In words, with its device.
    """

    system: System
    training: Training
    costs: tuple[Cost, Cost]
    precisions: Mapping[str, Accuracy]
    failed: tuple[str, ...]
    runtime: str


def measure(
    system: System,
    repository: Path,
    cases: Sequence[LabelledCase],
    progress: Callable[[str], None] = lambda step: None,
) -> SystemFigures:
    """Measure a system in fp32, and in int8 where its models were calibrated.

    Parameters
    ----------
    system, repository
        Which, and its models.
    cases
        Scans that its networks never saw.
    progress
        Told what is being done.

    Raises
    ------
    ModelError, RuntimeUnavailableError
        When its models cannot be served.
    EvaluationError
        When a case cannot be segmented.
    """
    specs = load_repository(repository)
    lung, lesion = (_named(specs, name) for name in system.models)
    runtime = choose()
    int8 = {spec.name: file for spec in (lung, lesion) if (file := _int8(spec, runtime))}
    precisions: dict[str, Mapping[str, str | Artefact]]
    precisions = {"fp32": dict.fromkeys(system.models, "fp32")}
    if len(int8) == len(system.models):
        precisions["int8"] = int8
    found: dict[str, Accuracy] = {}
    for precision, wanted in precisions.items():
        progress(f"{system.title} in {precision}")
        found[precision] = _accuracy(specs, Segmenter(specs, runtime, wanted), cases)
    return SystemFigures(
        system,
        Training.read(repository),
        (cost(lung), cost(lesion)),
        found,
        tuple(name for name, artefact in int8.items() if not _passed(artefact)),
        runtime.device(),
    )


def _accuracy(
    specs: Sequence[ModelSpec], segmenter: Segmenter, cases: Sequence[LabelledCase]
) -> Accuracy:
    """Time is that of the process, not of the clock: other work on the machine does not count."""
    policy = ScanPolicy(slab_shapes(specs))
    figures, core_s = [], 0.0
    for case in cases:
        started = time.process_time()
        masks = segment_case(case, segmenter, policy)
        core_s += time.process_time() - started
        figures.append(compare(case, masks))
    return Accuracy(tuple(figures), core_s)


def _named(specs: Sequence[ModelSpec], name: str) -> ModelSpec:
    for spec in specs:
        if spec.name == name:
            return spec
    raise ModelError(f"there is no model {name}, only {', '.join(spec.name for spec in specs)}")


def _int8(spec: ModelSpec, runtime: Runtime) -> Artefact | None:
    """Gated or not; None where it was not calibrated for the runtime."""
    try:
        return spec.artefact("int8", runtime.dialects)
    except ModelError:
        return None


def _passed(artefact: Artefact) -> bool:
    return artefact.gate is not None and artefact.gate.passed


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return fmean(known) if known else float("nan")


def _apart(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else abs(one - other)
