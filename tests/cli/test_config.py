from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from appliance.config import Config
from tests.cli.command import Command


def test_show_prints_toml_that_means_the_defaults(command: Command) -> None:
    ran = command("config", "show")
    assert ran.code == 0
    assert Config.model_validate(tomllib.loads(ran.out)) == Config()


def test_show_of_a_file_prints_its_values(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "box.toml"
    file.write_text('[server]\nlisten = "127.0.0.1:6000"\n')
    ran = command("config", "show", file)
    assert tomllib.loads(ran.out)["server"]["listen"] == "127.0.0.1:6000"


def test_devices_are_all_that_serve_or_a_list(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "box.toml"
    file.write_text('[engine]\ndevices = ["gpu0", "gpu1"]\n')
    shown = tomllib.loads(command("config", "show", file).out)
    assert shown["engine"]["devices"] == ["gpu0", "gpu1"]
    assert Config.model_validate(shown).engine.devices == ("gpu0", "gpu1")
    for wrong in ('"gpu0"', "[]", "0"):
        file.write_text(f"[engine]\ndevices = {wrong}\n")
        ran = command("config", "check", file)
        assert ran.code == 1
        assert "engine.devices" in ran.err


def test_check_of_a_good_file(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "box.toml"
    file.write_text("[scan]\nquiet_s = 5\n")
    assert command("config", "check", file).code == 0
    assert command("config", "check", file, "--json").lines == [
        {"event": "config", "file": str(file), "ok": True}
    ]


def test_check_names_the_field_and_the_fault(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "box.toml"
    file.write_text("[scan]\nquiet_s = -5\n")
    ran = command("config", "check", file)
    assert ran.code == 1
    assert "scan.quiet_s" in ran.err
    assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('[storage]\nstate_dir = "/tmp/a\\u0000b"', "a path must not hold a NUL character"),
        ('[engine]\nrepository = "a\\u0000"', "a path must not hold a NUL character"),
        ('[tls]\ncertificate = "\\u0000"\nkey = "k"', "a path must not hold a NUL character"),
        ('[server]\nlisten = "127.0.0.1:99999"', "no port 99999, the last one is 65535"),
        ('[server]\nhttp = "[::1]:65536"', "no port 65536, the last one is 65535"),
        ('[server]\nhttp = "127.0.0.1"', "an address must be HOST:PORT"),
    ],
)
def test_what_no_system_takes_is_refused_before_a_start(
    command: Command, tmp_path: Path, line: str, words: str
) -> None:
    file = tmp_path / "box.toml"
    file.write_text(f"{line}\n")
    ran = command("config", "check", file)
    assert ran.code == 1
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1
