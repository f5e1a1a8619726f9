"""A plan on a GPU: the library's kernels, in memory and on a stream that PyCUDA owns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.artefacts import ModelError
from engines.device.slabs import DeviceSlab, assemble
from engines.models import ModelSpec
from engines.runtimes.tensorrt.cuda import DeviceMemory, cuda_device
from engines.runtimes.tensorrt.faults import named_fault
from engines.runtimes.tensorrt.flavours import Flavour, create_execution, library_log
from engines.runtimes.tensorrt.plans import Plan

_FLOAT_BYTES = 4


class PlanRefusedError(ModelError):
    """A plan that the library cannot load on this GPU."""


class TensorRtExecutable:
    """A plan loaded onto a GPU; see :class:`engines.runtimes.base.DeviceExecutable`.

    Every inference has the same number of slabs, by one optimisation profile of the plan:
    the largest for neighbours, one for blocks, of which few wait at a time. Places that
    are left over are zero.

    Parameters
    ----------
    flavour
        What built the plan.
    spec
        The model.
    plan
        Built for this GPU.
    device
        Ordinal of the GPU.

    Raises
    ------
    PlanRefusedError
        When the library cannot load the plan.
    DeviceError
        When a CUDA call fails.
    RuntimeUnavailableError
        When PyCUDA cannot be loaded.
    """

    def __init__(self, flavour: Flavour, spec: ModelSpec, plan: Plan, device: int = 0) -> None:
        self.device = cuda_device(device)
        self._spec = spec
        trt = flavour.load()
        self._log = library_log(trt)
        batches = plan.key.batches
        profile = 0 if spec.form == "block" else len(batches) - 1
        self.batch = batches[profile]
        with self.device.working():
            self._load(trt, flavour, plan)
            self._choose_profile(profile)
            self._input = self._bind(spec.input_name, spec.planes)
            self._output = self._bind(spec.output_name, spec.output_planes)

    def run(self, slabs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        planes = self._spec.output_planes
        answers = np.empty((len(slabs), planes, *self._spec.size), np.float32)
        with self.device.working():
            for start in range(0, len(slabs), self.batch):
                part = slice(start, start + self.batch)
                answers[part] = self._run_batch(slabs[part])
        return answers[:, 0] if planes == 1 else answers

    def infer(self, slabs: Sequence[DeviceSlab]) -> list[int]:
        spec = self._spec
        pixels = spec.size[0] * spec.size[1]
        assemble(self.device, slabs, int(self._input), self.batch * spec.planes, pixels)
        self._execute()
        answer_bytes = spec.output_planes * pixels * _FLOAT_BYTES
        return [int(self._output) + place * answer_bytes for place in range(len(slabs))]

    def _run_batch(self, slabs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The answers of at most a batch that comes from the host and goes back there."""
        given = np.zeros((self.batch, *slabs.shape[1:]), np.float32)
        given[: len(slabs)] = slabs
        self.device.send(int(self._input), given)
        self._execute()
        shape = (len(slabs), self._spec.output_planes, *self._spec.size)
        fetched = self.device.fetch(int(self._output), int(np.prod(shape)) * _FLOAT_BYTES)
        return fetched.view(np.float32).reshape(shape)

    def _execute(self) -> None:
        stream = self.device.stream
        self._check(self._execution.execute_async_v3(stream), "execute_async_v3")

    def _load(self, trt: Any, flavour: Flavour, plan: Plan) -> None:
        self._log.take()
        self._runtime = trt.Runtime(self._log)
        self._engine = self._runtime.deserialize_cuda_engine(plan.content)
        if self._engine is None:
            raise PlanRefusedError(
                f"{plan.path}: {flavour.name} cannot load it: {self._log.take()}"
            )
        self._execution = create_execution(trt, flavour, self._engine)
        self._check(self._execution is not None, "create_execution_context")

    def _bind(self, tensor: str, planes: int) -> DeviceMemory:
        """Memory on the device for a batch of a tensor."""
        rows, columns = self._spec.size
        memory = self.device.allocate(self.batch * planes * rows * columns * _FLOAT_BYTES)
        bound = self._execution.set_tensor_address(tensor, int(memory))
        self._check(bound, f"set_tensor_address({tensor})")
        return memory

    def _choose_profile(self, profile: int) -> None:
        execution = self._execution
        chosen = execution.set_optimization_profile_async(profile, self.device.stream)
        self._check(chosen, "set_optimization_profile_async")
        self.device.synchronize()
        shape = (self.batch, self._spec.planes, *self._spec.size)
        self._check(execution.set_input_shape(self._spec.input_name, shape), "set_input_shape")

    def _check(self, succeeded: bool, call: str) -> None:
        if not succeeded:
            message = f"{call} failed: {self._log.take()}"
            raise named_fault(self._spec.name, RuntimeError(message))
