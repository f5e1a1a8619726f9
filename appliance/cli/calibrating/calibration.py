"""A model quantised, judged, and recorded in its folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from appliance.cli.errors import CliError
from calibration.evaluation import EvaluationError
from calibration.gate.cases import cases_to_calibrate, check_disjoint, other_cases, served_cases
from calibration.gate.gate import Gated, gate, partners
from calibration.gate.record import card_text, write_spec
from calibration.quantisation.calibrate import calibrate
from calibration.quantisation.ranges import METHODS
from engines.artefacts import DIALECTS, Artefact
from engines.card import write_gate_part
from engines.models import SHIPPED, ModelSpec, load_repository
from engines.parts import DIVIDING

_METHODS = {
    "auto": METHODS,
    "minmax": ("min-max",),
    "entropy": ("entropy",),
    "percentile": tuple(method for method in METHODS if method.startswith("percentile")),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What the user asked for; see the verb's options."""

    model: str
    data: Path
    cases: tuple[str, ...]
    gate_on: tuple[str, ...]
    models: Path | None
    method: str
    out: Path | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    model: str
    gated: tuple[Gated, ...]

    @property
    def passed(self) -> bool:
        return not self.failed

    @property
    def failed(self) -> list[str]:
        """The dialects that did not pass."""
        return [gated.artefact.dialect for gated in self.gated if not gated.verdict.passed]

    @property
    def record(self) -> dict[str, object]:
        """For JSON."""
        return {
            "event": "calibrated",
            "model": self.model,
            "passed": self.passed,
            "artefacts": [_artefact_record(gated) for gated in self.gated],
        }


def run_calibration(choice: Choice, gate_only: bool) -> Outcome:
    """Calibrate (unless only the gate is asked for), judge, and write spec.toml and the card.

    Raises
    ------
    CliError
        When there is no such model, nothing to judge, or the cases are not fit for it.
    ModelError, RuntimeUnavailableError
        When the models cannot be served.
    """
    try:
        return _run(choice, gate_only)
    except EvaluationError as error:
        raise CliError(str(error)) from error


def _run(choice: Choice, gate_only: bool) -> Outcome:
    specs, spec, folder = _model(choice)
    with _progress() as tell:
        if gate_only:
            artefacts = _present(spec)
            judges = _gate_cases(choice, specs, spec, _calibrated_on(artefacts))
        else:
            names = choice.cases or cases_to_calibrate(choice.data, spec)
            judges = _gate_cases(choice, specs, spec, names)
            scans = served_cases(choice.data, names, spec)
            made = calibrate(specs, spec, scans, _METHODS[choice.method], tell)
            artefacts = list(made.artefacts.values())
            write_spec(folder, artefacts)
        gated = gate(specs, spec, artefacts, judges, tell)
    write_spec(folder, [one.artefact for one in gated])
    write_gate_part(folder, card_text(gated))
    return Outcome(choice.model, tuple(gated))


def _model(choice: Choice) -> tuple[Sequence[ModelSpec], ModelSpec, Path]:
    """The repository to work on, the model in it, and the model's folder."""
    repository = choice.models or SHIPPED
    known = load_repository(repository)
    names = [spec.name for spec in known]
    if choice.model not in names:
        raise CliError(f"no model is called {choice.model!r}; there are {', '.join(names)}")
    if any(spec.name == choice.model and spec.role in DIVIDING for spec in known):
        raise CliError(
            f"{choice.model} divides the lungs: the gate judges by lung and lesion alone, "
            "so it serves unquantised"
        )
    if choice.out is not None:
        if choice.out.exists():
            raise CliError(f"{choice.out} is there already")
        repository = Path(shutil.copytree(repository, choice.out))
    specs = load_repository(repository)
    (spec,) = [spec for spec in specs if spec.name == choice.model]
    return specs, spec, repository / spec.name


def _present(spec: ModelSpec) -> list[Artefact]:
    artefacts = [one for one in spec.artefacts if one.precision == "int8"]
    if not artefacts:
        raise CliError(f"{spec.name} has no int8 artefact to judge")
    for one in artefacts:
        if one.calibration is None or not one.dialect:
            raise CliError(
                f"{one.path}: spec.toml does not say on which scans it was calibrated, and in "
                "which dialect it is written, so the gate cannot judge it"
            )
        one.verify()
    return artefacts


def _calibrated_on(artefacts: Iterable[Artefact]) -> list[str]:
    return sorted({name for one in artefacts if one.calibration for name in one.calibration.cases})


def _gate_cases(
    choice: Choice, specs: Sequence[ModelSpec], spec: ModelSpec, used: Sequence[str]
) -> list[Path]:
    """The cases to judge on, by default those of all patients that were not calibrated on.

    Neither this model was, nor those in INT8 that it is judged together with.
    """
    others = [one for dialect in DIALECTS for one in partners(specs, spec, dialect).values()]
    used = [*used, *_calibrated_on(others)]
    names = choice.gate_on or other_cases(choice.data, spec, used)
    check_disjoint(choice.data, used, names)
    return served_cases(choice.data, names, spec)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What is being done, on stderr."""
    with Console(stderr=True).status("reading") as status:
        yield status.update


def _artefact_record(gated: Gated) -> dict[str, object]:
    artefact = gated.artefact
    assert artefact.gate is not None
    return {
        "precision": artefact.precision,
        "dialect": artefact.dialect,
        "file": str(artefact.path),
        "sha256": artefact.sha256,
        "runtime": artefact.gate.runtime,
        "calibration": asdict(artefact.calibration) if artefact.calibration else None,
        "verdict": "passed" if gated.verdict.passed else "failed",
        "reasons": gated.verdict.reasons,
        "together": artefact.gate.together,
        "figures": gated.verdict.figures,
        "cases": [asdict(one) for one in gated.compared],
    }
