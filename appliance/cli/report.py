"""``breathhold report``: the final report of a scan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.options import DEFAULT_TO, Json, Masks, To


def report(
    scan: Annotated[
        str | None, typer.Argument(help="The scan id, or the Series Instance UID.")
    ] = None,
    to: To = DEFAULT_TO,
    json: Json = False,
    masks: Masks = None,
    dicom: Annotated[
        Path | None,
        typer.Option(help="Folder the scan was sent from; masks get their geometry from it."),
    ] = None,
    of: Annotated[
        str | None,
        typer.Option("--of", metavar="SCAN", help="Show the course of this scan's patient."),
    ] = None,
    patient: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Show the course of a patient, by the key in a report."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the course into this PNG.")
    ] = None,
) -> None:
    """Print the final report of a scan, or the course of a patient."""
    if [scan, of, patient].count(None) != 2:
        raise typer.BadParameter("name one of SCAN, --of SCAN and --patient KEY")
    if scan is None and masks is not None:
        raise typer.BadParameter("--masks goes with SCAN, not with a course")
    if scan is not None and plot is not None:
        raise typer.BadParameter("--plot draws a course: --of SCAN or --patient KEY")
    if masks is not None and dicom is None:
        raise typer.BadParameter(
            "--masks needs --dicom FOLDER, the folder the scan was sent from: "
            "masks travel without geometry"
        )
    from appliance.cli.connection import connect
    from appliance.cli.masks.pictures import write_pictures
    from appliance.cli.sending.playing import show_report
    from appliance.cli.showing.course import show_course
    from appliance.client import dicom_slices
    from appliance.ingest import find_series

    with connect(to) as client:
        if scan is None:
            show_course(client, of or "", patient or "", json=json, plot=plot)
            return
        found = client.report(scan)
        written = None
        if masks is not None and dicom is not None:
            files = [file for series in find_series(dicom).series for file in series.files]
            paths = {one.sop_instance_uid: one.path for one in dicom_slices(files)}
            written = write_pictures(client, scan, paths, masks)
    show_report(found, json=json, written=written)
