"""TLS by files that are read again when they change, so that no restart is needed."""

from __future__ import annotations

import logging
import os
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

import grpc

from appliance.config import ConfigError, TlsConfig

logger = logging.getLogger(__name__)

#: Of each file its time of modification, inode and size.
_Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class TlsMaterial:
    """Certificate with chain, key and the callers' CA (None: callers need no certificate), PEM."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None

    def for_grpc(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(self.key, self.certificate)], root_certificates=self.client_ca
        )


class TlsFiles:
    """The files of a configuration. Safe from any thread.

    Files that change are taken when they belong together; until then, as in the middle of
    a rotation, what was read last goes on serving. Connections keep what they began with.

    Parameters
    ----------
    config
        With a certificate.

    Raises
    ------
    ConfigError
        When a file cannot be read, or the key is not the certificate's.
    """

    def __init__(self, config: TlsConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._stamp = self._look()
        self._material = self._read()

    @property
    def current(self) -> TlsMaterial:
        """What the files hold, or held when they were last in order."""
        with self._lock:
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._material = self._read()
                    logger.info("the TLS files have changed and are taken")
                except ConfigError as error:
                    logger.error("the TLS files have changed; the old ones stay: %s", error)
            return self._material

    def context(self) -> ssl.SSLContext:
        """For HTTP: a caller may come without a certificate, one that it has is verified."""
        context = _context(self._paths())
        if self._config.client_ca:
            context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def credentials(self) -> grpc.ServerCredentials:
        """For gRPC: looked up at each handshake."""

        def fetch() -> grpc.ServerCertificateConfiguration:
            return self.current.for_grpc()

        return grpc.dynamic_ssl_server_credentials(
            self.current.for_grpc(),
            fetch,
            require_client_authentication=bool(self._config.client_ca),
        )

    def _paths(self) -> tuple[Path, Path, Path | None]:
        assert self._config.certificate is not None
        assert self._config.key is not None
        return self._config.certificate, self._config.key, self._config.client_ca

    def _look(self) -> _Stamp:
        return tuple(_stamp(path) for path in self._paths() if path)

    def _read(self) -> TlsMaterial:
        certificate, key, client_ca = self._paths()
        _context((certificate, key, client_ca))
        try:
            return TlsMaterial(
                certificate.read_bytes(),
                key.read_bytes(),
                client_ca.read_bytes() if client_ca else None,
            )
        except OSError as error:
            raise ConfigError(f"{error.filename}: {error.strerror}") from error


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0
    return status.st_mtime_ns, status.st_ino, status.st_size


def _context(paths: tuple[Path, Path, Path | None]) -> ssl.SSLContext:
    """Raise ConfigError when the files are not what they should be."""
    certificate, key, client_ca = paths
    for path in filter(None, paths):
        if not os.access(path, os.R_OK):
            raise ConfigError(f"{path}: the file is missing or cannot be read")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"{certificate} with {key}: {_words(error)}") from error
    if client_ca:
        try:
            context.load_verify_locations(client_ca)
        except (ssl.SSLError, OSError) as error:
            raise ConfigError(f"{client_ca}: {_words(error)}") from error
    return context


def _words(error: OSError) -> str:
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    if reason == "KEY_VALUES_MISMATCH":
        return "the key is not this certificate's"
    return f"no usable PEM ({reason})"
