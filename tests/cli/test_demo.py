from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from appliance.cli.demonstrating.private_daemon import PrivateDaemon
from calibration.phantom import Phantom
from calibration.phantom.truth import truth_of
from tests.cli.command import Command
from tests.made_series import made_phantom


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
    def quickly(*_: object, **__: object) -> Phantom:
        return made_phantom()

    monkeypatch.setattr("appliance.cli.demonstrating.demonstration.make_phantom", quickly)
    ran = command("demo", "--rate", 100, "--config", config)
    assert ran.code == 0
    row = next(line for line in ran.out.splitlines() if "PO, opacity" in line)
    measured, truth = (float(number) for number in re.findall(r"([0-9.]+) %", row))
    expected, _ = truth_of(made_phantom())
    assert truth == pytest.approx(expected, abs=0.05)
    assert 0 < measured < 100


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


def test_sigterm_stops_the_daemon_too(config: Path, series: Path) -> None:
    words = [sys.executable, "-m", "appliance.cli", "demo", "--scan", str(series), "--rate", "2"]
    demo = subprocess.Popen(
        [*words, "--config", str(config)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if "received" in line:
            break
    (daemon,) = psutil.Process(demo.pid).children()
    demo.terminate()
    _, complaint = demo.communicate(timeout=30)
    assert demo.returncode == 1
    assert complaint == "breathhold: Stopped.\n"
    assert not daemon.is_running()
