"""A model repository and a running daemon for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.box import Box
from tests.forked import ForkedBox
from tests.tiny_models import write_tiny_repository


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def box(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with ForkedBox(tmp_path_factory.mktemp("box"), repository) as running:
        yield running
