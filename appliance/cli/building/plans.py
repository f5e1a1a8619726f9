"""Plans of several models, one after the other; one that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from appliance.cli.errors import CliError
from engines.artefacts import Artefact, ModelError
from engines.models import SHIPPED, ModelSpec, load_repository
from engines.runtimes import RUNTIMES, choose_artefact
from engines.runtimes.tensorrt.cache import PlanCache, default_folder
from engines.runtimes.tensorrt.flavours import FLAVOURS, Flavour, resolve_target
from engines.runtimes.tensorrt.plans import Plan, ensure_plan, half

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Choice:
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


def run_build(choice: Choice) -> Iterator[Outcome]:
    """Build, or find in the cache, each plan that is asked for; progress is told on stderr.

    Raises
    ------
    CliError
        When there is no such model or nothing to build with.
    ModelError
        When it cannot be built for the target, or an artefact that was asked for by its
        precision may not be served.
    """
    flavour = _flavour(choice.runtime)
    resolve_target(flavour, choice.target)
    orders = [
        (spec, artefact)
        for spec in _specs(choice)
        for artefact in _artefacts(spec, flavour, choice.precisions)
    ]
    cache = PlanCache(choice.cache or default_folder())
    for spec, artefact in orders:
        yield _outcome(choice, flavour, cache, spec, artefact)


def _outcome(
    choice: Choice, flavour: Flavour, cache: PlanCache, spec: ModelSpec, artefact: Artefact
) -> Outcome:
    title = f"{spec.name} {artefact.precision} with {flavour.name}"
    out = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        with out.status(title) as status:
            plan = ensure_plan(
                flavour,
                spec,
                artefact,
                cache,
                choice.target,
                lambda phase: status.update(f"{title}: {phase}"),
                choice.again,
            )
    except ModelError as error:
        out.print(f"{title}: failed")
        return Outcome(spec.name, artefact.precision, fault=str(error))
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


def _specs(choice: Choice) -> Sequence[ModelSpec]:
    specs = {spec.name: spec for spec in load_repository(choice.repository or SHIPPED)}
    for name in choice.names:
        if name not in specs:
            raise CliError(f"no model is called {name!r}; there are {', '.join(specs)}")
    return [specs[name] for name in choice.names or specs]


def _artefacts(spec: ModelSpec, flavour: Flavour, precisions: Sequence[str]) -> Iterator[Artefact]:
    """The files to build from; without precisions what the daemon would serve, and fp16."""
    runtime = RUNTIMES[flavour.name]
    for precision in precisions or ("fp16", None):
        yield half(spec) if precision == "fp16" else choose_artefact(spec, runtime, precision)
