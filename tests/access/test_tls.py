"""TLS files: read, refused, and read again when they change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.access.tls import TlsFiles
from appliance.config import Config, ConfigError, TlsConfig, is_loopback, load_config
from tests.access.authority import Authority


def config_of(authority: Authority, stem: str = "box") -> TlsConfig:
    files = authority.issue("appliance", "localhost", stem=stem)
    return TlsConfig(certificate=files.certificate, key=files.key, client_ca=authority.ca)


def test_files_are_read_again_when_they_change(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = TlsFiles(config_of(authority))
    first = files.current
    assert files.current is first
    config_of(authority)
    assert files.current.certificate != first.certificate


def test_a_half_done_rotation_leaves_the_old_pair(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    files = TlsFiles(config_of(authority))
    first = files.current
    other = authority.issue("appliance", "localhost", stem="other")
    other.certificate.replace(tmp_path / "box.crt.pem")
    assert files.current is first
    assert "not this certificate's" in caplog.text
    other.key.replace(tmp_path / "box.key.pem")
    assert files.current.certificate != first.certificate


def test_a_file_that_vanishes_leaves_the_old_one(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = TlsFiles(config_of(authority))
    first = files.current
    (tmp_path / "box.key.pem").unlink()
    assert files.current is first


@pytest.mark.parametrize(
    ("spoilt", "content", "words"),
    [
        ("crt", b"nonsense", "no usable PEM"),
        ("key", b"", "no usable PEM"),
        ("crt", None, "missing"),
    ],
)
def test_unusable_files_are_named(
    tmp_path: Path, spoilt: str, content: bytes | None, words: str
) -> None:
    config = config_of(Authority(tmp_path))
    path = tmp_path / f"box.{spoilt}.pem"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        TlsFiles(config)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("address", "there"),
    [
        ("127.0.0.1:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("127.8.0.1:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.1.2.3:1", False),
        ("box.hospital:1", False),
    ],
)
def test_what_is_loopback(address: str, there: bool) -> None:
    assert is_loopback(address) is there


def written(folder: Path, text: str) -> Config:
    file = folder / "config.toml"
    file.write_text(text)
    return load_config(file)


OPEN = '[server]\nlisten = "0.0.0.0:5"\n'
SERVED = '[tls]\ncertificate = "a"\nkey = "b"\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OPEN, "access.unencrypted"),
        ('[server]\nhttp = "10.0.0.1:5"\n', "access.unencrypted"),
        (OPEN + SERVED, "access.unidentified"),
        (OPEN + "[access]\nunencrypted = true\n", "access.unidentified"),
        ('[tls]\ncertificate = "a"\n', "belong together"),
        ('[tls]\nclient_ca = "a"\n', "needs a certificate"),
        ('[access]\nconsoles = [""]\n', "access.consoles"),
    ],
)
def test_openness_must_be_said_in_so_many_words(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        written(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        OPEN + "[access]\nunencrypted = true\nunidentified = true\n",
        OPEN + SERVED + 'client_ca = "c"\n',
        OPEN + SERVED + "[access]\nunidentified = true\n",
    ],
)
def test_openness_that_was_said_is_taken(tmp_path: Path, text: str) -> None:
    assert written(tmp_path, text)


def test_a_path_may_name_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/keys")
    text = '[tls]\ncertificate = "$CREDENTIALS_DIRECTORY/a"\nkey = "b"\n'
    assert written(tmp_path, text).tls.certificate == Path("/run/keys/a")


def test_a_key_others_own_is_refused_when_it_cannot_be_read(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads every file")
    config = config_of(Authority(tmp_path))
    (tmp_path / "box.key.pem").chmod(0)
    with pytest.raises(ConfigError, match="cannot be read"):
        TlsFiles(config)
