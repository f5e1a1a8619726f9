"""``breathhold review``: masks to an annotator and back, and models refined from them."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.errors import CliError
from appliance.cli.options import DEFAULT_TO, Json, State, To

app = typer.Typer(
    no_args_is_help=True, help="Correct masks by hand, and refine the models with them."
)
Folder = Annotated[
    Path, typer.Option("--folder", "-o", metavar="DIR", help="Folder of the review.")
]
DEFAULT_FOLDER = Path("review")
_HOW_TO_SERVE = "A running daemon with this repository serves it after: breathhold models reload"


class Kind(enum.StrEnum):
    """What a mask shows."""

    LESION = "lesion"
    LUNG = "lung"


@app.command("export")
def export(
    scan: Annotated[str, typer.Argument(help="The scan id, or the Series Instance UID.")],
    folder: Folder = DEFAULT_FOLDER,
    dicom: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder the scan was sent from.")
    ] = None,
    state: State = None,
    to: To = DEFAULT_TO,
    json: Json = False,
) -> None:
    """Write a scan and its masks for ITK-SNAP and 3D Slicer: NIfTI, and DICOM SEG."""
    from appliance.cli.connection import connect
    from appliance.cli.reviewing.exporting import export_scan
    from appliance.cli.showing.output import console, print_json
    from calibration.review import ReviewFolder

    with connect(to) as client, _faults():
        done = export_scan(client, scan, ReviewFolder(folder), dicom, state)
    if json:
        print_json(done.record)
        return
    console().print(f"{done.folder}: {', '.join(path.name for path in done.files)}")
    if done.without_dicom:
        console().print(f"No DICOM segmentation: {done.without_dicom}.")
    console().print(f"Correct them, then: breathhold review import {done.scan_id} FILE")


@app.command("import")
def take(
    scan: Annotated[str, typer.Argument(help="The scan id, as exported.")],
    file: Annotated[Path, typer.Argument(help="The corrected mask: NIfTI or DICOM SEG.")],
    folder: Folder = DEFAULT_FOLDER,
    kind: Annotated[Kind, typer.Option(help="What a NIfTI file shows.")] = Kind.LESION,
    minutes: Annotated[
        float | None, typer.Option(min=0, help="Spent on correcting, for the ledger.")
    ] = None,
    json: Json = False,
) -> None:
    """Take a corrected mask as a labelled case."""
    from appliance.cli.reviewing.importing import import_masks
    from appliance.cli.showing.output import console, print_json
    from calibration.review import ReviewFolder

    with _faults():
        done = import_masks(ReviewFolder(folder), scan, file, kind.value, minutes)
    if json:
        print_json(done.record)
        return
    for name, dice in done.dice.items():
        console().print(f"{name}: the appliance's mask has Dice {dice:.3f} with the corrected one")
    console().print(f"Kept as {done.folder}.")


@app.command("train")
def train(
    folder: Folder = DEFAULT_FOLDER,
    model: Annotated[str, typer.Option(metavar="NAME", help="Which model.")] = "lesion",
    cases: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Labelled cases to learn from, too; repeatable."),
    ] = None,
    hold_out: Annotated[
        str,
        typer.Option(
            metavar="A,B",
            help="Cases or patients to judge by; by default a third of the corrected ones.",
        ),
    ] = "",
    minutes: Annotated[float, typer.Option(min=0.01, help="Time to train.")] = 30.0,
    steps: Annotated[int | None, typer.Option(min=1, help="Train this many steps instead.")] = None,
    seed: Annotated[int, typer.Option(help="Of all chance.")] = 1,
    models: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Repository to begin with; by default the shipped models."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Refine a model on the corrected scans, judge it, and install it as a new version."""
    _need_torch()
    from appliance.cli.reviewing.refining import refine_shown
    from appliance.cli.reviewing.tables import trained_view
    from appliance.cli.showing.output import console, print_json
    from calibration.review import ReviewFolder
    from calibration.review.refine import Refinement

    names = tuple(name.strip() for name in hold_out.split(",") if name.strip())
    asked = Refinement(model, tuple(cases or ()), names, minutes, steps, seed, models)
    with _faults():
        entry = refine_shown(ReviewFolder(folder), asked)
    if json:
        print_json(entry)
    else:
        console().print(trained_view(entry))
        if entry["installed"]:
            console().print(_HOW_TO_SERVE)
    if not entry["installed"]:
        raise CliError(f"{model} was not installed: {entry['reason']}")


@app.command("ledger")
def ledger(folder: Folder = DEFAULT_FOLDER, json: Json = False) -> None:
    """Show what was corrected and trained."""
    from appliance.cli.reviewing.tables import ledger_view
    from appliance.cli.showing.output import console, print_json
    from calibration.review import ReviewFolder

    with _faults():
        entries = ReviewFolder(folder).ledger.entries()
    if json:
        for entry in entries:
            print_json(entry)
    elif entries:
        console().print(ledger_view(entries))
    else:
        console().print(f"{folder} has no ledger yet: nothing was imported.")


@app.command("rollback")
def rollback(
    version: Annotated[int, typer.Argument(min=1, help="The version to serve again.")],
    folder: Folder = DEFAULT_FOLDER,
    model: Annotated[str, typer.Option(metavar="NAME", help="Which model.")] = "lesion",
    json: Json = False,
) -> None:
    """Go back to a version of a model that was installed before."""
    from appliance.cli.showing.output import console, print_json
    from calibration.review import ReviewFolder
    from calibration.review.versions import restore_version

    review = ReviewFolder(folder)
    with _faults(), review.locked():
        before = restore_version(review.models / model, version)
        entry = review.ledger.add(
            {"event": "rolled_back", "model": model, "from_version": before, "version": version}
        )
    if json:
        print_json(entry)
    else:
        console().print(f"{model} is at version {version} again; it was at {before}.")
        console().print(_HOW_TO_SERVE)


class _faults:  # noqa: N801 - reads as a phrase
    """Turns a review's errors into the verb's."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        from calibration.evaluation import EvaluationError
        from calibration.review import ReviewError

        if isinstance(error, (ReviewError, EvaluationError, ValueError)):
            raise CliError(str(error)) from error


def _need_torch() -> None:
    for name in ("torch", "onnx", "onnxruntime"):
        try:
            __import__(name)
        except ModuleNotFoundError as error:
            raise CliError(
                f"the package {name} is not installed; training needs it "
                "(pip install 'breathhold[train]')"
            ) from error
