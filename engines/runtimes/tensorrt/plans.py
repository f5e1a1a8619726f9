"""The plan of a model: from the cache, or built and kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from engines.artefacts import Artefact
from engines.models import ModelSpec
from engines.parts import DIVIDING
from engines.runtimes.base import RuntimeUnavailableError
from engines.runtimes.tensorrt.apart import build_apart
from engines.runtimes.tensorrt.building import Order
from engines.runtimes.tensorrt.cache import PlanCache, PlanKey
from engines.runtimes.tensorrt.driver import gpus
from engines.runtimes.tensorrt.flavours import CURRENT, Flavour, resolve_target

#: Slabs an inference may have. Every inference of one executable has the same number.
_BATCHES = {"neighbours": (1, 8), "block": (1, 4)}
#: A scan is divided in one inference.
_DIVIDING = (1,)


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan that is the wanted one.

    Parameters
    ----------
    key
        What it was built from.
    path
        Where it is kept.
    unkept
        Why it could not be kept; empty when it is.
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
    unkept: str = ""


def ensure_plan(
    flavour: Flavour,
    spec: ModelSpec,
    artefact: Artefact,
    cache: PlanCache,
    target: str = CURRENT,
    tell: Callable[[str], None] = lambda phase: None,
    again: bool = False,
    gpu: int | None = None,
) -> Plan:
    """The plan of an artefact for a target.

    Where the cache cannot be written, what was built is in the answer all the same.

    Parameters
    ----------
    flavour
        What builds it.
    spec, artefact
        The model, and its file: fp32, int8 in the dialect "tensorrt", or
        :func:`engines.models.half`.
    cache
        Where plans are kept.
    target
        "sm_89" or the like, or "CURRENT" for this machine's GPU.
    tell
        Called with each phase of a build.
    again
        Build it even when it is there.
    gpu
        Ordinal of the GPU to build on, where a library needs one; by default the first of
        that target.

    Raises
    ------
    ModelError
        When the file is not the recorded one, the library cannot build for the target,
        or it refuses the network, or others may write to the cache.
    RuntimeUnavailableError
        When the library is not installed.
    LoadStoppedError
        When this thread is to load no further.
    """
    started = time.monotonic()
    key = _key(flavour, spec, artefact, resolve_target(flavour, target))
    plan = None if again else cache.find(key)
    built, unkept = False, ""
    if plan is None:
        with ExitStack() as turn:
            unkept = _wait_for_turn(turn, cache)
            plan = None if again else cache.find(key)  # another process may have built it
            if plan is None:
                plan, timings = _build(flavour, spec, artefact, key, cache, tell, gpu)
                built, unkept = True, unkept or _keep(cache, key, plan, timings)
    return Plan(key, cache.path(key), plan, built, time.monotonic() - started, unkept)


def _key(flavour: Flavour, spec: ModelSpec, artefact: Artefact, target: str) -> PlanKey:
    return PlanKey(
        model=spec.name,
        source=artefact.sha256,
        precision=artefact.precision,
        runtime=flavour.name,
        version=flavour.version(),
        target=target,
        slab=(spec.planes, *spec.size),
        batches=batches_of(spec),
    )


def batches_of(spec: ModelSpec) -> tuple[int, ...]:
    """Slabs that an inference of a model may have; one optimisation profile each."""
    return _DIVIDING if spec.role in DIVIDING else _BATCHES[spec.form]


def _wait_for_turn(turn: ExitStack, cache: PlanCache) -> str:
    """Hold the cache until `turn` ends; why that cannot be, where it cannot."""
    try:
        turn.enter_context(cache.locked())
    except OSError as error:
        return str(error)
    return ""


def _keep(cache: PlanCache, key: PlanKey, plan: bytes, timings: bytes) -> str:
    """Keep what was built; why that cannot be, where it cannot."""
    try:
        cache.keep(key, plan)
        cache.keep_timings(key, timings)
    except OSError as error:
        return str(error)
    return ""


def _build(
    flavour: Flavour,
    spec: ModelSpec,
    artefact: Artefact,
    key: PlanKey,
    cache: PlanCache,
    tell: Callable[[str], None],
    gpu: int | None,
) -> tuple[bytes, bytes]:
    artefact.verify()
    order = Order(spec, key.precision, network_of(artefact), key.target, key.batches)
    if flavour.ahead_of_time:
        gpu = None
    elif gpu is None:
        gpu = next(one.ordinal for one in gpus() if one.capability == key.target)
    return build_apart(flavour, order, tell, cache.timings(key), gpu)


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
