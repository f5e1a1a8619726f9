"""``breathhold send``: play a folder as a scanner would."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.options import DEFAULT_TO, Json, Masks, PriorityName, To


def send(
    path: Annotated[Path, typer.Argument(help="A folder of DICOM files, or one file.")],
    to: To = DEFAULT_TO,
    rate: Annotated[
        float | None,
        typer.Option(min=0.01, help="Slices a second; as fast as accepted when not given."),
    ] = None,
    priority: Annotated[PriorityName, typer.Option(help="How urgently.")] = PriorityName.ROUTINE,
    station: Annotated[
        str | None, typer.Option(help="Who is calling; this machine's name when not given.")
    ] = None,
    masks: Masks = None,
    json: Json = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Send under new UIDs.")] = False,
    shuffle: Annotated[
        int | None, typer.Option(metavar="SEED", help="Send in an order drawn from SEED.")
    ] = None,
    expected: Annotated[bool, typer.Option(help="Announce how many slices will come.")] = True,
    series: Annotated[
        str | None, typer.Option(metavar="UID", help="The series to send, of several.")
    ] = None,
    all_series: Annotated[bool, typer.Option("--all", help="Send every series.")] = False,
    patience: Annotated[
        float, typer.Option(min=0, help="How long to try to reach the appliance again, s.")
    ] = 60.0,
) -> None:
    """Send a DICOM series slice by slice and show its scores while it arrives."""
    from appliance.cli.sending.playing import Playing, play

    playing = Playing(
        to=to,
        rate=rate,
        priority=priority.value,
        station=station,
        masks=masks,
        json=json,
        fresh=fresh,
        shuffle=shuffle,
        expected=expected,
        patience_s=patience,
    )
    play(path, playing, series_uid=series, every=all_series)
