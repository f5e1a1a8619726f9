"""``breathhold serve``: run the daemon."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.options import Config, State

if TYPE_CHECKING:
    from appliance.daemon import Addresses


def serve(
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="gRPC address; port 0: a free one.")
    ] = None,
    http: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Address of metrics, health and triage page."),
    ] = None,
    state: State = None,
    config: Config = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the daemon until it is told to stop."""
    _log_to_stderr(log_level)
    from appliance.cli.configuration import configured
    from appliance.daemon import run

    run(configured(config, listen=listen, http=http, state=state), ready=_announce)


def _announce(addresses: Addresses) -> None:
    print(f"breathhold is ready: gRPC {addresses.grpc}, http {addresses.http}", flush=True)


def _log_to_stderr(level: str) -> None:
    names = ("debug", "info", "warning", "error")
    if level.lower() not in names:
        raise typer.BadParameter(f"the log level must be one of {', '.join(names)}")
    logging.basicConfig(
        stream=sys.stderr,
        level=level.upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
