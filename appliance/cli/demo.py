"""``breathhold demo``: a private daemon, a phantom, a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.options import Config, Json, SectionName


def demo(
    scan: Annotated[
        Path | None,
        typer.Option(envvar="SCAN", help="Send this folder of DICOM instead of a phantom."),
    ] = None,
    section: Annotated[
        SectionName, typer.Option(help="Slice thickness of the phantom.")
    ] = SectionName.THICK,
    seed: Annotated[int, typer.Option(min=0, help="Draws the phantom.")] = 7,
    rate: Annotated[float, typer.Option(min=0.01, help="Slices a second.")] = 10.0,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep series, masks and overlays here.")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Start a private daemon, send a phantom to it, and print the report beside the truth."""
    from appliance.cli.demonstrating.demonstration import demonstrate

    demonstrate(scan, section.value, seed=seed, rate=rate, keep=keep, config=config, json=json)
