"""The client that the verbs talk to an appliance with."""

from __future__ import annotations

from appliance.cli.errors import CliError
from appliance.client import ClientTls, ScanClient


def connect(to: str) -> ScanClient:
    """A client of the appliance at HOST:PORT, by TLS where the command line or environment says so.

    Raises
    ------
    CliError
        When the TLS options do not belong together.
    OSError
        When a file that they name cannot be read.
    """
    try:
        return ScanClient(to, ClientTls.from_environment())
    except ValueError as error:
        raise CliError(f"TLS: {error}") from error
