"""Which devices infer, and which one takes over when the last of them is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from appliance.config import EngineConfig
from engines.models import ModelError, ModelSpec
from engines.runtimes import (
    DeviceLostError,
    Runtime,
    RuntimeUnavailableError,
    choose,
    choose_artefact,
)
from engines.segmenter import Segmenter

logger = logging.getLogger(__name__)

#: Takes over when the last device is lost.
_FALLBACK_RUNTIME, _FALLBACK_DEVICE = "openvino", "cpu"


@dataclass(frozen=True, slots=True)
class Device:
    """Where engines can run.

    Parameters
    ----------
    name
        Short: "cpu", "gpu0".
    load
        Loads and warms the engines; raises DeviceError when the device fails.
    """

    name: str
    load: Callable[[], Segmenter]


def choose_devices(engine: EngineConfig, specs: Sequence[ModelSpec]) -> list[Device]:
    """The devices that infer, by the configuration; at least one.

    They are equal, so that no result depends on which of them it came from. Of "auto"
    these are the first and those equal to it. One that is named and not there fails
    when it is loaded, as one that is lost: a box with a broken device still serves.

    Raises
    ------
    RuntimeUnavailableError
        When the runtime cannot run here, or the named devices differ.
    """
    there = choose(engine.runtime).by_device()
    names = list(there) if engine.devices == "auto" else list(dict.fromkeys(engine.devices))
    known = {name: there[name] for name in names if name in there}
    kinds = {name: runtime.device() for name, runtime in known.items()}
    unlike = [name for name, kind in kinds.items() if kind != kinds[next(iter(kinds))]]
    if unlike and engine.devices != "auto":
        raise RuntimeUnavailableError(
            "devices that infer together must be equal, or results would depend on which of "
            "them worked: " + "; ".join(f"{name} is {kind}" for name, kind in kinds.items())
        )
    for name in unlike:
        logger.warning("%s (%s) is not used: it is not like the first", name, kinds[name])
    return [
        Device(name, _loading(name, there, engine, specs)) for name in names if name not in unlike
    ]


def choose_fallback(
    engine: EngineConfig, specs: Sequence[ModelSpec], devices: Sequence[Device]
) -> Device | None:
    """What takes over when every device is lost: the CPU, unless it is one of them.

    None also where it cannot, which the log says.
    """
    there = choose(engine.runtime).by_device()
    if any(device.name == _FALLBACK_DEVICE and device.name in there for device in devices):
        return None
    precision = "fp32" if engine.precision == "fp32" else None
    try:
        runtime = choose(_FALLBACK_RUNTIME)
        for spec in specs:
            choose_artefact(spec, runtime, precision)
    except (RuntimeUnavailableError, ModelError) as error:
        logger.warning("nothing takes over when every device is lost: %s", error)
        return None
    return Device(_FALLBACK_DEVICE, partial(Segmenter, specs, runtime, precision, engine.batch))


def _loading(
    name: str,
    there: Mapping[str, Runtime],
    engine: EngineConfig,
    specs: Sequence[ModelSpec],
) -> Callable[[], Segmenter]:
    if name in there:
        return partial(Segmenter, specs, there[name], engine.precision, engine.batch)
    return partial(_is_not_there, name, ", ".join(there))


def _is_not_there(name: str, there: str) -> NoReturn:
    raise DeviceLostError(f"engine.devices names {name}, which is not there; there are {there}")
