"""``breathhold fit-severity``: the probability of severe disease, on a site's own patients."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.options import Json


def fit_severity(
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE.csv",
            help="A line a scan, with the columns poi (0 to 1), ihu (HU, empty without a lesion) "
            "and severe (0 or 1).",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The file that a daemon reads.")
    ],
    json: Json = False,
) -> None:
    """Fit how POI and iHU tell severe disease, for severity_probability in reports."""
    from appliance.cli.fitting.severity import fit_and_write

    fit_and_write(table, out, json=json)
