"""The plan of a model: from the cache, or built and kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from engines.artefacts import Artefact
from engines.models import ModelSpec
from engines.runtimes.base import RuntimeUnavailableError
from engines.runtimes.tensorrt.building import Order, build_plan
from engines.runtimes.tensorrt.cache import PlanCache, PlanKey
from engines.runtimes.tensorrt.flavours import CURRENT, Flavour, resolve_target

#: Slabs an inference may have. Every inference of one executable has the same number.
_BATCHES = {"neighbours": (1, 8), "block": (1, 4)}


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan that is the wanted one.

    Parameters
    ----------
    key
        What it was built from.
    path
        Where it is kept.
    content
        The plan itself.
    built
        Whether it had to be built.
    seconds
        How long it took to build, or to read.
    """

    key: PlanKey
    path: Path
    content: bytes
    built: bool
    seconds: float


def half(spec: ModelSpec) -> Artefact:
    """What fp16 is built from: the model's fp32 file."""
    return replace(spec.artefact("fp32"), precision="fp16")


def ensure_plan(
    flavour: Flavour,
    spec: ModelSpec,
    artefact: Artefact,
    cache: PlanCache,
    target: str = CURRENT,
    tell: Callable[[str], None] = lambda phase: None,
    again: bool = False,
) -> Plan:
    """The plan of an artefact for a target.

    Parameters
    ----------
    flavour
        What builds it.
    spec, artefact
        The model, and its file: fp32, int8 in the dialect "tensorrt", or :func:`half`.
    cache
        Where plans are kept.
    target
        "sm_89" or the like, or "CURRENT" for this machine's GPU.
    tell
        Called with each phase of a build.
    again
        Build it even when it is there.

    Raises
    ------
    ModelError
        When the file is not the recorded one, the library cannot build for the target,
        or it refuses the network.
    RuntimeUnavailableError
        When the library is not installed.
    """
    started = time.monotonic()
    target = resolve_target(flavour, target)
    key = PlanKey(
        model=spec.name,
        source=artefact.sha256,
        precision=artefact.precision,
        runtime=flavour.name,
        version=flavour.version(),
        target=target,
        slab=(spec.planes, *spec.size),
        batches=_BATCHES[spec.form],
    )
    plan = None if again else cache.find(key)
    built = False
    if plan is None:
        with cache.locked():
            plan = None if again else cache.find(key)  # another process may have built it
            if plan is None:
                plan, built = _build(flavour, spec, artefact, key, cache, tell), True
    return Plan(key, cache.path(key), plan, built, time.monotonic() - started)


def _build(
    flavour: Flavour,
    spec: ModelSpec,
    artefact: Artefact,
    key: PlanKey,
    cache: PlanCache,
    tell: Callable[[str], None],
) -> bytes:
    artefact.verify()
    order = Order(spec, key.precision, network_of(artefact), key.target, key.batches)
    plan, timings = build_plan(flavour, order, tell, cache.timings(key))
    cache.keep(key, plan)
    cache.keep_timings(key, timings)
    return plan


def network_of(artefact: Artefact) -> bytes:
    """The ONNX file of an artefact; fp32 converted where it is to be fp16.

    Both libraries are strongly typed: fp16 is what the network says, not what the
    builder may choose.

    Raises
    ------
    ModelError
        When it cannot be converted.
    RuntimeUnavailableError
        When a package is missing that converts it.
    """
    if artefact.precision != "fp16":
        return artefact.path.read_bytes()
    try:
        from engines.runtimes.tensorrt.halving import halved
    except ModuleNotFoundError as error:
        raise RuntimeUnavailableError(
            f"the package {error.name} is not installed, which makes fp16 out of fp32 "
            "(pip install 'breathhold[gpu]')"
        ) from error
    return halved(artefact.path)
