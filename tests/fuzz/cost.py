"""What a call costs: run in a process of its own, which prints a line of JSON a case.

python -m tests.fuzz.cost findings NAME...   cases of tests.fuzz.findings
python -m tests.fuzz.cost TARGET FILE...      inputs that fuzzing wrote
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.fuzz import findings

MOST_SECONDS = 0.050
MOST_BYTES = 50_000_000
_TRIES = 5


class Cost(NamedTuple):
    """Seconds of processor time (the least of several tries) and peak of resident bytes."""

    refused: bool
    seconds: float
    bytes: int


def measure(call: Callable[[], bool]) -> Cost:
    """Cost of a call that says whether it refused; the memory is that of the first try."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = _resident("VmRSS")
    refused = call()
    peak = _resident("VmHWM") - before
    seconds = []
    for _ in range(_TRIES):
        started = time.process_time()
        call()
        seconds.append(time.process_time() - started)
        if seconds[-1] <= MOST_SECONDS:
            break
    return Cost(refused, min(seconds), peak)


def _resident(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def main(kind: str, names: list[str]) -> None:
    findings.refuses_dicom(findings.dicom.ct_file())()  # imports and caches
    for name in names:
        match kind:
            case "findings" if name in findings.DICOM:
                call = findings.refuses_dicom(findings.DICOM[name]())
            case "findings":
                call = findings.refuses_raw(findings.RAW[name]())
            case _:
                from tests.fuzz.targets import TARGETS  # takes seconds

                data, run = Path(name).read_bytes(), TARGETS[kind].run
                call = lambda run=run, data=data: not run(data)  # noqa: E731
        print(json.dumps([name, *measure(call)]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
