"""A model repository for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny_models import write_tiny_repository


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_repository(tmp_path_factory.mktemp("repository"))
