"""TensorRT (10 and 11) and TensorRT-RTX: one Python API, and all that differs in it.

References
----------
"Migrating from TensorRT 10.x to 11.x" and "CPU-Only AOT and TensorRT-RTX Engines" in NVIDIA's
documentation.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import logging
from dataclasses import dataclass
from typing import Any

from engines.artefacts import ModelError
from engines.runtimes.base import RuntimeUnavailableError
from engines.runtimes.tensorrt.driver import gpus

logger = logging.getLogger(__name__)

#: The target that is this machine's own GPU.
CURRENT = "CURRENT"


@dataclass(frozen=True, slots=True)
class Flavour:
    """One of the two libraries.

    Parameters
    ----------
    name
        As the configuration calls it.
    modules
        What it may be imported as, the preferred name first.
    install
        The command that installs it.
    ahead_of_time
        Whether it builds for GPUs that are not there; else it times kernels on the
        GPU and remembers the times.
    """

    name: str
    modules: tuple[str, ...]
    install: str
    ahead_of_time: bool

    @property
    def module(self) -> str | None:
        """The name it can be imported as here, or None when it is not installed."""
        there = (name for name in self.modules if importlib.util.find_spec(name) is not None)
        return next(there, None)

    def missing(self) -> str | None:
        """What is not installed, with the command that installs it; None when it is there."""
        if self.module is None:
            return f"the package {self.modules[0]} is not installed ({self.install})"
        return None

    def load(self) -> Any:
        """The library's module.

        Raises
        ------
        RuntimeUnavailableError
            When it is not installed or cannot be loaded.
        """
        name = self.module
        if name is None:
            raise RuntimeUnavailableError(f"{self.name}: {self.missing()}")
        try:
            return importlib.import_module(name)
        except (ImportError, OSError) as error:
            raise RuntimeUnavailableError(
                f"{self.name}: {name} cannot be loaded: {error}"
            ) from error

    def version(self) -> str:
        return str(self.load().__version__)

    def targets(self) -> tuple[str, ...]:
        """The compute capabilities it builds for ahead of time, as "sm_89"."""
        if not self.ahead_of_time:
            return ()
        members = self.load().ComputeCapability.__members__
        return tuple(f"sm_{name[2:]}" for name in members if name.startswith("SM"))


TENSORRT = Flavour(
    "tensorrt",
    ("tensorrt",),
    "pip install tensorrt-cu13",
    ahead_of_time=False,
)
TENSORRT_RTX = Flavour(
    "tensorrt-rtx",
    ("tensorrt_rtx", "tensorrt_rtx_bindings"),
    "pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings",
    ahead_of_time=True,
)
#: By name, the preferred one first.
FLAVOURS = {flavour.name: flavour for flavour in (TENSORRT, TENSORRT_RTX)}


def resolve_target(flavour: Flavour, wanted: str = CURRENT) -> str:
    """The compute capability to build for, as "sm_89".

    Raises
    ------
    ModelError
        When the library cannot build for it here; the message says for what it can.
    """
    here = [gpu.capability for gpu in gpus()]
    targets = flavour.targets()
    if wanted == CURRENT:
        if not here:
            remedy = f"name a target: {', '.join(targets)}" if targets else _NEEDS_GPU
            raise ModelError(f"{flavour.name}: no GPU is here to build for; {remedy}")
        wanted = next((one for one in here if one in targets), here[0])
    possible = targets if flavour.ahead_of_time else tuple(here)
    if wanted not in possible:
        hint = f"it builds for {', '.join(possible)}" if possible else _NEEDS_GPU
        raise ModelError(f"{flavour.name} cannot build for {wanted}; {hint}")
    return wanted


_NEEDS_GPU = "TensorRT builds on the GPU it builds for (TensorRT-RTX builds without one)"


def set_target(trt: Any, flavour: Flavour, config: Any, target: str) -> None:
    """Tell the builder for which compute capability to build."""
    if flavour.ahead_of_time:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{target[3:]}"), 0)


def create_network(trt: Any, builder: Any) -> Any:
    """An empty network that is strongly typed: always so since 11, by a flag in 10."""
    return builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))


def create_execution(trt: Any, flavour: Flavour, engine: Any) -> Any:
    """An execution context of an engine.

    TensorRT-RTX compiles kernels for a shape in the background and changes over to them
    when they are ready; here it compiles them at once, so that an answer never depends
    on when it was asked for.
    """
    if not flavour.ahead_of_time:
        return engine.create_execution_context()
    config = engine.create_runtime_config()
    eager = trt.DynamicShapesKernelSpecializationStrategy.EAGER
    config.dynamic_shapes_kernel_specialization_strategy = eager
    return engine.create_execution_context(config)


@functools.cache
def library_log(trt: Any) -> Any:
    """The one log of a library in this process, which keeps its errors.

    The library uses the first log it is given for everything it makes later.
    """

    class Log(trt.ILogger):  # type: ignore[misc]
        """Passes everything to logging; `errors` are the messages of the call under way."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self.errors.append(message)
            logger.log(levels.get(severity, logging.DEBUG), "%s", message)

        def take(self) -> str:
            """The errors since the last call, in one line."""
            found, self.errors = self.errors, []
            return "; ".join(found)

    levels = {trt.ILogger.WARNING: logging.INFO}
    return Log()
