"""How long a slab takes on a runtime, by model and precision, and how long it would at best."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from engines.artefacts import Artefact, ModelError
from engines.device.planes import PlaneArena
from engines.models import ModelSpec, half, load_repository
from engines.runtimes import RUNTIMES, DeviceExecutable, Executable
from engines.runtimes.tensorrt.driver import gpus
from engines.warm_up import warm_up_input
from tests.gpu.check.parts import Choice, Found, Row
from tests.gpu.check.roofline import Peak, peak_of, work_of
from tests.gpu.check.timing import seconds

_PRECISIONS = ("fp32", "fp16", "int8")
#: Where a runtime does not say of how many slabs its inferences are.
_SLABS = {"neighbours": 8, "block": 1}
MOST_TIMES_THE_BOUND = 2.0


def time_slabs(choice: Choice) -> Found:
    """One row a model and precision."""
    assert choice.runtime is not None
    peak = _peak(choice)
    found = Found(notes=_notes(choice, peak))
    for spec in load_repository(choice.models):
        for precision in _PRECISIONS:
            try:
                executable = RUNTIMES[choice.runtime].load(spec, _artefact(choice, spec, precision))
            except ModelError as error:
                found.notes.append(f"{spec.name} {precision} is not timed: {error}")
                continue
            found.rows.append(_row(spec, precision, executable, peak, choice.enough_s))
    found.notes += _gains(found.rows)
    return found


def _gains(rows: Sequence[Row]) -> Iterator[str]:
    """How many times as fast as the next plainer precision each model's int8 is."""
    ms = {(row["model"], row["precision"]): float(str(row["ms a slab"])) for row in rows}
    for model in dict.fromkeys(row["model"] for row in rows):
        plainer = next((one for one in ("fp16", "fp32") if (model, one) in ms), None)
        if plainer and (model, "int8") in ms:
            gain = ms[model, plainer] / ms[model, "int8"]
            yield f"{model}: int8 is {gain:.2f} times as fast as {plainer}."


def _artefact(choice: Choice, spec: ModelSpec, precision: str) -> Artefact:
    assert choice.runtime is not None
    if precision != "fp16":
        return spec.artefact(precision, RUNTIMES[choice.runtime].dialects)
    if not choice.on_gpu:
        raise ModelError(f"{choice.runtime} has no fp16")
    return half(spec)


def _row(
    spec: ModelSpec, precision: str, executable: Executable, peak: Peak | None, enough_s: float
) -> Row:
    slabs, call = _inference(spec, executable)
    taken = seconds(call, enough_s)
    work = work_of(spec.artefact("fp32").path)
    row: Row = {
        "model": spec.name,
        "precision": precision,
        "slabs": slabs,
        "ms a slab": 1000 * taken / slabs,
        "G operations a slab": work.operations / 1e9,
        "MB a slab": work.bytes(precision, slabs) / slabs / 1e6,
    }
    if peak is None:
        return row
    bound = work.bound(peak, precision, slabs)
    within = taken <= MOST_TIMES_THE_BOUND * bound
    return row | {
        "bound, ms": 1000 * bound / slabs,
        "times the bound": taken / bound,
        "within 2": "yes" if within else "no",
    }


def _inference(spec: ModelSpec, executable: Executable) -> tuple[int, Callable[[], object]]:
    """How many slabs, and their inference: without copies, where they can stay on a device."""
    slab = warm_up_input(spec)
    if not isinstance(executable, DeviceExecutable):
        slabs = _SLABS[spec.form]
        given = np.repeat(slab, slabs, axis=0)
        return slabs, lambda: executable.run(given)
    return executable.batch, _on_device(spec, executable)


def _on_device(spec: ModelSpec, executable: DeviceExecutable) -> Callable[[], object]:
    device = executable.device
    arena = PlaneArena(device, spec.size)
    with device.working():
        planes = arena.take(spec.planes)
    given = [[[plane] for plane in planes]] * executable.batch

    def infer() -> None:
        with device.working():
            device.fetch(executable.infer(given)[0], 4)  # waits until it is there

    return infer


def _peak(choice: Choice) -> Peak | None:
    return peak_of(gpus()[0].name) if choice.on_gpu else None


def _notes(choice: Choice, peak: Peak | None) -> list[str]:
    if not choice.on_gpu:
        return ["Bounds are known of GPUs only."]
    if peak is None:
        return [f"No data sheet of {gpus()[0].name} is in tests/gpu/check/roofline.py: no bound."]
    return [
        "Bound: the larger of operations / peak and bytes / bandwidth, of the GPU's data sheet; "
        "bytes are what each convolution reads and writes once."
    ]
