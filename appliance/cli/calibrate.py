"""``breathhold calibrate``: a model in INT8, behind the gate."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.errors import CliError
from appliance.cli.options import Json


class MethodName(enum.StrEnum):
    """How ranges are chosen."""

    AUTO = "auto"
    MINMAX = "minmax"
    ENTROPY = "entropy"
    PERCENTILE = "percentile"


def calibrate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of a model.")],
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of labelled cases, as for evaluate.")
    ],
    cases: Annotated[
        str,
        typer.Option(metavar="A,B", help="Calibrate on these; by default a third of the patients."),
    ] = "",
    gate_on: Annotated[
        str,
        typer.Option(metavar="C,D", help="Judge on these; by default on all other patients."),
    ] = "",
    models: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Model repository; by default the shipped.")
    ] = None,
    method: Annotated[
        MethodName, typer.Option(help="How ranges are chosen; auto measures all.")
    ] = MethodName.AUTO,
    gate_only: Annotated[
        bool, typer.Option("--gate-only", help="Judge the INT8 files there are once more.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Work on a copy of the model repository here."),
    ] = None,
    json: Json = False,
) -> None:
    """Quantise a model to INT8 for each runtime, and judge it against fp32 on labelled scans."""
    try:
        from appliance.cli.calibrating.calibration import Choice, run_calibration
        from appliance.cli.calibrating.tables import gate_view
    except ModuleNotFoundError as error:
        raise CliError(
            f"the package {error.name} is not installed (pip install 'breathhold[calibrate]')"
        ) from error
    from appliance.cli.showing.output import console, print_json

    choice = Choice(model, data, _names(cases), _names(gate_on), models, method.value, out)
    outcome = run_calibration(choice, gate_only)
    if json:
        print_json(outcome.record)
    else:
        console().print(gate_view(outcome.gated))
    if failed := outcome.failed:
        raise CliError(f"{model} did not pass the gate in the dialect of {' and '.join(failed)}")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
