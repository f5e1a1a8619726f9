"""INT8 artefacts of a model through the gate, each dialect by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from calibration.evaluation import LabelledCase
from calibration.gate.measure import measure, speed_up
from calibration.gate.verdict import Accuracy, Compared, Verdict, judge
from calibration.quantisation.calibrate import JUDGES
from engines.artefacts import Artefact, GateRecord, sha256_of
from engines.models import ModelSpec
from engines.runtimes import choose


@dataclass(frozen=True, slots=True)
class Gated:
    """An artefact with its record, and what it was judged by."""

    artefact: Artefact
    compared: tuple[Compared, ...]
    verdict: Verdict


def gate(
    specs: Sequence[ModelSpec],
    spec: ModelSpec,
    artefacts: Sequence[Artefact],
    cases: Sequence[LabelledCase],
    progress: Callable[[str], None] = lambda step: None,
) -> list[Gated]:
    """Judge artefacts of one model on labelled cases.

    fp32 is measured once, in the runtime the daemon would choose. Speed is
    judged only where an artefact runs in the runtime that it is written for.

    Parameters
    ----------
    specs
        The repository.
    spec
        The model.
    artefacts
        In INT8, with their dialects.
    cases
        Labelled scans that none of the artefacts was calibrated on.
    progress
        Told what is being done.

    Raises
    ------
    ModelError, RuntimeUnavailableError
        When an artefact cannot be executed here.
    EvaluationError
        When the cases carry nothing to judge by.
    """
    fp32 = spec.artefact("fp32")
    progress(f"segmenting {len(cases)} scans in fp32")
    before = measure(specs, spec.name, fp32, choose(), cases)
    gated = []
    for artefact in artefacts:
        progress(f"segmenting {len(cases)} scans in int8, {artefact.dialect} dialect")
        gated.append(_gated(specs, spec, artefact, cases, before))
    return gated


def _gated(
    specs: Sequence[ModelSpec],
    spec: ModelSpec,
    artefact: Artefact,
    cases: Sequence[LabelledCase],
    before: Sequence[Accuracy],
) -> Gated:
    runtime = choose(JUDGES[artefact.dialect])
    after = measure(specs, spec.name, artefact, runtime, cases)
    compared = tuple(
        Compared(case.name, fp32, int8)
        for case, fp32, int8 in zip(cases, before, after, strict=True)
    )
    faster = speed_up(spec, artefact, runtime) if runtime.name == artefact.dialect else None
    verdict = judge(compared, faster)
    record = GateRecord(
        verdict.passed,
        sha256_of(artefact.path),
        spec.artefact("fp32").sha256,
        tuple(case.name for case in cases),
        runtime.version(),
        verdict.figures,
    )
    return Gated(replace(artefact, gate=record), compared, verdict)
