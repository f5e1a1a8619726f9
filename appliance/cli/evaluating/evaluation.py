"""Runs the cases one after the other, with a bar on stderr."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from appliance.cli.errors import CliError
from calibration.evaluation import (
    CaseFigures,
    EvaluationError,
    Extras,
    Outcome,
    compare,
    compare_outcomes,
    document,
    find_cases,
    load_engines,
    read_case,
    read_outcomes,
    segment_case,
)
from calibration.evaluation.radiomics import FeatureErrors, check_library, feature_errors
from calibration.evaluation.worst import WrongSlice, worst_of, worst_slices
from engines.models import SHIPPED


@dataclass(frozen=True, slots=True)
class Choice:
    """What to evaluate on what; see :func:`calibration.evaluation.load_engines`."""

    data: Path
    names: tuple[str, ...] = ()
    repository: Path | None = None
    model: str | None = None
    precision: str | None = None
    outcomes: Path | None = None
    radiomics: bool = False


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out: figures, the same as a JSON document, and the report page if one was asked.

    `failed` says of each case that could not be evaluated why.
    """

    figures: list[CaseFigures]
    extras: Extras
    failed: dict[str, str]
    document: dict[str, object]
    page: Path | None


def run_evaluation(choice: Choice, report: Path | None = None) -> Evaluation:
    """Evaluate, and write the report into the folder `report` if one is given.

    A case that cannot be read or inferred does not end the others.

    Raises
    ------
    CliError
        When there is no such case or model, the table of outcomes cannot be used, or the
        library of radiomics is missing.
    ModelError, RuntimeUnavailableError
        When the models cannot be served.
    OSError
        When the report cannot be written; that is seen before the work begins.
    """
    try:
        folders = find_cases(choice.data, choice.names)
        outcomes = _outcomes(choice)
        if choice.radiomics:
            check_library()
        if report:
            report.mkdir(parents=True, exist_ok=True)
        segmenter, policy = load_engines(
            choice.repository or SHIPPED, choice.model, choice.precision
        )
    except EvaluationError as error:
        raise CliError(str(error)) from error
    figures: list[CaseFigures] = []
    worst: list[WrongSlice] = []
    features: dict[str, FeatureErrors] = {}
    failed: dict[str, str] = {}
    for folder in _shown(folders):
        try:
            case = read_case(folder)
            found = segment_case(case, segmenter, policy)
        except EvaluationError as error:
            failed[folder.absolute().name] = str(error)
            continue
        figures.append(compare(case, found))
        worst = worst_of([*worst, *worst_slices(case, found)])
        if choice.radiomics:
            features[case.name] = feature_errors(case, found)
    extras = Extras(
        compare_outcomes(figures, outcomes) if outcomes is not None else None,
        features if choice.radiomics else None,
    )
    content = document(figures, segmenter, failed, extras)
    page = _write(report, figures, worst, content, extras) if report and figures else None
    return Evaluation(figures, extras, failed, content, page)


def _outcomes(choice: Choice) -> list[Outcome] | None:
    """What is known of the patients; every case it names is there."""
    if choice.outcomes is None:
        return None
    outcomes = read_outcomes(choice.outcomes)
    there = {folder.absolute().name for folder in find_cases(choice.data)}
    named = {name for one in outcomes for name in (one.case, one.previous) if name}
    if unknown := sorted(named - there):
        raise EvaluationError(
            f"{choice.outcomes} names {', '.join(unknown)}, which {choice.data} does not have"
        )
    return outcomes


def _shown(folders: Sequence[Path]) -> Iterator[Path]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(folders))
        for folder in folders:
            progress.update(task, description=escape(folder.absolute().name))
            yield folder
            progress.advance(task)


def _write(
    folder: Path,
    figures: list[CaseFigures],
    worst: list[WrongSlice],
    content: dict[str, object],
    extras: Extras,
) -> Path:
    from calibration.evaluation.report import write_report

    return write_report(folder, figures, worst, content, extras).page
