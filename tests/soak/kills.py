"""Thousands of kills, as the tests do hundreds; goes on where it was broken off.

Each seed that was survived is a line of `kills.jsonl`. Only lines of the same sources count: of
changed ones nothing is known yet.
"""

from __future__ import annotations

import hashlib
import json
import time
import traceback
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tests.box import Answers
from tests.faults import killing
from tests.soak.figures import Choice, Figure, Found, load
from tests.tiny_models import write_tiny_repository

_ROOT = Path(__file__).resolve().parents[2]
_EVERY_S = 60.0
#: From so many kills on each place must have been hit.
_ENOUGH = 200


def kills(choice: Choice) -> Found:
    """Of seeds from 0 up, as many side by side as there are cores."""
    record = _Record(choice.folder / "kills.jsonl")
    missing = record.missing(-(-choice.kills // killing.KILLS_A_SEED))
    print(f"  {record.total('kills'):.0f} kills were survived before", flush=True)
    broken: list[BaseException] = []
    with choice.room() as room:
        repository = write_tiny_repository(room / "models")
        undisturbed = killing.undisturbed_run(room / "undisturbed", repository)
        with ThreadPoolExecutor(killing.AT_ONCE) as threads:
            running = {
                threads.submit(_survive, room / str(seed), repository, undisturbed, seed): seed
                for seed in missing
            }
            try:
                _collect(running, record, broken)
            finally:
                threads.shutdown(cancel_futures=True)
    return Found(_figures(record, broken), [_words(error) for error in broken])


def _survive(state: Path, repository: Path, undisturbed: Answers, seed: int) -> dict[str, Any]:
    started = time.monotonic()
    tally = killing.survive(state, repository, undisturbed, seed)
    return {
        "seed": seed,
        "seconds": round(time.monotonic() - started, 1),
        "kills": tally.kills,
        "scans": tally.scans,
        "acknowledged": tally.acknowledged,
        "places": tally.places,
    }


def _collect(
    running: dict[Future[dict[str, Any]], int], record: _Record, broken: list[BaseException]
) -> None:
    said = time.monotonic()
    for future in as_completed(running):
        if error := future.exception():
            error.add_note(f"kills of seed {running[future]}")
            broken.append(error)
        else:
            record.add(future.result())
        if time.monotonic() - said > _EVERY_S:
            said = time.monotonic()
            print(f"  {record.total('kills'):.0f} kills, {load()}", flush=True)


class _Record:
    """The seeds that these sources survived."""

    def __init__(self, path: Path) -> None:
        self._path, self._sources = path, _sources()
        lines = path.read_text().splitlines() if path.exists() else []
        entries = [json.loads(line) for line in lines]
        self._seeds = {one["seed"]: one for one in entries if one["sources"] == self._sources}

    def missing(self, seeds: int) -> list[int]:
        return [seed for seed in range(seeds) if seed not in self._seeds]

    def add(self, entry: dict[str, Any]) -> None:
        self._seeds[entry["seed"]] = entry
        with self._path.open("a") as file:
            file.write(f"{json.dumps(entry | {'sources': self._sources})}\n")

    def total(self, name: str) -> float:
        return sum(one[name] for one in self._seeds.values())

    def places(self) -> Counter[str]:
        return sum((Counter(one["places"]) for one in self._seeds.values()), Counter[str]())


def _sources() -> str:
    """What all code of the appliance and its engines comes to, and that of the kills."""
    digest = hashlib.sha256()
    folders = ("appliance", "engines", "protos", "tests/faults")
    for path in sorted(path for name in folders for path in (_ROOT / name).rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _figures(record: _Record, broken: list[BaseException]) -> list[Figure]:
    lost = sum(isinstance(error, killing.SliceLostError) for error in broken)
    changed = sum(isinstance(error, killing.ReportChangedError) for error in broken)
    killed = record.total("kills")
    missed = killing.PLACES.keys() - record.places().keys()
    each = record.total("seconds") / max(killed, 1) / killing.AT_ONCE
    return [
        Figure("kills", killed, ""),
        *(Figure(f"at {place}", hits, "") for place, hits in sorted(record.places().items())),
        Figure("places that no kill hit", len(missed), "", 0 if killed >= _ENOUGH else None),
        Figure("a kill, of the whole machine's time", each, "s"),
        Figure("scans reported", record.total("scans"), ""),
        Figure("slices acknowledged", record.total("acknowledged"), ""),
        Figure("acknowledged slices lost", lost, "", 0),
        Figure("reports changed", changed, "", 0),
    ]


def _words(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
