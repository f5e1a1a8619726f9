"""`make soak`: each part, then what it measured beside what was promised; exit code 1 on a miss.

python -m tests.soak [--kills N] [--scans N] [--folder FOLDER] [PART...]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.soak.figures import Choice, Found, load
from tests.soak.kills import kills
from tests.soak.memory import many_scans, one_long_scan
from tests.soak.rates import acknowledgements, consoles
from tests.soak.restart import restart

PARTS: dict[str, Callable[[Choice], Found]] = {
    "acks": acknowledgements,
    "consoles": consoles,
    "restart": restart,
    "long": one_long_scan,
    "memory": many_scans,
    "kills": kills,
}


def main(arguments: list[str]) -> int:
    asked = _asked(arguments)
    choice = Choice(asked.folder, asked.kills, asked.scans)
    choice.folder.mkdir(parents=True, exist_ok=True)
    kept = True
    for name in asked.parts or PARTS:
        part = PARTS[name]
        print(f"{name}: {(part.__doc__ or '').splitlines()[0]}", flush=True)
        before, started = load(), time.monotonic()
        found = part(choice)
        for figure in found.figures:
            print(figure)
        print(f"  {time.monotonic() - started:.0f} s; {before}, after it {load()}", flush=True)
        for fault in found.faults:
            print(f"{name}: {fault}", file=sys.stderr)
        kept = kept and found.kept
    return 0 if kept else 1


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--kills", type=int, default=5000)
    parser.add_argument("--scans", type=int, default=100)
    parser.add_argument("--folder", type=Path, default=Path("build/soak"))
    asked = parser.parse_args(arguments)
    if unknown := [name for name in asked.parts if name not in PARTS]:
        parser.error(f"there is no part {unknown[0]}; there are {', '.join(PARTS)}")
    return asked


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
