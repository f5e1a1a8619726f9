"""The engines, built by ``breathhold build``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence

from engines.artefacts import ModelError
from engines.models import load_repository
from engines.runtimes import RUNTIMES, servable
from engines.runtimes.tensorrt.flavours import CURRENT
from tests.gpu.check.machine import ROOT
from tests.gpu.check.parts import Choice, Found, Row

TARGET = CURRENT
_PRECISIONS = ("fp32", "fp16", "int8")
_LIMIT_S = 3600


def build_engines(choice: Choice) -> Found:
    """One row a plan; all that may be served are built anew."""
    found = Found()
    for precision in _PRECISIONS:
        names = list(_having(precision, choice, found.notes))
        if names:
            _build(names, precision, choice, found)
    return found


def _having(precision: str, choice: Choice, notes: list[str]) -> Iterator[str]:
    """The models that have a precision."""
    assert choice.runtime is not None
    for spec in load_repository(choice.models):
        try:
            servable(spec, RUNTIMES[choice.runtime], precision)
        except ModelError as error:
            notes.append(f"{spec.name} {precision} is not built: {error}")
        else:
            yield spec.name


def _build(names: Sequence[str], precision: str, choice: Choice, found: Found) -> None:
    assert choice.runtime is not None
    command = [sys.executable, "-m", "appliance.cli", "build", *names, "--again", "--json"]
    command += ["--precision", precision, "--target", TARGET]
    ran = subprocess.run(
        [*command, "--runtime", choice.runtime, "--models", str(choice.models)],
        cwd=ROOT,
        env=os.environ.copy(),
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_S,
    )
    found.rows += [_row(json.loads(line)) for line in ran.stdout.splitlines()]
    if ran.returncode:
        found.notes.append(ran.stderr.strip().splitlines()[-1])
    if ran.returncode and not ran.stdout:
        found.rows.append({"precision": precision, "ok": False})


def _row(record: dict[str, object]) -> Row:
    return {
        "model": record["model"],
        "precision": record["precision"],
        "target": record.get("target"),
        "seconds": record.get("seconds"),
        "MB": round(int(str(record["bytes"])) / 1e6, 1) if "bytes" in record else None,
        "ok": record["event"] == "plan",
    }
