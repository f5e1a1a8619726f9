"""`make fuzz`: every target for its share of the time, then a table; exit code 1 on a finding.

python -m tests.fuzz SECONDS [FOLDER] [TARGET...]
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.cost import MOST_BYTES, MOST_SECONDS, Cost
from tests.fuzz.seeds import write_phantom
from tests.fuzz.targets import TARGETS

#: Leaves time for starting and for the closer look at what seemed slow.
_SHARE = 0.95
_LEAST_S = 2
_GRACE_S = 120
_MOST_RESTARTS = 50
_COST_S = 600


class Outcome(NamedTuple):
    """What fuzzing of one target came to."""

    name: str
    executions: int
    seconds: float
    crashes: list[Path]
    dear: list[str]


def fuzz(name: str, folder: Path, seconds: float) -> Outcome:
    """Fuzz one target, started anew where an input ended its process."""
    _begin_anew(folder)
    started = time.monotonic()
    with (folder / "log").open("w") as log:
        for _ in range(_MOST_RESTARTS):
            left = seconds - (time.monotonic() - started)
            if left < _LEAST_S:
                break
            command = [sys.executable, "-m", "tests.fuzz.one", name, str(folder), str(int(left))]
            try:
                patience = left + _GRACE_S
                subprocess.run(command, stdout=log, stderr=log, timeout=patience, check=False)
            except subprocess.TimeoutExpired:
                print(f"{name} took {patience:.0f} s: see {folder / 'log'}", file=sys.stderr)
    took = time.monotonic() - started
    count = folder / "executions"
    executions = int.from_bytes(count.read_bytes(), "little") if count.exists() else 0
    crashes = sorted(path for path in folder.glob("crash-*") if path.suffix != ".txt")
    return Outcome(name, executions, took, crashes, list(_dear(name, folder)))


def _begin_anew(folder: Path) -> None:
    """What was found before is tried again, first."""
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    for found in (*folder.glob("crash-*"), *folder.glob("suspect-*")):
        if found.suffix == ".txt":
            found.unlink()
        else:
            found.rename(folder / "corpus" / found.name)
    (folder / "executions").unlink(missing_ok=True)


def _dear(name: str, folder: Path) -> Iterator[str]:
    """What is refused and costs too much also where nothing is slowed down to be watched."""
    suspects = [str(path) for path in sorted(folder.glob("suspect-*"))]
    if not suspects:
        return
    command = [sys.executable, "-m", "tests.fuzz.cost", name, *suspects]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=_COST_S, check=False)
    if ran.returncode:
        yield f"{folder}: {ran.stderr.strip()[-200:]}"
    for line in ran.stdout.splitlines():
        path, *rest = json.loads(line)
        cost = Cost(*rest)
        if cost.refused and (cost.seconds > MOST_SECONDS or cost.bytes > MOST_BYTES):
            yield f"{path}: {cost.seconds * 1e3:.0f} ms, {cost.bytes / 1e6:.0f} MB"
        else:
            Path(path).unlink()


def shares(seconds: float, names: list[str], at_once: int) -> dict[str, float]:
    """Seconds of each target, so that all are done in time where so many run at once."""
    loads = [0] * at_once
    for name in sorted(names, key=lambda name: -TARGETS[name].weight):
        loads[loads.index(min(loads))] += TARGETS[name].weight
    unit = seconds * _SHARE / max(loads)
    return {name: unit * TARGETS[name].weight for name in names}


def main(seconds: float, folder: Path, names: list[str]) -> int:
    write_phantom()
    at_once = min(len(os.sched_getaffinity(0)), len(names))
    share = shares(seconds, names, at_once)
    heaviest_first = sorted(names, key=lambda name: -TARGETS[name].weight)
    with ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(fuzz, name, folder / name, share[name]) for name in heaviest_first]
        outcomes = [one.result() for one in running]
    print(f"{'target':8} {'executions':>12} {'seconds':>8} {'a second':>9} {'findings':>9}")
    for one in outcomes:
        findings = len(one.crashes) + len(one.dear)
        rate = one.executions / max(one.seconds, 1)
        print(f"{one.name:8} {one.executions:12,} {one.seconds:8.0f} {rate:9,.0f} {findings:9}")
    print(f"{'total':8} {sum(one.executions for one in outcomes):12,}")
    crashes = itertools.chain.from_iterable(one.crashes for one in outcomes)
    found = [*map(str, crashes), *itertools.chain.from_iterable(one.dear for one in outcomes)]
    idle = [one.name for one in outcomes if not one.executions]
    for line in (*found, *(f"{name} did not run: see {folder / name / 'log'}" for name in idle)):
        print(line, file=sys.stderr)
    return 1 if found or idle else 0


if __name__ == "__main__":
    _, seconds, *rest = sys.argv
    place = Path(rest[0] if rest else "build/fuzz")
    sys.exit(main(float(seconds), place, rest[1:] or list(TARGETS)))
