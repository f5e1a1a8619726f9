"""The example client, which knows nothing but the .proto files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

from tests.box import Box
from tests.made_scans import plane

PROTOS = Path(__file__).resolve().parents[2] / "protos"
EXAMPLE = PROTOS / "example_console.py"


def run(*arguments: object) -> str:
    words = [sys.executable, str(EXAMPLE), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(PROTOS)}
    ran = subprocess.run(
        words, capture_output=True, text=True, env=environment, cwd="/", check=True, timeout=60
    )
    return ran.stdout


def test_it_is_short_and_uses_only_the_contract() -> None:
    lines = EXAMPLE.read_text().splitlines()
    assert len(lines) <= 60
    imported = {line.split()[1].split(".")[0] for line in lines if re.match("(import|from) ", line)}
    assert imported - set(sys.stdlib_module_names) == {"grpc", "breathhold"}


def test_a_generated_ramp_is_reported(box: Box) -> None:
    out = run(box.grpc)
    assert "slices: 24" in out
    assert "precision" in out


def test_raw_files_are_scored_and_their_masks_read(box: Box, tmp_path: Path) -> None:
    for index in range(24):
        pixels = plane(index, 24).astype("<i2")
        (tmp_path / f"{index:03d}.raw").write_bytes(pixels.tobytes())
    out = run(box.grpc, tmp_path, 64, 64, 5, 5, 5)
    assert re.search(r"running: PO \d+\.\d %", out)
    lesion_ml = float(re.search(r"lesion_ml: ([0-9.]+)", out)[1])  # type: ignore[index]
    pixels_told, masks = map(int, re.search(r"(\d+) pixels of lesion in (\d+) masks", out).groups())  # type: ignore[union-attr]
    assert masks == 24
    assert np.isclose(pixels_told * 5 * 5 * 5 / 1000, lesion_ml)
