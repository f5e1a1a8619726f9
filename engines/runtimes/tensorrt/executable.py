"""A plan on a GPU: PyCUDA owns context, stream, event and memory, the library the kernels.

The context is the device's primary one, which DALI and the library itself use, too.
Whichever thread calls makes it current for as long as it works.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.artefacts import ModelError
from engines.models import ModelSpec
from engines.runtimes.base import DeviceError, RuntimeUnavailableError
from engines.runtimes.tensorrt.flavours import Flavour, create_execution, library_log
from engines.runtimes.tensorrt.plans import Plan

_DEVICE = 0


class PlanRefusedError(ModelError):
    """A plan that the library cannot load on this GPU."""


class TensorRtExecutable:
    """A plan loaded onto the first GPU.

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

    Raises
    ------
    PlanRefusedError
        When the library cannot load the plan.
    DeviceError
        When a CUDA call fails.
    RuntimeUnavailableError
        When PyCUDA cannot be loaded.
    """

    def __init__(self, flavour: Flavour, spec: ModelSpec, plan: Plan) -> None:
        cuda = load_pycuda()
        self._cuda, self._spec = cuda, spec
        self._lock = threading.Lock()
        trt = flavour.load()
        self._log = library_log(trt)
        batches = plan.key.batches
        profile = 0 if spec.form == "block" else len(batches) - 1
        self._batch = batches[profile]
        try:
            cuda.init()
            self._context = cuda.Device(_DEVICE).retain_primary_context()
        except cuda.Error as error:
            raise DeviceError(f"{spec.name}: {error}") from error
        with self._current():
            self._stream = cuda.Stream()
            flags = cuda.event_flags
            self._done = cuda.Event(flags.BLOCKING_SYNC | flags.DISABLE_TIMING)
            self._load(trt, flavour, plan)
            self._choose_profile(profile)
            self._input = self._buffer(spec.input_name, spec.planes)
            self._output = self._buffer(spec.output_name, spec.output_planes)

    def run(self, slabs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        planes = self._spec.output_planes
        answers = np.empty((len(slabs), planes, *self._spec.size), np.float32)
        with self._lock, self._current():
            for start in range(0, len(slabs), self._batch):
                part = slice(start, start + self._batch)
                answers[part] = self._infer(slabs[part])
        return answers[:, 0] if planes == 1 else answers

    def _infer(self, slabs: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The answers of at most a batch, valid until the next call."""
        host, device = self._input
        host[: len(slabs)] = slabs
        host[len(slabs) :] = 0
        self._cuda.memcpy_htod_async(device, host, self._stream)
        self._check(self._execution.execute_async_v3(self._stream.handle), "execute_async_v3")
        host, device = self._output
        self._cuda.memcpy_dtoh_async(host, device, self._stream)
        self._done.record(self._stream)
        self._done.synchronize()
        return host[: len(slabs)]

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

    def _buffer(self, tensor: str, planes: int) -> tuple[npt.NDArray[np.float32], Any]:
        """Pinned memory for a batch of a tensor, and its memory on the device."""
        shape = (self._batch, planes, *self._spec.size)
        host = self._cuda.pagelocked_empty(shape, np.float32)
        device = self._cuda.mem_alloc(host.nbytes)
        bound = self._execution.set_tensor_address(tensor, int(device))
        self._check(bound, f"set_tensor_address({tensor})")
        return host, device

    def _choose_profile(self, profile: int) -> None:
        execution, stream = self._execution, self._stream
        chosen = execution.set_optimization_profile_async(profile, stream.handle)
        self._check(chosen, "set_optimization_profile_async")
        stream.synchronize()
        shape = (self._batch, self._spec.planes, *self._spec.size)
        self._check(execution.set_input_shape(self._spec.input_name, shape), "set_input_shape")

    def _check(self, succeeded: bool, call: str) -> None:
        if not succeeded:
            raise DeviceError(f"{self._spec.name}: {call} failed: {self._log.take()}")

    @contextmanager
    def _current(self) -> Iterator[None]:
        """The context is this thread's; a failed CUDA call, which PyCUDA names, is our error."""
        try:
            self._context.push()
            try:
                yield
            finally:
                self._context.pop()
        except self._cuda.Error as error:
            raise DeviceError(f"{self._spec.name}: {error}") from error


def load_pycuda() -> Any:
    """The module of PyCUDA's driver API.

    Raises
    ------
    RuntimeUnavailableError
        When it cannot be loaded.
    """
    try:
        import pycuda.driver
    except ImportError as error:
        raise RuntimeUnavailableError(f"pycuda cannot be loaded: {error}") from error
    return pycuda.driver
