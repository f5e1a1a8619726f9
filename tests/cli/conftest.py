"""A running daemon with tiny models, and scans to send to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.box import Box
from tests.cli.command import Command
from tests.made_series import write_series
from tests.tiny_models import write_tiny_repository


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, run in this process."""
    monkeypatch.delenv("BREATHHOLD_DEBUG", raising=False)
    monkeypatch.delenv("BREATHHOLD_TO", raising=False)
    return Command(capsys)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="session")
def box(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with Box(tmp_path_factory.mktemp("box"), repository) as running:
        yield running


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_series(tmp_path_factory.mktemp("series"))
