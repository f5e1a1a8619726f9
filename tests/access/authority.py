"""A certificate authority of its own, and files of what it issues."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc
import trustme


@dataclass(frozen=True)
class Files:
    """Paths of a certificate with its chain, and of its key."""

    certificate: Path
    key: Path


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._ca, self._folder = trustme.CA(), folder
        self.ca = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.ca)

    def issue(self, name: str, *hosts: str, stem: str = "") -> Files:
        """For a common name; hosts are alternative names."""
        made = self._ca.issue_cert(*hosts, common_name=name)
        files = Files(*(self._folder / f"{stem or name}.{kind}.pem" for kind in ("crt", "key")))
        chain = b"".join(pem.bytes() for pem in made.cert_chain_pems)
        _replace(files.certificate, chain)
        _replace(files.key, made.private_key_pem.bytes())
        return files

    def channel(self, target: str, caller: Files | None) -> grpc.Channel:
        key, certificate = (caller.key, caller.certificate) if caller else (None, None)
        credentials = grpc.ssl_channel_credentials(
            self.ca.read_bytes(), key and key.read_bytes(), certificate and certificate.read_bytes()
        )
        return grpc.secure_channel(target, credentials)


def _replace(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)
