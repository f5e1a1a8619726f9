"""`make install` into a folder, and what systemd's own tools say of what lies there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.config import Config, load_config

ROOT = Path(__file__).resolve().parents[2]
UNITS = ("breathhold.service", "breathhold-build-engines.service")
#: The most that `systemd-analyze security` may find exposed, of 10.
EXPOSURE = 2.5
#: The oldest systemd that the units are for.
OLDEST = 252


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not here (Debian: apt install systemd)")
    version = re.match(r"systemd (\d+)", said([found, "--version"])[1])
    if version is None or int(version[1]) < OLDEST:
        pytest.skip(f"{name} is older than {OLDEST}")
    return found


def make(target: str, destination: Path, **variables: str | Path) -> None:
    assignments = [f"{name}={value}" for name, value in variables.items()]
    command = ["make", target, f"DESTDIR={destination}", *assignments]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def said(command: list[str]) -> tuple[int, str]:
    """Exit status and everything that was printed."""
    environment = {**os.environ, "SYSTEMD_COLORS": "0", "SYSTEMD_LOG_TARGET": "console"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root folder with everything, its units pointing to a real breathhold command."""
    root = tmp_path_factory.mktemp("root")
    command = root / "opt" / "breathhold" / "bin" / "breathhold"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m appliance.cli "$@"\n')
    command.chmod(0o755)
    make("install", root, APP=root / "opt" / "breathhold")
    return root


def units(installed: Path) -> list[str]:
    return [
        str(installed / "usr" / "local" / "lib" / "systemd" / "system" / name) for name in UNITS
    ]


def verified(installed: Path) -> tuple[int, list[str]]:
    """Exit status, and the faults of these units; those of the machine's own are not theirs."""
    verify = [tool("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no"]
    status, text = said([*verify, *units(installed)])
    return status, [line for line in text.splitlines() if "breathhold" in line]


def test_the_units_are_clean(installed: Path) -> None:
    assert verified(installed) == (0, [])


def test_a_unit_without_its_program_is_not_called_clean(tmp_path: Path) -> None:
    make("install", tmp_path, APP=tmp_path / "nothing-is-here")
    status, faults = verified(tmp_path)
    assert status != 0
    assert any("nothing-is-here" in fault for fault in faults)


@pytest.mark.parametrize("index", range(len(UNITS)))
def test_the_units_expose_little(installed: Path, index: int) -> None:
    assess = [tool("systemd-analyze"), "security", "--offline=true", "--no-pager"]
    assess += [f"--threshold={round(EXPOSURE * 10)}"]
    status, text = said([*assess, units(installed)[index]])
    assert status == 0, text
    assert "Overall exposure level" in text


def test_the_limit_of_exposure_holds_a_bare_unit_back(tmp_path: Path) -> None:
    bare = tmp_path / "bare.service"
    bare.write_text("[Service]\nExecStart=/bin/true\n")
    assess = [tool("systemd-analyze"), "security", "--offline=true", "--no-pager"]
    status, _ = said([*assess, f"--threshold={round(EXPOSURE * 10)}", str(bare)])
    assert status != 0


def test_nothing_is_forbidden_that_cuda_and_openvino_need(installed: Path) -> None:
    for path in units(installed):
        lines = Path(path).read_text().splitlines()
        settings = {line.partition("=")[0] for line in lines if not line.startswith("#")}
        assert not settings & {"PrivateDevices", "MemoryDenyWriteExecute", "ProcSubset"}
        groups = ("nvidia", "nvidiactl", "nvidia-uvm", "nvidia-caps")
        assert {f"DeviceAllow=char-{group} rw" for group in groups} <= {*lines}


def test_a_reading_process_that_the_kernel_ends_does_not_stop_the_daemon(installed: Path) -> None:
    daemon, _ = units(installed)
    assert "OOMPolicy=continue" in Path(daemon).read_text().splitlines()


@pytest.mark.parametrize("index", range(len(UNITS)))
def test_the_units_call_what_the_command_has(installed: Path, index: int) -> None:
    (start,) = (
        shlex.split(line.removeprefix("ExecStart="))
        for line in Path(units(installed)[index]).read_text().splitlines()
        if line.startswith("ExecStart=")
    )
    program, verb, *words = start
    status, text = said([program, verb, "--help"])
    assert status == 0, text
    assert all(word in text for word in words if word.startswith("--"))


def test_the_users_and_folders_are_made(installed: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes users and folders that belong to them")
    root = shutil.copytree(installed, tmp_path / "root")
    assert said([tool("systemd-sysusers"), f"--root={root}"])[0] == 0
    users = [line.split(":") for line in (root / "etc" / "passwd").read_text().splitlines()]
    (user,) = [fields for fields in users if fields[0] == "breathhold"]
    home, shell = user[5:]
    assert (home, Path(shell).name) == ("/var/lib/breathhold", "nologin")
    assert said([tool("systemd-tmpfiles"), "--create", f"--root={root}"])[0] == 0
    for folder, mode in (("var/lib/breathhold", 0o700), ("var/cache/breathhold", 0o750)):
        status = (root / folder).stat()
        assert (status.st_uid, status.st_mode & 0o7777) == (int(user[2]), mode)
    assert (root / "etc" / "credstore").stat().st_mode & 0o7777 == 0o700


def test_the_configuration_is_the_defaults_and_is_not_overwritten(tmp_path: Path) -> None:
    make("install", tmp_path)
    path = tmp_path / "etc" / "breathhold" / "breathhold.toml"
    assert load_config(path) == Config()
    path.write_text('[server]\nlisten = "127.0.0.1:1"\n')
    make("install", tmp_path)
    assert load_config(path).server.listen == "127.0.0.1:1"


def test_prefix_and_place_of_the_package_are_the_installers_to_choose(tmp_path: Path) -> None:
    make("install", tmp_path, PREFIX="/usr", APP="/srv/breathhold")
    for name in UNITS:
        unit = tmp_path / "usr" / "lib" / "systemd" / "system" / name
        assert "\nExecStart=/srv/breathhold/bin/breathhold " in unit.read_text()
        assert "/opt/" not in unit.read_text()


def test_uninstall_leaves_the_configuration_alone(tmp_path: Path) -> None:
    make("install", tmp_path)
    make("uninstall", tmp_path)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == [tmp_path / "etc" / "breathhold" / "breathhold.toml"]
