from __future__ import annotations

import hashlib
import hmac
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from appliance.followup.patients import SALT_NAME, PatientKeys, SaltError, load_salt


def test_the_salt_is_made_once_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "state" / SALT_NAME
    salt = load_salt(path)
    assert len(salt) == 32
    assert load_salt(path) == salt
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == [SALT_NAME]
    assert load_salt(tmp_path / "other" / SALT_NAME) != salt


def test_those_that_come_together_share_one_salt(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        salts = list(pool.map(load_salt, [tmp_path / SALT_NAME] * 8))
    assert len({*salts}) == 1


def test_a_salt_that_cannot_serve_is_named(tmp_path: Path) -> None:
    path = tmp_path / SALT_NAME
    path.write_bytes(b"too short")
    with pytest.raises(SaltError, match=r"has 9 bytes and needs 16: remove it"):
        load_salt(path)
    with pytest.raises(SaltError, match="Is a directory"):
        load_salt(tmp_path)
    with pytest.raises(SaltError, match="File exists"):
        load_salt(path / SALT_NAME)


def test_a_key_is_a_keyed_hash_of_issuer_and_id() -> None:
    salt = os.urandom(32)
    expected = hmac.new(salt, b"6:CLINIC0042", hashlib.sha256).hexdigest()[:32]
    assert PatientKeys(salt).key("0042", "CLINIC") == expected
    assert PatientKeys(salt).key(" 0042 ", "CLINIC ") == expected


def test_patients_are_told_apart() -> None:
    keys = PatientKeys(bytes(32))
    same = {keys.key("42"), PatientKeys(bytes(32)).key("42")}
    others = {
        keys.key("0042"),
        keys.key("42", "A"),
        keys.key("2", "A4"),
        keys.key("4", "A2"),
        PatientKeys(bytes(31) + b"\1").key("42"),
        keys.key("\u00c4"),
    }
    assert len(same) == 1
    assert len(same | others) == 7


def test_nobody_has_no_key() -> None:
    assert PatientKeys(bytes(32)).key("  ", "CLINIC") == ""
