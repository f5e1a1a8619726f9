"""The wire contract: linted, and its committed stubs are those of its sources."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_committed_stubs_are_those_of_the_sources(tmp_path: Path) -> None:
    result = run(sys.executable, "protos/generate.py", "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    fresh = {path.name: path for path in (tmp_path / "breathhold" / "v1").iterdir()}
    folder = ROOT / "protos" / "breathhold" / "v1"
    committed = {path.name: path for path in folder.glob("*_pb2*")}
    assert fresh.keys() == committed.keys()
    stale = [name for name in fresh if fresh[name].read_text() != committed[name].read_text()]
    assert not stale, "run `make protos`"


def test_buf_finds_nothing_to_say() -> None:
    result = run(BIN / "buf", "lint", "protos")
    assert result.returncode == 0, result.stdout + result.stderr
