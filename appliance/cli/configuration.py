"""The configuration file with a command line's options laid over it."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from appliance.cli.errors import CliError
from appliance.config import Config, load_config


def configured(
    path: Path | None,
    *,
    listen: str | None = None,
    http: str | None = None,
    state: Path | None = None,
) -> Config:
    """The configuration of `path` (the defaults without one) with options laid over it.

    Raises
    ------
    ConfigError
        When the file cannot be used.
    CliError
        When an option is wrong.
    """
    config = load_config(path)
    options = {
        ("server", "listen"): listen,
        ("server", "http"): http,
        ("storage", "state_dir"): state,
    }
    table = config.model_dump()
    for (section, field), value in options.items():
        if value is not None:
            table[section][field] = value
    try:
        return Config.model_validate(table)
    except ValidationError as error:
        fault = error.errors()[0]
        words = fault["msg"].removeprefix("Value error, ")
        raise CliError(f"{fault['input']!r}: {words}" if fault["loc"] else words) from error
