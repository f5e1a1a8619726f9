"""How a caller encrypts, and shows who it is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import grpc

#: Variables of the environment, and what each names.
CA, CERTIFICATE, KEY, NAME = (
    f"BREATHHOLD_TLS_{part}" for part in ("CA", "CERTIFICATE", "KEY", "NAME")
)


@dataclass(frozen=True, slots=True)
class ClientTls:
    """TLS of a caller.

    Parameters
    ----------
    ca
        Who signed the appliance's certificate, PEM; the system's authorities without.
    certificate, key
        The caller's own, PEM; both or neither.
    name
        The name that the appliance's certificate has, where it is not the host that is called.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    name: str = ""

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] = os.environ) -> Self | None:
        """As ``BREATHHOLD_TLS_CA``, ``_CERTIFICATE``, ``_KEY`` and ``_NAME`` say; None without."""

        def path(variable: str) -> Path | None:
            return Path(variables[variable]) if variables.get(variable) else None

        if not any(variables.get(variable) for variable in (CA, CERTIFICATE, KEY, NAME)):
            return None
        return cls(path(CA), path(CERTIFICATE), path(KEY), variables.get(NAME, ""))

    def channel(self, target: str, options: tuple[tuple[str, object], ...]) -> grpc.Channel:
        """A channel to `target`.

        Raises
        ------
        ValueError
            When there is a certificate without key or the other way round.
        OSError
            When a file cannot be read.
        """
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a certificate and its key belong together, one of them is missing")
        credentials = grpc.ssl_channel_credentials(
            _bytes(self.ca), _bytes(self.key), _bytes(self.certificate)
        )
        if self.name:
            options = (*options, ("grpc.ssl_target_name_override", self.name))
        return grpc.secure_channel(target, credentials, options=options)


def _bytes(path: Path | None) -> bytes | None:
    return path.read_bytes() if path else None
