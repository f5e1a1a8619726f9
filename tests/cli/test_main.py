from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import Command

VERBS = ("serve", "demo", "send", "watch", "report", "phantom", "doctor", "config")


def test_help_names_every_verb(command: Command) -> None:
    ran = command("--help")
    assert ran.code == 0
    for verb in VERBS:
        assert verb in ran.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(command: Command, verb: str) -> None:
    ran = command(verb, "--help")
    assert ran.code == 0
    assert ran.out


def test_help_loads_nothing_heavy() -> None:
    heavy = {"grpc", "numpy", "pydicom", "openvino", "nvidia", "pydantic", "nibabel"}
    code = f"import sys, appliance.cli.main; print(*({heavy} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""


@pytest.mark.parametrize(
    "arguments",
    [["sent"], ["send"], ["send", "x", "--rate", "fast"], ["send", "x", "--priority", "high"],
     ["report", "abc", "--masks", "x"], ["serve", "--log-level", "loud"]],
)  # fmt: skip
def test_wrong_use_is_one_sentence_and_code_2(command: Command, arguments: list[str]) -> None:
    ran = command(*arguments)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.startswith("breathhold: ")
    assert len(ran.err.splitlines()) == 1


def test_an_unexpected_fault_is_one_sentence_too(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(path: Path | None) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("appliance.config.load_config", broken)
    ran = command("config", "show")
    assert ran.code == 1
    assert "ZeroDivisionError: of all things" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_debug_shows_where_it_was_raised(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BREATHHOLD_DEBUG", "1")
    with pytest.raises(Exception, match="No such file"):
        command("config", "check", tmp_path / "none.toml")


def test_ctrl_c_is_one_word(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: Path | None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("appliance.config.load_config", interrupted)
    ran = command("config", "show")
    assert (ran.code, ran.err) == (1, "breathhold: Stopped.\n")


def test_the_reader_of_a_pipe_may_go_away() -> None:
    script = f"{sys.executable} -m appliance.cli config show | head -1; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stderr == ""
