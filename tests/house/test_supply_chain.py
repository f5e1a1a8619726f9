"""What is installed: locked by hash, and under terms that somebody has agreed to."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("lock", ["base.txt", "dev.txt", "supply.txt", "fuzz.txt"])
def test_every_package_is_locked_by_hash(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    entries = [entry for entry in re.split(r"\n(?=\S)", text) if entry.strip()]
    assert entries
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==\S+( ;.*)? \\\n +--hash=sha256:[0-9a-f]{64}", entry), (
            entry
        )


def test_every_licence_of_the_base_is_agreed_to() -> None:
    script = ROOT / "requirements" / "licences.py"
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "numpy" in ran.stdout


def test_a_licence_nobody_agreed_to_is_refused(tmp_path: Path) -> None:
    """Hypothesis is under MPL-2.0 and no part of the base."""
    lock = tmp_path / "lock.txt"
    lock.write_text("numpy==1\nhypothesis==1\n")
    script = ROOT / "requirements" / "licences.py"
    ran = subprocess.run([sys.executable, script, str(lock)], capture_output=True, text=True)
    assert ran.returncode == 1
    assert "hypothesis" in ran.stderr
    assert "numpy" not in ran.stderr
