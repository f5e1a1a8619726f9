"""What the GPU path needs: driver, libraries, PyCUDA."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator

from appliance.cli.checking.check import Check
from engines.runtimes.tensorrt.driver import cuda_version, gpus, kernel_module, trouble
from engines.runtimes.tensorrt.flavours import FLAVOURS
from engines.runtimes.tensorrt.runtime import PYCUDA_INSTALL

_TROUBLE = "See nvidia-smi and dmesg; SYSTEM_NOT_READY: systemctl start nvidia-fabricmanager"
_DRIVER_INSTALL = "apt-get install nvidia-open (from NVIDIA's CUDA repository)"


def gpu_checks() -> Iterator[Check]:
    """GPU, driver, libcuda, both libraries, PyCUDA: there with version, or how to install it."""
    names = [f"gpu{gpu.ordinal} {gpu.name} ({gpu.capability})" for gpu in gpus()]
    why = trouble()
    missing = f"CUDA does not start: {why}" if why else "no NVIDIA GPU was found"
    remedy = _TROUBLE if why else ""
    yield Check("GPU", bool(names), False, ", ".join(names) or missing, "" if names else remedy)
    yield _found("NVIDIA driver", kernel_module(), "its kernel module is not loaded")
    cuda = cuda_version()
    yield _found("libcuda", cuda and f"CUDA {cuda}", "libcuda.so.1 is not there")
    for flavour in FLAVOURS.values():
        yield package_check(flavour.name, flavour.module or flavour.modules[0], flavour.install)
    yield package_check("PyCUDA", "pycuda", PYCUDA_INSTALL)


def package_check(title: str, module: str, remedy: str) -> Check:
    """Whether a package is there, which nothing needs that works without it."""
    if importlib.util.find_spec(module) is None:
        return Check(title, False, False, f"the package {module} is not installed", remedy)
    distributions = importlib.metadata.packages_distributions().get(module, [module])
    version = importlib.metadata.version(distributions[0])
    return Check(title, True, False, f"{distributions[0]} {version}")


def _found(title: str, detail: str | None, missing: str) -> Check:
    if detail:
        return Check(title, True, False, detail)
    return Check(title, False, False, missing, _DRIVER_INSTALL)
