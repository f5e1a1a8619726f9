"""Runs the cases one after the other, with a bar on stderr."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from appliance.cli.errors import CliError
from appliance.scan.scan import ScanPolicy
from calibration.evaluation import (
    CaseFigures,
    EvaluationError,
    compare,
    document,
    find_cases,
    load_engines,
    read_case,
    segment_case,
)
from calibration.evaluation.worst import WrongSlice, worst_of, worst_slices
from engines.models import SHIPPED
from engines.segmenter import Segmenter


@dataclass(frozen=True, slots=True)
class Choice:
    """What to evaluate on what; see :func:`calibration.evaluation.load_engines`."""

    data: Path
    names: tuple[str, ...] = ()
    repository: Path | None = None
    model: str | None = None
    precision: str | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out: figures, the same as a JSON document, and the report page if one was asked.

    `failed` says of each case that could not be evaluated why.
    """

    figures: list[CaseFigures]
    failed: dict[str, str]
    document: dict[str, object]
    page: Path | None


def run_evaluation(choice: Choice, report: Path | None = None) -> Evaluation:
    """Evaluate, and write the report into the folder `report` if one is given.

    A case that cannot be read or inferred does not end the others.

    Raises
    ------
    CliError
        When there is no such case or model.
    ModelError, RuntimeUnavailableError
        When the models cannot be served.
    OSError
        When the report cannot be written; that is seen before the work begins.
    """
    try:
        folders = find_cases(choice.data, choice.names)
        if report:
            report.mkdir(parents=True, exist_ok=True)
        segmenter, policy = load_engines(
            choice.repository or SHIPPED, choice.model, choice.precision
        )
    except EvaluationError as error:
        raise CliError(str(error)) from error
    figures: list[CaseFigures] = []
    worst: list[WrongSlice] = []
    failed: dict[str, str] = {}
    for folder in _shown(folders):
        try:
            one, wrong = _evaluate(folder, segmenter, policy)
        except EvaluationError as error:
            failed[folder.absolute().name] = str(error)
            continue
        figures.append(one)
        worst = worst_of([*worst, *wrong])
    content = document(figures, segmenter, failed)
    page = _write(report, figures, worst, content) if report and figures else None
    return Evaluation(figures, failed, content, page)


def _evaluate(
    folder: Path, segmenter: Segmenter, policy: ScanPolicy
) -> tuple[CaseFigures, list[WrongSlice]]:
    case = read_case(folder)
    found = segment_case(case, segmenter, policy)
    return compare(case, found), worst_slices(case, found)


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
) -> Path:
    from calibration.evaluation.report import write_report

    return write_report(folder, figures, worst, content).page
