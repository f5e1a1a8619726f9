from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from appliance.cli.private_daemon import PrivateDaemon
from tests.cli.command import Command


@pytest.fixture
def config(repository: Path, tmp_path: Path) -> Path:
    file = tmp_path / "demo.toml"
    file.write_text(f'[engine]\nrepository = "{repository}"\n')
    return file


def daemons() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "serve" in child.cmdline()]


def test_demo_of_a_folder_ends_with_a_report(
    command: Command, config: Path, series: Path, tmp_path: Path
) -> None:
    before = daemons()
    options = ("--scan", series, "--rate", 100, "--config", config, "--json")
    ran = command("demo", *options, "--keep", tmp_path / "kept")
    assert ran.code == 0
    assert ran.lines[-1]["event"] == "report"
    assert ran.lines[-1]["slices"] == 24
    assert (tmp_path / "kept" / "masks" / "lesion.nii.gz").is_file()
    assert daemons() == before


def test_demo_shows_the_phantoms_truth_beside_the_scores(
    command: Command, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.cli.demonstration._SLICES", {"thick": 12})
    ran = command("demo", "--rate", 100, "--config", config)
    assert ran.code == 0
    row = next(line for line in ran.out.splitlines() if "PO, opacity" in line)
    assert row.count("%") == 2


def test_a_daemon_that_does_not_start_is_one_sentence(
    command: Command, series: Path, tmp_path: Path
) -> None:
    config = tmp_path / "demo.toml"
    config.write_text(f'[engine]\nrepository = "{tmp_path}"\n')
    ran = command("demo", "--scan", series, "--config", config)
    assert ran.code == 1
    assert "The daemon did not start" in ran.err
    assert "no model found" in ran.err


def test_the_daemon_is_stopped_whatever_happens(tmp_path: Path, config: Path) -> None:
    started: list[psutil.Process] = []

    def fail() -> None:
        with PrivateDaemon(tmp_path / "state", config) as daemon:
            daemon.wait_ready()
            started.extend(daemons())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    (process,) = [one for one in started if not one.is_running()]
    assert process not in daemons()
