"""Which artefact of a model a runtime executes."""

from __future__ import annotations

import logging

from engines.artefacts import Artefact, ModelError
from engines.models import ModelSpec
from engines.runtimes.base import Runtime

logger = logging.getLogger(__name__)


def choose_artefact(spec: ModelSpec, runtime: Runtime, precision: str | None = None) -> Artefact:
    """The artefact of a precision, or the runtime's preferred one that may be served.

    Reduced precision is served only with a passed gate. Where no precision is
    asked for, an artefact that may not be served is passed over, and the log says why.

    Raises
    ------
    ModelError
        When there is none, or the one that was asked for may not be served.
    """
    if precision is not None:
        return _gated(spec, spec.artefact(precision, runtime.dialects))
    there = {artefact.precision for artefact in spec.artefacts}
    for preferred in runtime.precisions:
        if preferred not in there:
            continue
        try:
            return _gated(spec, spec.artefact(preferred, runtime.dialects))
        except ModelError as error:
            logger.warning("%s is not served in %s: %s", spec.name, preferred, error)
    raise ModelError(f"{spec.name}: {runtime.name} can execute none of {sorted(there)}")


def _gated(spec: ModelSpec, artefact: Artefact) -> Artefact:
    if artefact.precision != "fp32":
        artefact.check_gate(spec.artefact("fp32").sha256, spec.contract)
    return artefact
