"""A daemon that asks for certificates, and callers of each role."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.access.authority import Authority, Files
from tests.box import Box
from tests.tiny_models import add_lesion_version, describe_lesion_version, write_tiny_repository

ROLES = {
    "console": "CT1",
    "dashboard": "Desk",
    "operator": "Ops",
    "monitor": "Prometheus",
    "nobody": "Stranger",
}


@pytest.fixture(scope="package")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="package")
def server(authority: Authority) -> Files:
    return authority.issue("appliance", "localhost", "127.0.0.1")


@pytest.fixture(scope="package")
def callers(authority: Authority) -> dict[str, Files]:
    named = {role: authority.issue(name) for role, name in ROLES.items()}
    return named | {"other console": authority.issue("CT2")}


@pytest.fixture(scope="package")
def toml(authority: Authority, server: Files) -> str:
    return f"""
[tls]
certificate = "{server.certificate}"
key = "{server.key}"
client_ca = "{authority.ca}"
[access]
consoles = ["CT1", "CT2"]
dashboards = ["Desk"]
operators = ["Ops"]
monitors = ["Prometheus"]
"""


@pytest.fixture(scope="package")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its lesion model can be rolled back."""
    folder = write_tiny_repository(tmp_path_factory.mktemp("repository"))
    add_lesion_version(folder, 2, -600.0)
    describe_lesion_version(folder, 2)
    return folder


@pytest.fixture(scope="package")
def box(repository: Path, toml: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with Box(tmp_path_factory.mktemp("box"), repository, toml) as running:
        yield running
