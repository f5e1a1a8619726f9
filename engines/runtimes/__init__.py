"""What executes a network: one module a runtime, each says whether it can run here and why not."""

from engines.runtimes.artefact import choose_artefact
from engines.runtimes.base import (
    DeviceError,
    DeviceLostError,
    Executable,
    InstalledRuntime,
    Runtime,
    RuntimeUnavailableError,
)
from engines.runtimes.registry import RUNTIMES, choose

__all__ = [
    "RUNTIMES",
    "DeviceError",
    "DeviceLostError",
    "Executable",
    "InstalledRuntime",
    "Runtime",
    "RuntimeUnavailableError",
    "choose",
    "choose_artefact",
]
