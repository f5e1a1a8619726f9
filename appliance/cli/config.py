"""``breathhold config``: show and check the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.options import Json

app = typer.Typer(help="Show and check the configuration.", no_args_is_help=True)


@app.command()
def show(
    file: Annotated[Path | None, typer.Argument(help="Show this file's values.")] = None,
) -> None:
    """Print every field with its value and meaning, as TOML that can be edited."""
    from appliance.config import describe, load_config

    print(describe(load_config(file)))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The configuration file.")],
    json: Json = False,
) -> None:
    """Check a configuration file."""
    from appliance.cli.showing.output import print_json
    from appliance.config import load_config

    load_config(file)
    if json:
        print_json({"event": "config", "file": str(file), "ok": True})
    else:
        print(f"{file} is a valid configuration.")
