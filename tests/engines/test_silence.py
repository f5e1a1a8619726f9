"""Nothing that the engines import speaks to the world."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOAD = """
import sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "urllib.Request"):
        print("speaks:", event, arguments, flush=True)

sys.addaudithook(watch)
import calibration.systems.cost, openvino
from engines.runtimes import choose
runtime = choose("openvino")
print("device:", runtime.device())
"""


def test_openvino_tells_nobody_that_it_is_used(tmp_path: Path) -> None:
    """Its usage statistics would go out from within a hospital, and leave files at home."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", LOAD]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("device:"), ran.stdout
    assert not list(home.iterdir())
