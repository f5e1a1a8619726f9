"""A network made into a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engines.artefacts import ModelError
from engines.models import ModelSpec
from engines.runtimes.tensorrt.flavours import Flavour, create_network, library_log, set_target


class BuildError(ModelError):
    """A network that the library refuses; the message names every node it refuses."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to build.

    Parameters
    ----------
    spec
        The model.
    precision
        Of `network`.
    network
        Its ONNX file.
    target
        Compute capability, as "sm_89".
    batches
        Numbers of slabs an inference may have; one optimisation profile each.
    """

    spec: ModelSpec
    precision: str
    network: bytes
    target: str
    batches: tuple[int, ...]

    @property
    def title(self) -> str:
        return f"{self.spec.name} {self.precision} for {self.target}"


def build_plan(
    flavour: Flavour, order: Order, tell: Callable[[str], None], timings: bytes = b""
) -> tuple[bytes, bytes]:
    """Build a plan.

    Parameters
    ----------
    flavour
        What builds it.
    order
        What to build.
    tell
        Called with each phase of the build, also from other threads.
    timings
        What an earlier build returned.

    Returns
    -------
    The plan, and the kernels' times to give the next build (empty where none are taken).

    Raises
    ------
    BuildError
        When the network cannot be parsed or built.
    """
    trt = flavour.load()
    log = library_log(trt)
    log.take()
    builder = trt.Builder(log)
    network = create_network(trt, builder)
    _parse(trt, order, network, log)
    config = _config(trt, flavour, builder, order)
    config.progress_monitor = _monitor(trt, tell)
    cache = None if flavour.ahead_of_time else _timing_cache(config, timings)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BuildError(f"{order.title}: {flavour.name} cannot build it: {log.take()}")
    return bytes(plan), b"" if cache is None else bytes(cache.serialize())


def _parse(trt: Any, order: Order, network: Any, log: Any) -> None:
    parser = trt.OnnxParser(network, log)
    if not parser.parse(order.network):
        faults = [_fault(parser.get_error(index)) for index in range(parser.num_errors)]
        raise BuildError(f"{order.title}: the parser refuses {'; '.join(faults)}")
    inputs = [network.get_input(index).name for index in range(network.num_inputs)]
    outputs = [network.get_output(index).name for index in range(network.num_outputs)]
    wanted = ([order.spec.input_name], [order.spec.output_name])
    if (inputs, outputs) != wanted:
        raise BuildError(
            f"{order.title}: its tensors are {inputs} and {outputs}, spec.toml says {wanted}"
        )


def _fault(error: Any) -> str:
    name, kind = error.node_name(), error.node_operator()
    where = f"node {name or '(unnamed)'} ({kind})" if name or kind else "the file"
    return f"{where}: {error.desc()}"


def _config(trt: Any, flavour: Flavour, builder: Any, order: Order) -> Any:
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # fp32 means fp32, as the gate judged it
    set_target(trt, flavour, config, order.target)
    for batch in order.batches:
        profile = builder.create_optimization_profile()
        shape = (batch, order.spec.planes, *order.spec.size)
        profile.set_shape(order.spec.input_name, shape, shape, shape)
        config.add_optimization_profile(profile)
    return config


def _timing_cache(config: Any, timings: bytes) -> Any:
    """The earlier times, or none when they are not of this library and GPU."""
    cache = config.create_timing_cache(timings)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _monitor(trt: Any, tell: Callable[[str], None]) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Tells of every phase; the builder calls it from any of its threads."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            tell(phase)

        def step_complete(self, phase: str, step: int) -> bool:
            return True

        def phase_finish(self, phase: str) -> None:
            """Nothing to tell."""

    return Monitor()
