"""TLS by files that are read again when they change, so that no restart is needed."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import ssl
import threading
from collections.abc import Iterator
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

    def context(self) -> ssl.SSLContext:
        """For HTTP: a caller may come without a certificate, one that it has is verified.

        Raises
        ------
        OSError
            When these are not what they should be.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        with _in_memory(self.certificate) as certificate, _in_memory(self.key) as key:
            context.load_cert_chain(certificate, key)
        if self.client_ca is not None:
            with _in_memory(self.client_ca) as client_ca:
                context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
        return context


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
        self._trouble = ""
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
                    self._trouble = ""
                    logger.info("the TLS files have changed and are taken")
                except ConfigError as error:
                    self._trouble = str(error)
                    logger.error("the TLS files have changed; the old ones stay: %s", error)
            return self._material

    @property
    def trouble(self) -> str:
        """Why the files as they were last seen are not taken; empty when they are."""
        return self._trouble

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
        material = TlsMaterial(
            _bytes_of(certificate), _bytes_of(key), _bytes_of(client_ca) if client_ca else None
        )
        _check(material, self._paths())
        return material


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise ConfigError(f"{path}: the file is missing or cannot be read") from None


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0, 0
    return status.st_mtime_ns, status.st_ino, status.st_size


@contextlib.contextmanager
def _in_memory(pem: bytes) -> Iterator[str]:
    """The path of a file in memory alone, for what reads no bytes."""
    descriptor = os.memfd_create("pem")
    try:
        os.write(descriptor, pem)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _check(material: TlsMaterial, paths: tuple[Path, Path, Path | None]) -> None:
    """Raise ConfigError when what was read is not what it should be."""
    certificate, key, client_ca = paths
    try:
        dataclasses.replace(material, client_ca=None).context()
    except OSError as error:
        raise ConfigError(f"{certificate} with {key}: {_words(error)}") from error
    try:
        material.context()
    except OSError as error:
        raise ConfigError(f"{client_ca}: {_words(error)}") from error


def _words(error: OSError) -> str:
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    if reason == "KEY_VALUES_MISMATCH":
        return "the key is not this certificate's"
    return f"no usable PEM ({reason})"
