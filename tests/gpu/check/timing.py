"""How long a call takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

_LEAST_RUNS, _MOST_RUNS, _WARM_RUNS = 3, 50, 2


def seconds(call: Callable[[], object], enough_s: float) -> float:
    """The median of several calls, after some that do not count, s.

    Parameters
    ----------
    call
        Returns when its work is done.
    enough_s
        No more calls after so long.
    """
    for _ in range(_WARM_RUNS):
        call()
    taken: list[float] = []
    until = time.perf_counter() + enough_s
    while len(taken) < _MOST_RUNS and (len(taken) < _LEAST_RUNS or time.perf_counter() < until):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return median(taken)
