"""TensorRT and TensorRT-RTX as runtimes."""

from __future__ import annotations

import importlib.util
import logging

from engines.models import Artefact, ModelSpec
from engines.runtimes.base import DeviceError, RuntimeUnavailableError
from engines.runtimes.tensorrt.building import BuildError
from engines.runtimes.tensorrt.cache import PlanCache, default_folder
from engines.runtimes.tensorrt.driver import gpus
from engines.runtimes.tensorrt.executable import PlanRefusedError, TensorRtExecutable, load_pycuda
from engines.runtimes.tensorrt.flavours import Flavour
from engines.runtimes.tensorrt.plans import ensure_plan

logger = logging.getLogger(__name__)

#: What is missing without PyCUDA; it is compiled with the CUDA toolkit when it is installed.
PYCUDA_INSTALL = "CUDA_ROOT=/usr/local/cuda pip install pycuda"


class TensorRtRuntime:
    """One of the two libraries on the first GPU.

    Parameters
    ----------
    flavour
        Which.
    """

    precisions: tuple[str, ...] = ("int8", "fp32")
    dialects: tuple[str, ...] = ("tensorrt",)
    by_name_only = False

    def __init__(self, flavour: Flavour) -> None:
        self.name = flavour.name
        self._flavour = flavour

    def version(self) -> str:
        return f"{self.name} {self._flavour.version()}"

    def unavailable(self) -> str | None:
        faults = [self._flavour.missing()]
        if importlib.util.find_spec("pycuda") is None:
            faults.append(f"the package pycuda is not installed ({PYCUDA_INSTALL})")
        there = gpus()
        if not there:
            faults.append("no NVIDIA GPU with a driver was found")
        if found := [fault for fault in faults if fault]:
            return "; ".join(found)
        try:
            self._flavour.load()
            load_pycuda()
        except RuntimeUnavailableError as error:
            return str(error)
        return self._unfit(there[0].capability)

    def device(self) -> str:
        if reason := self.unavailable():
            raise RuntimeUnavailableError(f"{self.name}: {reason}")
        gpu = gpus()[0]
        return f"{gpu.name} ({gpu.capability}), {self.version()}"

    def by_device(self) -> dict[str, TensorRtRuntime]:
        if reason := self.unavailable():
            raise RuntimeUnavailableError(f"{self.name}: {reason}")
        return {"gpu0": self}

    def load(self, spec: ModelSpec, artefact: Artefact) -> TensorRtExecutable:
        if reason := self.unavailable():
            raise RuntimeUnavailableError(f"{self.name}: {reason}")
        artefact.verify()
        try:
            return self._planned(spec, artefact)
        except (BuildError, PlanRefusedError, OSError) as error:
            raise DeviceError(f"{spec.name}: there is no plan for this GPU: {error}") from error

    def _planned(self, spec: ModelSpec, artefact: Artefact) -> TensorRtExecutable:
        cache = PlanCache(default_folder())
        plan = ensure_plan(self._flavour, spec, artefact, cache)
        try:
            return TensorRtExecutable(self._flavour, spec, plan)
        except PlanRefusedError as error:
            if plan.built:
                raise
            logger.warning("%s; it is built again", error)
        plan = ensure_plan(self._flavour, spec, artefact, cache, again=True)
        return TensorRtExecutable(self._flavour, spec, plan)

    def _unfit(self, capability: str) -> str | None:
        targets = self._flavour.targets()
        if not targets or capability in targets:
            return None
        return f"it builds for {', '.join(targets)}, the GPU here is {capability}"
