"""What executes a network: one module a runtime, each says whether it can run here and why not."""

from engines.runtimes.artefact import choose_artefact, preferred_artefact, servable
from engines.runtimes.base import (
    ArtefactRefusedError,
    DeviceError,
    DeviceExecutable,
    DeviceLostError,
    Executable,
    InstalledRuntime,
    NoDeviceError,
    Runtime,
    RuntimeUnavailableError,
)
from engines.runtimes.registry import RUNTIMES, choose

__all__ = [
    "RUNTIMES",
    "ArtefactRefusedError",
    "DeviceError",
    "DeviceExecutable",
    "DeviceLostError",
    "Executable",
    "InstalledRuntime",
    "NoDeviceError",
    "Runtime",
    "RuntimeUnavailableError",
    "choose",
    "choose_artefact",
    "preferred_artefact",
    "servable",
]
