"""INT8 artefacts of a model through the gate, each dialect by itself.

A model is judged alone, the others in fp32, and together with every other model
that is served in INT8 in its dialect: the errors of lung and lesion may add up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from calibration.evaluation import read_case
from calibration.gate.measure import Measure, speed_up
from calibration.gate.verdict import Compared, Verdict, judge
from calibration.quantisation.calibrate import JUDGES
from engines.artefacts import Artefact, GateRecord, ModelError, sha256_of
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
    folders: Sequence[Path],
    progress: Callable[[str], None] = lambda step: None,
) -> list[Gated]:
    """Judge artefacts of one model on labelled cases.

    fp32 runs in the runtime the daemon would choose. Speed is judged only where
    an artefact runs in the runtime that it is written for.

    Parameters
    ----------
    specs
        The repository.
    spec
        The model.
    artefacts
        In INT8, with their dialects.
    folders
        Labelled cases that none of the artefacts was calibrated on.
    progress
        Told what is being done.

    Raises
    ------
    ModelError, RuntimeUnavailableError
        When an artefact cannot be executed here.
    EvaluationError
        When a case cannot be read or segmented, or they carry nothing to judge by.
    """
    fp32 = Measure(specs, {}, choose())
    judged = [_Judged(specs, spec, artefact) for artefact in artefacts]
    for number, folder in enumerate(folders, 1):
        progress(f"judging on {folder.absolute().name}, {number} of {len(folders)}")
        case = read_case(folder)
        before = fp32(case)
        for one in judged:
            one.compared.append(
                Compared(
                    case.name,
                    before,
                    one.alone(case),
                    one.together(case) if one.together else None,
                )
            )
    return [one.gated() for one in judged]


def partners(specs: Sequence[ModelSpec], spec: ModelSpec, dialect: str) -> dict[str, Artefact]:
    """The artefacts of other models that are served in INT8 in a dialect, by model."""
    found = {}
    for other in specs:
        if other.name == spec.name:
            continue
        try:
            artefact = other.artefact("int8", [dialect])
            artefact.check_gate(other.artefact("fp32").sha256, other.contract)
        except ModelError:
            continue
        found[other.name] = artefact
    return found


class _Judged:
    """One artefact on its way through the gate."""

    def __init__(self, specs: Sequence[ModelSpec], spec: ModelSpec, artefact: Artefact) -> None:
        self._spec, self._artefact = spec, artefact
        self._runtime = choose(JUDGES[artefact.dialect])
        self._partners = partners(specs, spec, artefact.dialect)
        chosen = {spec.name: artefact}
        self.alone = Measure(specs, chosen, self._runtime)
        self.together = (
            Measure(specs, self._partners | chosen, self._runtime) if self._partners else None
        )
        self.compared: list[Compared] = []

    def gated(self) -> Gated:
        artefact = self._artefact
        at_home = self._runtime.name == artefact.dialect
        faster = speed_up(self._spec, artefact, self._runtime) if at_home else None
        verdict = judge(self.compared, faster)
        record = GateRecord(
            verdict.passed,
            sha256_of(artefact.path),
            self._spec.artefact("fp32").sha256,
            self._spec.contract,
            tuple(one.case for one in self.compared),
            self._runtime.version(),
            verdict.figures,
            tuple(self._partners),
        )
        return Gated(replace(artefact, gate=record), tuple(self.compared), verdict)
