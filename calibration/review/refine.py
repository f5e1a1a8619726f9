"""One turn of the loop: refine a model on corrected scans, judge it, install it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from calibration.evaluation import compare, load_engines, read_case, segment_case
from calibration.gate.gate import gate
from calibration.gate.record import card_text, write_spec
from calibration.quantisation.calibrate import calibrate
from calibration.review.folder import ReviewError, ReviewFolder
from calibration.review.ledger import Entry
from calibration.review.parting import Parts, part_cases
from calibration.review.versions import install, next_version, own_repository
from engines.card import write_gate_part
from engines.models import ModelSpec, load_repository, load_spec

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Refinement:
    """What is asked for.

    Parameters
    ----------
    model
        Name of a model in the repository.
    data
        Folders of more labelled cases.
    held_out
        Cases or patients to judge by; none: a third of the corrected patients.
    minutes, steps
        How long to train; steps come first.
    seed
        Of all chance.
    origin
        Repository to begin with; None for the shipped models.
    """

    model: str
    data: tuple[Path, ...] = ()
    held_out: tuple[str, ...] = ()
    minutes: float = 30.0
    steps: int | None = None
    seed: int = 1
    origin: Path | None = None


def refine(review: ReviewFolder, asked: Refinement, tell: Tell = lambda step: None) -> Entry:
    """Refine, judge, calibrate, gate and install; the ledger's entry.

    A model that is no better on the scans held out is not installed, and the entry
    says so. INT8 files that do not pass the gate are not served: fp32 is.

    Raises
    ------
    ReviewError
        When there are too few cases, the model cannot be trained here, or another training
        is under way.
    EvaluationError, ModelError, RuntimeUnavailableError
        When a case cannot be read, or the models cannot be served.
    """
    with review.locked():
        return _refined(review, asked, tell)


def _refined(review: ReviewFolder, asked: Refinement, tell: Tell) -> Entry:
    parts = part_cases(review, asked.model, asked.data, asked.held_out)
    models = own_repository(review.models, asked.origin)
    names = [spec.name for spec in load_repository(models)]
    if asked.model not in names:
        raise ReviewError(f"no model is called {asked.model!r}; there are {', '.join(names)}")
    number = review.ledger.iteration + 1
    spec = load_spec(models / asked.model)
    tell(f"measuring version {spec.version} on {len(parts.judged)} scans held out")
    before = mean_dice(models, spec.role, parts.judged)
    with TemporaryDirectory() as folder:
        candidates = Path(shutil.copytree(models, Path(folder) / "models"))
        run = review.run(number)
        version = next_version(models / asked.model)
        _train(spec, asked, parts, run, tell)
        _export(run, candidates / asked.model, version, spec)
        tell(f"measuring version {version}")
        after = mean_dice(candidates, spec.role, parts.judged)
        reason = "" if after > before else "it is no better on the scans held out"
        passed: list[str] = []
        if not reason:
            passed = _quantise(candidates, asked.model, parts, tell)
            _describe(candidates / asked.model, spec, parts, before, after)
            install(candidates / asked.model, models / asked.model)
    learnt = sorted(path.name for path in parts.learnt)
    judged = sorted(path.name for path in parts.judged)
    return review.ledger.add(
        {
            "event": "trained",
            "iteration": number,
            "model": asked.model,
            "from_version": spec.version,
            "version": version,
            "learnt_from": learnt,
            "judged_by": judged,
            "dice_before": round(before, 4),
            "dice_after": round(after, 4),
            "int8_passed": passed,
            "installed": not reason,
            "reason": reason,
            "minutes_correcting": review.ledger.minutes([*learnt, *judged]),
        }
    )


def mean_dice(repository: Path, role: str, cases: dict[Path, str]) -> float:
    """Mean Dice of a model's masks in fp32 over labelled cases, on the daemon's own path.

    Raises
    ------
    ReviewError
        When no case has a label of what the model finds.
    """
    segmenter, policy = load_engines(repository, precision="fp32")
    found = []
    for folder in cases:
        case = read_case(folder)
        figures = compare(case, segment_case(case, segmenter, policy))
        dice = figures.lung.dice if role == "lung" else figures.lesion.dice
        if dice is not None:
            found.append(dice)
    if not found:
        raise ReviewError(
            f"no scan held out has a {role} label to judge by: correct it, or hold out others"
        )
    return sum(found) / len(found)


def _train(spec: ModelSpec, asked: Refinement, parts: Parts, run: Path, tell: Tell) -> None:
    from engines.training.refine import RestoreError, refine_network

    tell(f"training on {len(parts.learnt)} scans")
    shutil.rmtree(run, ignore_errors=True)  # of a training that was broken off
    try:
        refine_network(
            spec,
            parts.learnt,
            sorted(set(parts.judged.values())),
            run,
            minutes=asked.minutes,
            steps=asked.steps,
            seed=asked.seed,
        )
    except RestoreError as error:
        raise ReviewError(str(error)) from error


def _export(run: Path, model: Path, version: int, before: ModelSpec) -> None:
    from engines.training.export import export

    export(run, model, version, before.sections)
    if (now := load_spec(model).contract) != before.contract:
        raise ReviewError(f"the refined model sees {now}, the one before {before.contract}")


def _quantise(repository: Path, name: str, parts: Parts, tell: Tell) -> list[str]:
    """The dialects in INT8 that passed the gate."""
    specs, spec = load_repository(repository), load_spec(repository / name)
    made = calibrate(specs, spec, [*parts.learnt], progress=tell)
    write_spec(repository / name, [*made.artefacts.values()])
    gated = gate(specs, spec, [*made.artefacts.values()], [*parts.judged], tell)
    write_spec(repository / name, [one.artefact for one in gated])
    write_gate_part(repository / name, card_text(gated))
    return [one.artefact.dialect for one in gated if one.verdict.passed]


def _describe(model: Path, before: ModelSpec, parts: Parts, dice: float, now: float) -> None:
    """Tell in the card how the version came about, and the figures in ``spec.toml``."""
    version = load_spec(model).version
    card = model / "MODEL_CARD.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else f"# {model.name}\n"
    lines = (
        f"\n\n## Version {version}: refined on this site\n\n"
        f"Refined from version {before.version} on {len(parts.learnt)} scans, judged on "
        f"{len(parts.judged)} scans of other patients: mean Dice {dice:.4f} before, {now:.4f} "
        "after. What is said above of the accuracy is of the version it began with.\n"
    )
    card.write_text(text.rstrip("\n") + lines, encoding="utf-8")
    spec = model / "spec.toml"
    figures = f"[accuracy]\ndice_mean = {now:.4f}\ndice_mean_before = {dice:.4f}\n"
    spec.write_text(
        spec.read_text(encoding="utf-8").replace("[accuracy]\n", figures, 1), encoding="utf-8"
    )
