"""How long a slab takes, measured where it will be inferred, and kept beside the plans."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from engines.folder import replace_file
from engines.models import ModelSpec
from engines.runtimes import Executable
from engines.stopping import check_stop
from engines.warm_up import warm_up_input

logger = logging.getLogger(__name__)

#: Slabs of a call: what the daemon gives at once when much waits; blocks come one by one.
_SLABS = {"neighbours": 8, "block": 1}
#: Calls before it counts, until caches are warm and clocks are up: so many, and so long, s.
_WARM_CALLS, _WARM_S = 3, 0.2
#: Calls that count, of each: at least, at most, and none of them after so long, s.
_LEAST_CALLS, _MOST_CALLS, _ENOUGH_S = 5, 51, 2.0


def time_executables(executables: Mapping[str, Executable], spec: ModelSpec) -> dict[str, float]:
    """Seconds that a slab takes in each of some executables of a model.

    They take turns, so that whatever else the machine does slows all of them.

    Returns
    -------
    By name, the median call's share for one slab, s.

    Raises
    ------
    DeviceError
        When the device fails.
    LoadStoppedError
        When this thread is to load no further.
    """
    slabs = np.repeat(warm_up_input(spec), _SLABS[spec.form], axis=0)
    for executable in executables.values():
        _warm(executable, slabs)
    taken: dict[str, list[float]] = {name: [] for name in executables}
    enough = time.perf_counter() + _ENOUGH_S
    for turn in range(_MOST_CALLS):
        if turn >= _LEAST_CALLS and time.perf_counter() > enough:
            break
        check_stop()
        for name, executable in executables.items():
            started = time.perf_counter()
            executable.run(slabs)
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(calls) / len(slabs) for name, calls in taken.items()}


def _warm(executable: Executable, slabs: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    until = time.perf_counter() + _WARM_S
    calls = 0
    while calls < _WARM_CALLS or time.perf_counter() < until:
        check_stop()
        executable.run(slabs)
        calls += 1


@dataclass(frozen=True, slots=True)
class TimingKey:
    """All that a timing depends on.

    Parameters
    ----------
    model
        Name of the model.
    files
        Precision and SHA-256 of each file that took part.
    device
        In words, with the runtime's version.
    slab
        Planes, rows, columns.
    recipe
        How this project times; raised when that changes.
    """

    model: str
    files: tuple[tuple[str, str], ...]
    device: str
    slab: tuple[int, int, int]
    recipe: int = 1

    @property
    def text(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


class TimingStore:
    """What was timed on this box, so that a restart chooses as before.

    Parameters
    ----------
    folder
        Where plans are kept, too; made when something is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: TimingKey) -> Path:
        digest = hashlib.sha256(key.text.encode()).hexdigest()[:16]
        return self.folder / f"{key.model}.{digest}.timing.json"

    def find(self, key: TimingKey) -> dict[str, float] | None:
        """Seconds a slab takes, by precision; None when it was not timed or cannot be read."""
        path = self.path(key)
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            seconds = {name: float(record["seconds_per_slab"][name]) for name, _ in key.files}
            known: bool = record["key"] == json.loads(key.text)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.warning("%s cannot be read, it is timed again: %s", path, error)
            return None
        sound = all(math.isfinite(value) and value > 0 for value in seconds.values())
        return seconds if known and sound else None

    def keep(self, key: TimingKey, seconds: Mapping[str, float]) -> None:
        """Put a timing in the place of any old one.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        record = {"key": json.loads(key.text), "seconds_per_slab": dict(seconds)}
        replace_file(self.path(key), json.dumps(record, indent=1).encode())
