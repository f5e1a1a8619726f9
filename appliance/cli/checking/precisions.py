"""Which precision of each model a daemon would serve here, and why."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.cli.checking.check import Check
from appliance.config import EngineConfig
from engines.choice import foresee
from engines.models import ModelError, ModelSpec, load_repository
from engines.parts import DIVIDING
from engines.runtimes import Runtime, RuntimeUnavailableError, choose


def precision_checks(engine: EngineConfig) -> Iterator[Check]:
    """A line a model; none where no runtime or no model is here, which other lines tell."""
    try:
        runtime, specs = choose(engine.runtime), load_repository(engine.repository)
    except (RuntimeUnavailableError, ModelError):
        return
    for spec in specs:
        yield _check(spec, runtime, None if spec.role in DIVIDING else engine.precision)


def _check(spec: ModelSpec, runtime: Runtime, wanted: str | None) -> Check:
    title = f"precision of {spec.name}"
    try:
        choice = foresee(spec, runtime, wanted)
    except ModelError as error:
        return Check(title, False, True, str(error), "Choose another engine.precision.")
    if choice is None:
        detail = f"the faster of {' and '.join(runtime.timed)}: not timed on this device yet"
        return Check(title, True, False, detail, "breathhold build")
    detail = f"{choice.artefact.precision} on {runtime.name}: {choice.because}"
    return Check(title, True, False, detail)
