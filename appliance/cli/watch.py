"""``breathhold watch``: the triage board in a terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from appliance.cli.options import DEFAULT_TO, Json, To


def watch(
    to: To = DEFAULT_TO,
    once: Annotated[bool, typer.Option("--once", help="Print the board once and end.")] = False,
    json: Json = False,
) -> None:
    """Watch every scan of every console, worst first."""
    from appliance.cli.showing.watching import print_once, watch_json, watch_live

    if once:
        print_once(to, json=json)
    elif json:
        watch_json(to)
    else:
        watch_live(to)
