"""The whole path: slices sent to a daemon of its own, until the report is back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from appliance.cli.demonstrating.private_daemon import PrivateDaemon
from calibration.phantom import Section, write_dicom_series
from tests.gpu.check.machine import ROOT
from tests.gpu.check.parts import Choice, Found, Row
from tests.gpu.check.phantoms import SLICES, phantom

#: Seconds from the last slice to the report that are aimed at.
_AIM_S = {Section.THIN: 0.3, Section.THICK: 0.1}
_LEAST_SUSTAINED = 1000.0
_START_S = 1800.0
_LIMIT_S = 900


def time_path(choice: Choice) -> Found:
    """One row a section and rate."""
    config = choice.work / "config.toml"
    config.write_text(
        f'[engine]\nruntime = "{choice.runtime}"\nrepository = "{choice.models}"\n',
        encoding="utf-8",
    )
    found = Found(notes=[_AIMS] if choice.on_gpu else [])
    with PrivateDaemon(choice.work / "state", config) as daemon:
        address = daemon.wait_ready(_START_S)
        for section, aim_s in _AIM_S.items():
            folder = choice.work / section.value
            made = phantom(section, choice.slices or SLICES[section], choice.matrix)
            write_dicom_series(made, folder)
            _send(folder, address, None)  # the first scan of a section warms what is left
            for rate in (None, choice.rate):
                found.rows.append(_row(section.value, rate, folder, address, aim_s, choice.on_gpu))
    return found


_AIMS = (
    f"Aims for an H200: last slice to report {_AIM_S[Section.THIN]} s thin and "
    f"{_AIM_S[Section.THICK]} s thick, {_LEAST_SUSTAINED:g} slices/s thin. Slices/s are "
    "those from the opening of the scan to its report, sender included."
)


def _row(
    section: str, rate: float | None, folder: Path, address: str, aim_s: float, aimed: bool
) -> Row:
    report, seconds = _send(folder, address, rate)
    row: Row = {
        "section": section,
        "slices": report["slices"],
        "rate": "unlimited" if rate is None else rate,
        "precision": report["precision"],
        "last slice to report, s": report["last_slice_to_report_s"],
        "slices/s": report["slices"] / seconds,
        "PO": report["po"],
        "ok": report["state"] == "reported" and not report["slices_refused"],
    }
    if aimed:
        reached = report["last_slice_to_report_s"] <= aim_s
        row["aim reached"] = "yes" if reached else "no"
    return row


def _send(folder: Path, address: str, rate: float | None) -> tuple[dict[str, Any], float]:
    """The report, and the seconds from the opened scan to it as the sender saw them."""
    command = [sys.executable, "-m", "appliance.cli", "send", str(folder)]
    command += ["--to", address, "--json", "--fresh"]
    command += ["--rate", str(rate)] if rate else []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ.copy()
    ) as sender:
        assert sender.stdout is not None
        opened = None
        for line in sender.stdout:
            record = json.loads(line)
            opened = time.perf_counter() if record["event"] == "opened" else opened
            if record["event"] == "report":
                seconds = time.perf_counter() - (opened or time.perf_counter())
                sender.wait(_LIMIT_S)
                return record, seconds
    raise RuntimeError(f"{folder} was sent and no report came back")
