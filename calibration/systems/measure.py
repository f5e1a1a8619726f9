"""One system on the scans that its networks never saw, on the daemon's own path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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

#: Times that the longest scan is segmented; the fastest counts.
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Figures of one precision.

    Parameters
    ----------
    cases
        Of each scan.
    slices_per_s
        Of the longest scan, from HU to masks: preparing, both networks, restoring.
    """

    cases: tuple[CaseFigures, ...]
    slices_per_s: float

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
        With its version and device.
    """

    system: System
    training: Training
    costs: tuple[Cost, Cost]
    precisions: Mapping[str, Accuracy]
    failed: tuple[str, ...]
    runtime: str


@dataclass(slots=True)
class _Engines:
    segmenter: Segmenter
    policy: ScanPolicy
    figures: list[CaseFigures] = field(default_factory=list)
    fastest_s: float = float("inf")

    def segment(self, case: LabelledCase) -> None:
        found = segment_case(case, self.segmenter, self.policy)
        self.figures.append(compare(case, found))

    def hurry(self, case: LabelledCase) -> None:
        found = segment_case(case, self.segmenter, self.policy)
        self.fastest_s = min(self.fastest_s, found.seconds)


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
    int8 = {spec.name: found for spec in (lung, lesion) if (found := _int8(spec, runtime))}
    wanted = {"fp32": dict.fromkeys((lung.name, lesion.name), "fp32")}
    engines = {"fp32": _engines(specs, runtime, wanted["fp32"])}
    if len(int8) == 2:
        engines["int8"] = _engines(specs, runtime, int8)
    for precision, one in engines.items():
        for case in cases:
            progress(f"{system.title} in {precision} on {case.name}")
            one.segment(case)
    longest = max(cases, key=lambda case: len(case.hu))
    progress(f"{system.title}: speed")
    for _ in range(ROUNDS):
        for one in engines.values():
            one.hurry(longest)
    return SystemFigures(
        system,
        Training.read(repository),
        (cost(lung), cost(lesion)),
        {
            precision: Accuracy(tuple(one.figures), len(longest.hu) / one.fastest_s)
            for precision, one in engines.items()
        },
        tuple(name for name, artefact in int8.items() if not _passed(artefact)),
        f"{runtime.version()}, {runtime.device()}",
    )


def _engines(
    specs: Sequence[ModelSpec], runtime: Runtime, wanted: Mapping[str, str | Artefact]
) -> _Engines:
    return _Engines(Segmenter(specs, runtime, wanted), ScanPolicy(slab_shapes(specs)))


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
