"""Which artefact of a model a runtime executes."""

from __future__ import annotations

import logging

from engines.artefacts import Artefact, ModelError
from engines.models import ModelSpec, half
from engines.runtimes.base import Runtime

logger = logging.getLogger(__name__)


def choose_artefact(spec: ModelSpec, runtime: Runtime, precision: str | None = None) -> Artefact:
    """The artefact of a precision, or the runtime's preferred one that may be served.

    Raises
    ------
    ModelError
        When there is none, the runtime cannot execute it, or the one that was asked for may
        not be served.
    """
    if precision is not None:
        return servable(spec, runtime, precision)
    return preferred_artefact(spec, runtime)[0]


def preferred_artefact(spec: ModelSpec, runtime: Runtime) -> tuple[Artefact, list[str]]:
    """The runtime's preferred artefact that may be served, untimed.

    Returns
    -------
    The artefact, and why those that come before it were passed over, which the log says, too.

    Raises
    ------
    ModelError
        When there is none.
    """
    there = {artefact.precision for artefact in spec.artefacts}
    faults: list[str] = []
    for preferred in runtime.precisions:
        if preferred not in there:
            continue
        try:
            return servable(spec, runtime, preferred), faults
        except ModelError as error:
            faults.append(f"{preferred} is not served: {error}")
            logger.warning("%s: %s", spec.name, faults[-1])
    raise ModelError(f"{spec.name}: {runtime.name} can execute none of {sorted(there)}")


def servable(spec: ModelSpec, runtime: Runtime, precision: str) -> Artefact:
    """The artefact of a precision.

    Reduced precision is served only with a passed gate, but for fp16 that a runtime makes of
    the fp32 file.

    Raises
    ------
    ModelError
        When there is none, the runtime cannot execute it, or it may not be served.
    """
    if precision not in runtime.precisions:
        able = " or ".join(runtime.precisions)
        raise ModelError(f"{spec.name}: {runtime.name} cannot execute {precision}, only {able}")
    if precision == "fp16":
        return half(spec)
    artefact = spec.artefact(precision, runtime.dialects)
    artefact.check_gate(spec.artefact("fp32").sha256, spec.contract)
    return artefact
