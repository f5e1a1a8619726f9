"""Which precision of a model serves on a device, and why."""

from __future__ import annotations

import logging

from engines.artefacts import Artefact
from engines.models import ModelSpec
from engines.runtimes import Runtime, preferred_artefact, servable
from engines.stopping import check_stop
from engines.trial import Choice, Trial, load_choice
from engines.warm_up import Engine

__all__ = ["Choice", "Wanted", "choice_of", "foresee", "load_engine", "time_anew"]

logger = logging.getLogger(__name__)

#: A precision, an artefact itself, or what was chosen before; None for the best one.
Wanted = str | Artefact | Choice | None


def load_engine(spec: ModelSpec, runtime: Runtime, wanted: Wanted = None) -> Engine:
    """Load a model, in the best precision unless told which.

    Where a runtime has precisions to be timed, the fastest of them that may be served is the
    best; else the one that the runtime prefers.

    Raises
    ------
    ModelError
        When no artefact may be served, or the one that was asked for may not.
    RuntimeUnavailableError
        When the runtime cannot run here.
    DeviceError
        When the device fails, or runs none of them rightly.
    LoadStoppedError
        When this thread is to load no further.
    """
    check_stop()
    if wanted is None and runtime.timed:
        engine = Trial(spec, runtime).best()
    else:
        engine = load_choice(spec, runtime, _untimed(spec, runtime, wanted))
    _say(engine)
    return engine


def time_anew(spec: ModelSpec, runtime: Runtime) -> Engine:
    """As :func:`load_engine` where the runtime has precisions to be timed, which are timed anew."""
    engine = Trial(spec, runtime).best(again=True)
    _say(engine)
    return engine


def foresee(spec: ModelSpec, runtime: Runtime, wanted: Wanted = None) -> Choice | None:
    """What :func:`load_engine` would serve, without loading it; None when it must time first.

    Raises
    ------
    ModelError
        When no artefact may be served, or the one that was asked for may not.
    """
    if wanted is None and runtime.timed:
        return Trial(spec, runtime).known()
    return _untimed(spec, runtime, wanted)


def choice_of(engine: Engine) -> Choice:
    """What was chosen for an engine, to be loaded on an equal device."""
    return Choice(engine.artefact, engine.because, engine.seconds_per_slab)


def _untimed(spec: ModelSpec, runtime: Runtime, wanted: Wanted) -> Choice:
    match wanted:
        case Choice():
            return wanted
        case Artefact():
            return Choice(wanted, "it was asked for")
        case str():
            return Choice(servable(spec, runtime, wanted), "it was asked for")
    artefact, faults = preferred_artefact(spec, runtime)
    reason = "it passed its gate" if artefact.gate else "there is no other"
    return Choice(artefact, "; ".join(faults) or reason)


def _say(engine: Engine) -> None:
    logger.info(
        "%s serves in %s on %s: %s",
        engine.spec.name,
        engine.artefact.precision,
        engine.device,
        engine.because,
    )
