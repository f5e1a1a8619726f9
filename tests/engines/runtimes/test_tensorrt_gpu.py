"""Plans executed on a GPU, where there is one."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from engines.choice import choice_of, foresee, load_engine
from engines.folder import ENVIRONMENT, default_folder
from engines.models import ModelSpec, half, load_repository
from engines.runtimes import (
    RUNTIMES,
    DeviceExecutable,
    DeviceLostError,
    InstalledRuntime,
    Runtime,
)
from engines.runtimes.tensorrt.cache import PlanCache
from engines.runtimes.tensorrt.flavours import FLAVOURS
from engines.runtimes.tensorrt.plans import ensure_plan
from engines.warm_up import warm_up_input

USABLE = [RUNTIMES[name] for name in ("tensorrt", "tensorrt-rtx")]
pytestmark = [
    pytest.mark.skipif(
        all(runtime.unavailable() for runtime in USABLE),
        reason="no GPU that TensorRT can use: see breathhold doctor",
    ),
    pytest.mark.timeout(900),
]
SHIPPED = load_repository()
SERVED = [
    (spec, precision)
    for spec in SHIPPED
    for precision in ("fp32", "fp16", "int8")
    if precision != "int8" or any(one.dialect == "tensorrt" for one in spec.artefacts)
]
LUNG = next(spec for spec in SHIPPED if spec.role == "lung")


@pytest.fixture(params=USABLE, ids=lambda runtime: runtime.name)
def runtime(request: pytest.FixtureRequest) -> InstalledRuntime:
    found: InstalledRuntime = request.param
    if reason := found.unavailable():
        pytest.skip(reason)
    return found


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlanCache]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT, str(tmp_path_factory.mktemp("engines")))
        yield PlanCache(default_folder())


def slabs(spec: ModelSpec, count: int) -> npt.NDArray[np.float32]:
    """The warm-up slab, each time moved a little."""
    slab = warm_up_input(spec)[0]
    return np.stack([np.roll(slab, 5 * index, axis=-1) for index in range(count)])


@pytest.mark.parametrize(("spec", "precision"), SERVED, ids=lambda one: getattr(one, "name", one))
def test_the_gpu_finds_what_the_cpu_finds(
    spec: ModelSpec, precision: str, runtime: Runtime
) -> None:
    artefact = half(spec) if precision == "fp16" else spec.artefact(precision, ["tensorrt"])
    reference = artefact if precision == "int8" else spec.artefact("fp32")
    given = slabs(spec, 11 if spec.form == "neighbours" else 2)
    expected = RUNTIMES["onnxruntime"].load(spec, reference).run(given)
    found = runtime.load(spec, artefact).run(given)
    tolerance = {"fp32": 0.002, "fp16": 0.03, "int8": 0.1}[precision]
    np.testing.assert_allclose(found, expected, atol=tolerance)
    masks = found > spec.threshold, expected > spec.threshold
    dice = 2 * np.count_nonzero(masks[0] & masks[1]) / sum(map(np.count_nonzero, masks))
    assert dice > 0.99


def test_what_shares_the_call_and_which_thread_calls_change_nothing(runtime: Runtime) -> None:
    executable = runtime.load(LUNG, LUNG.artefact("int8", ["tensorrt"]))
    given = slabs(LUNG, 11)
    together = executable.run(given)
    for index, slab in enumerate(given):
        np.testing.assert_array_equal(executable.run(slab[None])[0], together[index])
    answers: list[npt.NDArray[np.float32]] = []
    thread = threading.Thread(target=lambda: answers.append(executable.run(given)))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(answers[0], together)


def test_a_plan_the_library_refuses_is_built_again(runtime: Runtime, cache: PlanCache) -> None:
    artefact = LUNG.artefact("fp32")
    plan = ensure_plan(FLAVOURS[runtime.name], LUNG, artefact, cache)
    cache.keep(plan.key, plan.content[:1000])
    assert runtime.load(LUNG, artefact).run(slabs(LUNG, 1)).shape == (1, *LUNG.size)
    rebuilt = cache.find(plan.key)
    assert rebuilt is not None
    assert len(rebuilt) > 1000


@pytest.mark.parametrize("spec", SHIPPED, ids=lambda spec: spec.name)
def test_the_faster_of_int8_and_fp16_serves(spec: ModelSpec, runtime: Runtime) -> None:
    first = load_engine(spec, runtime)
    seconds = first.seconds_per_slab
    if (spec, "int8") in SERVED:
        assert first.artefact.precision == min(("fp16", "int8"), key=seconds.__getitem__)
    else:
        assert first.artefact.precision == "fp16"
    assert foresee(spec, runtime) == choice_of(first) == choice_of(load_engine(spec, runtime))


def test_equal_gpus_answer_alike(runtime: InstalledRuntime) -> None:
    devices = runtime.by_device()
    equal = [one for one in devices.values() if one.device() == runtime.device()]
    if len(equal) < 2:
        pytest.skip("there is one GPU of its kind here")
    given = slabs(LUNG, 11)
    first, *others = (one.load(LUNG, half(LUNG)).run(given) for one in equal)
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_a_gpu_without_memory_left_is_lost(runtime: InstalledRuntime) -> None:
    executable = runtime.load(LUNG, half(LUNG))
    assert isinstance(executable, DeviceExecutable)
    with (
        pytest.raises(DeviceLostError, match="CUDA_ERROR_OUT_OF_MEMORY"),
        executable.device.working(),
    ):
        executable.device.allocate(2**60)
