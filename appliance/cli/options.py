"""Options that several verbs share."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

To = Annotated[
    str,
    typer.Option("--to", metavar="HOST:PORT", envvar="BREATHHOLD_TO", help="The appliance."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Configuration file, TOML.")
]
State = Annotated[
    Path | None,
    typer.Option("--state", metavar="DIR", help="Folder of the spool and the results."),
]
Masks = Annotated[
    Path | None,
    typer.Option("--masks", metavar="DIR", help="Write NIfTI masks and PNG overlays here."),
]
DEFAULT_TO = "127.0.0.1:50051"


class PriorityName(enum.StrEnum):
    """How urgently a scan is served."""

    ROUTINE = "routine"
    URGENT = "urgent"
    EMERGENCY = "emergency"


class SectionName(enum.StrEnum):
    """How thick the slices are."""

    THIN = "thin"
    MEDIUM = "medium"
    THICK = "thick"


class AnatomyName(enum.StrEnum):
    """What is scanned."""

    CHEST = "chest"
    ABDOMEN = "abdomen"
    HEAD = "head"
