"""``breathhold serve``: run the daemon."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.options import Config, State

if TYPE_CHECKING:
    from appliance.daemon import Addresses


class Level(enum.StrEnum):
    """From what on is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Format(enum.StrEnum):
    """How a log line looks."""

    TEXT = "text"
    JSON = "json"


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
    log_level: Annotated[Level, typer.Option(help="Log from this level on.")] = Level.INFO,
    log_format: Annotated[Format, typer.Option(help="How log lines look.")] = Format.TEXT,
) -> None:
    """Run the daemon until it is told to stop."""
    from appliance.cli.configuration import configured
    from appliance.logs import log_to_stderr
    from appliance.running import run

    log_to_stderr(log_level, as_json=log_format is Format.JSON)
    run(configured(config, listen=listen, http=http, state=state), ready=_announce)


def _announce(addresses: Addresses) -> None:
    print(f"breathhold is ready: gRPC {addresses.grpc}, http {addresses.http}", flush=True)
