"""TensorRT and TensorRT-RTX as runtimes."""

from __future__ import annotations

import importlib.util
import logging

from engines.folder import default_folder
from engines.models import Artefact, ModelSpec
from engines.runtimes.base import (
    ArtefactRefusedError,
    DeviceLostError,
    NoDeviceError,
    RuntimeUnavailableError,
)
from engines.runtimes.tensorrt.building import BuildError
from engines.runtimes.tensorrt.cache import PlanCache
from engines.runtimes.tensorrt.cuda import load_pycuda
from engines.runtimes.tensorrt.driver import Gpu, gpus, trouble
from engines.runtimes.tensorrt.executable import PlanRefusedError, TensorRtExecutable
from engines.runtimes.tensorrt.faults import named_fault
from engines.runtimes.tensorrt.flavours import Flavour
from engines.runtimes.tensorrt.plans import Plan, ensure_plan

logger = logging.getLogger(__name__)

#: What is missing without PyCUDA; it is compiled with the CUDA toolkit when it is installed.
PYCUDA_INSTALL = "CUDA_ROOT=/usr/local/cuda pip install pycuda"


class TensorRtRuntime:
    """One of the two libraries on one GPU.

    fp16 is made of the fp32 file and needs no gate; int8 serves only where it passed its gate
    and is faster.

    Parameters
    ----------
    flavour
        Which.
    ordinal
        The GPU's number among those that CUDA shows; by default the first that fits.
    unkept
        Plans that could not be kept, which equal GPUs share: built twice they may differ.
    """

    precisions: tuple[str, ...] = ("int8", "fp16", "fp32")
    timed: tuple[str, ...] = ("int8", "fp16")
    dialects: tuple[str, ...] = ("tensorrt",)
    by_name_only = False

    def __init__(
        self,
        flavour: Flavour,
        ordinal: int | None = None,
        unkept: dict[tuple[str, ...], Plan] | None = None,
    ) -> None:
        self.name = flavour.name
        self._flavour, self._ordinal = flavour, ordinal
        self._unkept = {} if unkept is None else unkept

    def version(self) -> str:
        return f"{self.name} {self._flavour.version()}"

    def missing(self) -> str | None:
        faults = [self._flavour.missing()]
        if importlib.util.find_spec("pycuda") is None:
            faults.append(f"the package pycuda is not installed ({PYCUDA_INSTALL})")
        return "; ".join(fault for fault in faults if fault) or None

    def unavailable(self) -> str | None:
        there = gpus()
        faults = [self.missing(), None if there else _no_gpu()]
        if found := [fault for fault in faults if fault]:
            return "; ".join(found)
        try:
            self._flavour.load()
            load_pycuda()
        except RuntimeUnavailableError as error:
            return str(error)
        return None if self._fitting() else self._unfit(there)

    def device(self) -> str:
        gpu = self._gpu()
        return f"{gpu.name} ({gpu.capability}), {self.version()}"

    def by_device(self) -> dict[str, TensorRtRuntime]:
        self._refuse_if_unavailable()
        unkept: dict[tuple[str, ...], Plan] = {}
        return {
            f"gpu{gpu.ordinal}": TensorRtRuntime(self._flavour, gpu.ordinal, unkept)
            for gpu in self._fitting()
        }

    def load(self, spec: ModelSpec, artefact: Artefact) -> TensorRtExecutable:
        gpu = self._gpu()
        artefact.verify()
        try:
            return self._planned(gpu, spec, artefact)
        except (BuildError, PlanRefusedError) as error:
            raise ArtefactRefusedError(
                f"{spec.name}: there is no {artefact.precision} plan for this GPU: {error}"
            ) from error

    def _planned(self, gpu: Gpu, spec: ModelSpec, artefact: Artefact) -> TensorRtExecutable:
        plan = self._plan(gpu, spec, artefact)
        try:
            return self._executable(gpu, spec, plan)
        except PlanRefusedError as error:
            if plan.built:
                raise
            logger.warning("%s; it is built again", error)
        return self._executable(gpu, spec, self._plan(gpu, spec, artefact, again=True))

    def _plan(self, gpu: Gpu, spec: ModelSpec, artefact: Artefact, again: bool = False) -> Plan:
        what = (spec.name, artefact.precision, artefact.sha256, gpu.capability)
        if what in self._unkept and not again:
            return self._unkept[what]
        plan = ensure_plan(
            self._flavour,
            spec,
            artefact,
            PlanCache(default_folder()),
            gpu.capability,
            again=again,
            gpu=gpu.ordinal,
        )
        if plan.unkept:
            self._unkept[what] = plan
            logger.warning(
                "%s cannot be kept (%s): it serves from memory, and is built again at each start, "
                "which may change its answers in the last digits",
                plan.path,
                plan.unkept,
            )
        return plan

    def _executable(self, gpu: Gpu, spec: ModelSpec, plan: Plan) -> TensorRtExecutable:
        try:
            return TensorRtExecutable(self._flavour, spec, plan, device=gpu.ordinal)
        except PlanRefusedError as error:
            fault = named_fault(spec.name, error)
            if isinstance(fault, DeviceLostError):  # no memory left: another plan needs it, too
                raise fault from error
            raise

    def _refuse_if_unavailable(self) -> None:
        if reason := self.unavailable():
            kind = RuntimeUnavailableError if self.missing() else NoDeviceError
            raise kind(f"{self.name}: {reason}")

    def _gpu(self) -> Gpu:
        self._refuse_if_unavailable()
        return self._fitting()[0]

    def _fitting(self) -> list[Gpu]:
        """The GPUs that the library builds for, or the one that this runtime is bound to."""
        targets = self._flavour.targets()
        return [
            gpu
            for gpu in gpus()
            if self._ordinal in (None, gpu.ordinal) and (not targets or gpu.capability in targets)
        ]

    def _unfit(self, there: list[Gpu]) -> str:
        if self._ordinal is not None and all(gpu.ordinal != self._ordinal for gpu in there):
            return f"gpu{self._ordinal} is not there any more"
        here = ", ".join(sorted({gpu.capability for gpu in there}))
        return f"it builds for {', '.join(self._flavour.targets())}, the GPU here is {here}"


def _no_gpu() -> str:
    why = trouble()
    return "no NVIDIA GPU with a driver was found" + (f" ({why})" if why else "")
