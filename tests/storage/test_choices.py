"""The file of the versions that an operator chose."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from appliance.cli.main import main
from appliance.storage.choices import FORMAT_VERSION, Choice, load_choices, save_choices
from appliance.storage.errors import ChoicesError

MODELS = Path("/site/models")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "models.json"


def test_what_is_kept_is_found_again(path: Path) -> None:
    assert load_choices(path, MODELS) == {}
    choices = {"lesion": Choice(3, (1, 2)), "lung": Choice(None, (4,))}
    save_choices(path, MODELS, choices)
    assert load_choices(path, MODELS) == choices


def test_versions_of_another_repository_do_not_count(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_choices(path, MODELS, {"lesion": Choice(2)})
    assert load_choices(path, Path("/shipped")) == {}
    assert "/site/models" in caplog.text
    assert load_choices(path, MODELS) == {"lesion": Choice(2)}


def test_back_and_back_again_does_not_bring_back_what_was_left() -> None:
    choice = Choice().moved_on(1, 2).moved_on(2, 3)
    assert choice == Choice(3, (1, 2))
    choice = choice.moved_back(2)
    assert choice == Choice(2, (1,))
    assert choice.moved_back(1) == Choice(1, ())
    assert choice.moved_on(2, 3) == Choice(3, (1, 2))
    assert Choice(3, (1, 2)).moved_on(3, 1) == Choice(1, (2, 3))


def test_what_is_remembered_is_bounded() -> None:
    choice = Choice()
    for version in range(1, 100):
        choice = choice.moved_on(version, version + 1)
    assert choice.before[-1] == 99
    assert len(choice.before) == 16


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"format": 1}',
        b'{"format": 1, "models": {"a": {"version": "x"}}}',
        b'{"format": 1, "models": {}}',
    ],
)
def test_a_damaged_file_is_set_aside(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(content)
    assert load_choices(path, MODELS) == {}
    assert not path.exists()
    assert path.with_name("models.json.damaged-1").read_bytes() == content
    assert "models.json is damaged" in caplog.text


def test_a_newer_file_is_refused(path: Path) -> None:
    path.write_text(json.dumps({"format": FORMAT_VERSION + 1, "models": {}}))
    with pytest.raises(ChoicesError, match="newer Breathhold"):
        load_choices(path, MODELS)
    assert path.exists()


def test_a_daemon_does_not_start_on_a_newer_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models.json").write_text(json.dumps({"format": 99, "models": {}}))
    address = ("--listen", "127.0.0.1:0", "--http", "127.0.0.1:0")
    assert main(["serve", *address, "--state", str(tmp_path)]) == 1
    assert "newer Breathhold (version 99" in capsys.readouterr().err


def test_what_cannot_be_kept_is_said_and_leaves_the_old(path: Path) -> None:
    save_choices(path, MODELS, {"lesion": Choice(1)})
    file = path.with_name("file")
    file.touch()
    with pytest.raises(ChoicesError):
        save_choices(file / "models.json", MODELS, {"lesion": Choice(2)})
    assert load_choices(path, MODELS) == {"lesion": Choice(1)}
