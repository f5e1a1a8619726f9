"""``breathhold reference``: what lungs are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.options import Json

app = typer.Typer(help="Make and show references of normal lungs.", no_args_is_help=True)


@app.command()
def build(
    scans: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER...",
            help="Folders of DICOM, every chest CT in them counts once; or folders of labelled "
            "cases, as `breathhold evaluate` reads them.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write it.")],
    name: Annotated[str, typer.Option(help="What reports call it.")] = "site",
    made_of: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What it is made of, in words.")
    ] = None,
    cases: Annotated[
        str, typer.Option(metavar="A,B", help="Only these labelled cases, separated by commas.")
    ] = "",
    without_lesion: Annotated[
        bool, typer.Option("--without-lesion", help="Leave out lung that is lesion.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a reference of the HU of normal lungs from a site's own scans."""
    from appliance.cli.referencing.building import build_reference
    from appliance.cli.showing.output import print_json
    from appliance.norms import write_normal

    names = tuple(case.strip() for case in cases.split(",") if case.strip())
    reference = build_reference(scans, names, name, made_of, without_lesion=without_lesion)
    write_normal(out, reference)
    if json:
        print_json({"event": "reference", "file": str(out), "scans": reference.scans})
    else:
        print(f"{out}: {reference.name}, {reference.made_of}.")
        print(f'Use it with normal = "{out.absolute()}" under [scores] in the configuration.')


@app.command()
def show(
    file: Annotated[
        Path | None, typer.Argument(help="A reference; the shipped one when not given.")
    ] = None,
    json: Json = False,
) -> None:
    """Say what a reference is made of."""
    from appliance.cli.showing.output import print_json
    from appliance.config import NORMAL
    from appliance.norms import read_normal
    from appliance.quantify.histogram import mean_hu

    reference = read_normal(file or NORMAL)
    mean = mean_hu(reference.shares)
    if json:
        record = {"name": reference.name, "made_of": reference.made_of, "scans": reference.scans}
        print_json({"event": "reference", **record, "mean_hu": mean})
    else:
        print(f"{reference.name}: {reference.made_of}. Mean {mean:.0f} HU.")
