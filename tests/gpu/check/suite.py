"""The GPU's tests, by pytest."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from tests.gpu.check.machine import ROOT
from tests.gpu.check.parts import Choice, Found, Row

#: All that is skipped without a GPU. The check's own test would start the check again.
TESTS = ("tests/gpu", "tests/engines/runtimes/test_tensorrt_gpu.py")
_BUT = "--ignore=tests/gpu/test_check.py"
_LIMIT_S = 3600


def run_tests(choice: Choice) -> Found:
    """One row a file: how many passed, failed, skipped, and why what was skipped was."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *TESTS, _BUT]
        ran = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_LIMIT_S
        )
        if not report.exists():
            raise RuntimeError(f"pytest did not run: {(ran.stderr or ran.stdout)[-300:]}")
        return read_report(report)


def read_report(path: Path) -> Found:
    """The rows out of pytest's JUnit report."""
    counts: dict[str, dict[str, int]] = {}
    notes: set[str] = set()
    for case in ElementTree.parse(path).iter("testcase"):
        file = re.sub(r"\.[A-Z]\w*$", "", case.get("classname", "")).replace(".", "/")
        tally = counts.setdefault(file, {"passed": 0, "failed": 0, "skipped": 0})
        kind = next((child.tag for child in case if child.tag in _STATES), "passed")
        tally[_STATES.get(kind, "passed")] += 1
        for skipped in case.iter("skipped"):
            notes.add(f"skipped: {skipped.get('message')}")
        for failed in (*case.iter("failure"), *case.iter("error")):
            first = (failed.get("message") or "").splitlines()[:1]
            notes.add(f"failed: {case.get('name')}: {''.join(first)}")
    rows: list[Row] = [
        {"tests": file, **tally, "ok": not tally["failed"]} for file, tally in counts.items()
    ]
    return Found(rows, sorted(notes))


_STATES = {"failure": "failed", "error": "failed", "skipped": "skipped"}
