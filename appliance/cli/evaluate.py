"""``breathhold evaluate``: accuracy on labelled scans."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.errors import CliError


class PrecisionName(enum.StrEnum):
    """Numbers that the networks compute with."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


def evaluate(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder of cases, each a folder with image.nii.gz (HU), lesion.nii.gz and "
            "lung.nii.gz (255: not labelled); or one case.",
        ),
    ],
    cases: Annotated[
        str, typer.Option(metavar="A,B", help="Only these cases, separated by commas.")
    ] = "",
    models: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Model repository; by default the shipped.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Use this lesion model for every section."),
    ] = None,
    precision: Annotated[
        PrecisionName | None,
        typer.Option(help="By default the one the daemon would choose."),
    ] = None,
    outcomes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV of what became of the patients: case; severe (0 or 1); previous (an earlier "
            "case) and direction (increased, decreased, unchanged).",
        ),
    ] = None,
    radiomics: Annotated[
        bool,
        typer.Option("--radiomics", help="Compare features of the lesion, too: minutes a case."),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write a page with tables, plots and overlays here."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure accuracy on labelled scans: Dice, PO and PHO against reference."""
    from appliance.cli.evaluating.evaluation import Choice, run_evaluation
    from appliance.cli.evaluating.tables import evaluation_view
    from appliance.cli.showing.output import console, print_json

    names = tuple(name.strip() for name in cases.split(",") if name.strip())
    value = precision.value if precision else None
    choice = Choice(data, names, models, model, value, outcomes, radiomics)
    evaluation = run_evaluation(choice, report)
    if json:
        print_json(evaluation.document)
    else:
        console().print(evaluation_view(evaluation))
    if failed := evaluation.failed:
        raise CliError("could not be evaluated: " + "; ".join(map(": ".join, failed.items())))
