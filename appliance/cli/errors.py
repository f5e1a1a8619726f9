"""Errors that a verb ends with."""

from __future__ import annotations


class CliError(Exception):
    """A verb that cannot do its work; the message is one sentence for the user."""


def expected() -> tuple[type[Exception], ...]:
    """The errors whose own message is fit for the user."""
    from appliance.client.errors import ClientError
    from appliance.config import ConfigError
    from appliance.storage.errors import StorageError
    from engines.models import ModelError
    from engines.runtimes import DeviceError, RuntimeUnavailableError

    return (
        CliError,
        OSError,
        ClientError,
        ConfigError,
        DeviceError,
        ModelError,
        RuntimeUnavailableError,
        StorageError,
    )
