"""The engines, built by ``breathhold build``."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.gpu.check.machine import ROOT
from tests.gpu.check.parts import Choice, Found, Row

_LIMIT_S = 3600


def build_engines(choice: Choice) -> Found:
    """One row a plan; built anew."""
    assert choice.runtime is not None
    command = [sys.executable, "-m", "appliance.cli", "build", "--again", "--json"]
    precisions = [word for one in ("fp32", "fp16", "int8") for word in ("--precision", one)]
    ran = subprocess.run(
        [*command, "--runtime", choice.runtime, "--models", str(choice.models), *precisions],
        cwd=ROOT,
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_S,
    )
    rows = [_row(json.loads(line)) for line in ran.stdout.splitlines() if line.startswith("{")]
    notes = [] if ran.returncode == 0 else [ran.stderr.strip().splitlines()[-1]]
    return Found(rows, notes)


def _row(record: dict[str, object]) -> Row:
    return {
        "model": record["model"],
        "precision": record["precision"],
        "target": record.get("target"),
        "seconds": record.get("seconds"),
        "MB": round(int(str(record["bytes"])) / 1e6, 1) if "bytes" in record else None,
        "ok": record["event"] == "plan",
    }
