"""What executes a network: one module a runtime, each says whether it can run here and why not."""

from engines.runtimes.artefact import choose_artefact
from engines.runtimes.base import DeviceError, Executable, Runtime, RuntimeUnavailableError
from engines.runtimes.registry import RUNTIMES, choose

__all__ = [
    "RUNTIMES",
    "DeviceError",
    "Executable",
    "Runtime",
    "RuntimeUnavailableError",
    "choose",
    "choose_artefact",
]
