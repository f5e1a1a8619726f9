"""The parts of the check: what each needs, and what came of it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from engines.runtimes import RUNTIMES
from engines.runtimes.tensorrt.driver import gpus

Row = dict[str, object]

#: What installs a package that a part needs; all others are in the base installation.
_INSTALL = {
    "pycuda": "pip install 'breathhold[gpu]' (it is compiled: CUDA's headers must be there)",
    "onnx": "pip install 'breathhold[gpu]'",
    "onnxruntime": "pip install 'breathhold[gpu]'",
    "pytest": "make .venv/.installed-dev",
}
_BASE = "make .venv/.installed"


@dataclass(frozen=True, slots=True)
class Choice:
    """What to check.

    Parameters
    ----------
    runtime
        What executes the networks, by name; None where none can.
    on_gpu
        Whether that, and everything else, is to run on a GPU.
    precisions
        In which the networks are compared and timed.
    models
        The repository.
    cases
        A folder of labelled real scans, None for phantoms only.
    most_cases
        Of them.
    slices, matrix
        Of the phantoms; None for a real scan's.
    rate
        At which the path is played once more, slices a second.
    enough_s
        How long one thing is timed, s.
    work
        A folder for what is written.
    """

    runtime: str | None
    on_gpu: bool
    precisions: tuple[str, ...]
    models: Path
    cases: Path | None
    most_cases: int
    slices: int | None
    matrix: int
    rate: float
    enough_s: float
    work: Path


@dataclass(slots=True)
class Found:
    """What a part found.

    Parameters
    ----------
    rows
        Its table; a row's `ok` says whether it is as it must be, where it must be anything.
    notes
        Sentences under the table.
    """

    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return bool(self.rows) and all(row.get("ok", True) for row in self.rows)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A part's name, "passed", "failed" or "not run", why, and what it found."""

    part: str
    state: str
    reason: str = ""
    rows: Sequence[Row] = ()
    notes: Sequence[str] = ()

    @property
    def record(self) -> Row:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to check, by itself.

    Parameters
    ----------
    name
        As ``--parts`` calls it.
    what
        In a few words.
    run
        Checks it.
    modules
        That must be importable.
    gpu
        Whether it is about nothing but a GPU.
    engine
        Whether it needs a runtime for the networks.
    """

    name: str
    what: str
    run: Callable[[Choice], Found]
    modules: tuple[str, ...] = ()
    gpu: bool = False
    engine: bool = False

    def missing(self, choice: Choice) -> str:
        """What is not here that it needs, and what installs it; empty when all is."""
        remedies = {name: _INSTALL.get(name, _BASE) for name in self.modules if not _is_there(name)}
        faults = [
            f"not installed: {', '.join(name for name in remedies if remedies[name] == remedy)} "
            f"({remedy})"
            for remedy in dict.fromkeys(remedies.values())
        ]
        if (self.gpu or choice.on_gpu) and not gpus():
            faults.append("there is no NVIDIA GPU with a driver")
        if self.engine:
            faults.append(_missing_runtime(choice.runtime))
        return "; ".join(fault for fault in faults if fault)


def run_part(part: Part, choice: Choice) -> Outcome:
    """Run a part where it can be; whatever goes wrong in it is its failure alone."""
    if reason := part.missing(choice):
        return Outcome(part.name, "not run", reason)
    try:
        found = part.run(choice)
    except Exception as error:  # noqa: BLE001
        return Outcome(part.name, "failed", f"{type(error).__name__}: {error}")
    state = "passed" if found.passed else "failed"
    reason = "" if found.rows else "it found nothing to check"
    return Outcome(part.name, state, reason, tuple(found.rows), tuple(found.notes))


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it is not there
        return False


def _missing_runtime(name: str | None) -> str:
    if name is None:
        reasons = (f"{one}: {RUNTIMES[one].unavailable()}" for one in ("tensorrt", "tensorrt-rtx"))
        return f"no TensorRT can run here ({'; '.join(reasons)})"
    reason = RUNTIMES[name].unavailable()
    return f"{name} cannot run here: {reason}" if reason else ""
