"""Plans of several models, one after the other; one that fails does not stop the others.

On the box itself int8 is then timed against fp16, so that the daemon finds the choice made.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from appliance.cli.errors import CliError
from engines.artefacts import Artefact, ModelError
from engines.choice import Choice, choice_of, foresee, time_anew
from engines.folder import default_folder
from engines.models import SHIPPED, ModelSpec, load_repository
from engines.runtimes import RUNTIMES, DeviceError, Runtime, servable
from engines.runtimes.tensorrt.cache import PlanCache
from engines.runtimes.tensorrt.flavours import CURRENT, FLAVOURS, Flavour, resolve_target
from engines.runtimes.tensorrt.plans import Plan, ensure_plan

logger = logging.getLogger(__name__)

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Order:
    """What the user asked for; see the verb's options."""

    names: tuple[str, ...]
    runtime: str | None
    target: str
    precisions: tuple[str, ...]
    repository: Path | None
    cache: Path | None
    again: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """A plan, or why there is none."""

    model: str
    precision: str
    plan: Plan | None = None
    fault: str = ""

    @property
    def record(self) -> dict[str, object]:
        """For JSON."""
        told: dict[str, object] = {"model": self.model, "precision": self.precision}
        if self.plan is None:
            return {"event": "failed", **told, "message": self.fault}
        found = {"built": self.plan.built, "seconds": round(self.plan.seconds, 3)}
        size = {"plan": str(self.plan.path), "bytes": len(self.plan.content)}
        return {"event": "plan", **told, **asdict(self.plan.key), **size, **found}


@dataclass(frozen=True, slots=True)
class Timed:
    """What serves of a model on this box, or why nothing could be timed."""

    model: str
    choice: Choice | None = None
    fault: str = ""

    @property
    def record(self) -> dict[str, object]:
        """For JSON."""
        if self.choice is None:
            return {"event": "failed", "model": self.model, "message": self.fault}
        return {
            "event": "timed",
            "model": self.model,
            "precision": self.choice.artefact.precision,
            "because": self.choice.because,
            "seconds_per_slab": dict(self.choice.seconds_per_slab),
        }


def run_build(order: Order) -> Iterator[Outcome | Timed]:
    """Build, or find in the cache, each plan that is asked for; progress is told on stderr.

    Then time what was built, where it is all for this box: again, or where it was not timed yet.

    Raises
    ------
    CliError
        When there is no such model or nothing to build with.
    ModelError
        When it cannot be built for the target.
    """
    flavour = _flavour(order.runtime)
    runtime = RUNTIMES[flavour.name]
    resolve_target(flavour, order.target)
    specs = _specs(order)
    cache = PlanCache(order.cache or default_folder())
    out = Console(stderr=True, highlight=False, soft_wrap=True)
    failed = set()
    for spec in specs:
        for artefact in _artefacts(spec, runtime, order):
            if isinstance(artefact, Artefact):
                outcome = _outcome(order, flavour, cache, spec, artefact, out)
            else:
                outcome = artefact
            if outcome.fault:
                failed.add(spec.name)
            yield outcome
    if _for_this_box(order, runtime, cache):
        for spec in specs:
            if spec.name not in failed:
                yield _timed(order, runtime, spec, out)


def _for_this_box(order: Order, runtime: Runtime, cache: PlanCache) -> bool:
    here = order.target == CURRENT and cache.folder == default_folder()
    return here and not order.precisions and runtime.unavailable() is None


def _timed(order: Order, runtime: Runtime, spec: ModelSpec, out: Console) -> Timed:
    try:
        choice = None if order.again else foresee(spec, runtime)
        if choice is None:
            with out.status(f"{spec.name}: what is faster?"):
                choice = choice_of(time_anew(spec, runtime))
    except (ModelError, DeviceError) as error:
        out.print(f"{spec.name}: it could not be timed")
        return Timed(spec.name, fault=str(error))
    out.print(f"{spec.name} serves in {choice.artefact.precision}: {choice.because}")
    return Timed(spec.name, choice)


def _outcome(
    order: Order,
    flavour: Flavour,
    cache: PlanCache,
    spec: ModelSpec,
    artefact: Artefact,
    out: Console,
) -> Outcome:
    title = f"{spec.name} {artefact.precision} with {flavour.name}"
    try:
        with out.status(title) as status:
            plan = ensure_plan(
                flavour,
                spec,
                artefact,
                cache,
                order.target,
                lambda phase: status.update(f"{title}: {phase}"),
                order.again,
            )
    except ModelError as error:
        out.print(f"{title}: failed")
        return Outcome(spec.name, artefact.precision, fault=str(error))
    if plan.unkept:
        out.print(f"{title}: built, and not kept")
        fault = f"{plan.path} cannot be kept: {plan.unkept}"
        return Outcome(spec.name, artefact.precision, fault=fault)
    how = f"built in {plan.seconds:.1f} s" if plan.built else "there already"
    size = len(plan.content) / _MIB
    out.print(f"{title} {plan.key.version} for {plan.key.target}: {how}, {size:.1f} MiB")
    return Outcome(spec.name, artefact.precision, plan)


def _flavour(name: str | None) -> Flavour:
    if name is not None:
        return FLAVOURS[name]
    missing = {one: one.missing() for one in FLAVOURS.values()}
    for flavour, fault in missing.items():
        if fault is None:
            return flavour
    raise CliError(f"there is nothing to build with: {'; or '.join(map(str, missing.values()))}")


def _specs(order: Order) -> Sequence[ModelSpec]:
    specs = {spec.name: spec for spec in load_repository(order.repository or SHIPPED)}
    for name in order.names:
        if name not in specs:
            raise CliError(f"no model is called {name!r}; there are {', '.join(specs)}")
    return [specs[name] for name in order.names or specs]


def _artefacts(spec: ModelSpec, runtime: Runtime, order: Order) -> Iterator[Artefact | Outcome]:
    """The files to build from; without precisions those of which the daemon serves one.

    One that was asked for and may not be served has failed.
    """
    for precision in order.precisions or runtime.timed:
        try:
            yield servable(spec, runtime, precision)
        except ModelError as error:
            if order.precisions:
                yield Outcome(spec.name, precision, fault=str(error))
            logger.info("%s", error)
