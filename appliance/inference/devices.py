"""Which devices infer, and which one takes over when the last of them is lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from appliance.config import EngineConfig
from engines.choice import Choice, Wanted, choice_of
from engines.divider import Divider, load_dividers
from engines.models import ModelError, ModelSpec
from engines.runtimes import (
    RUNTIMES,
    DeviceLostError,
    NoDeviceError,
    Runtime,
    RuntimeUnavailableError,
    choose,
    choose_artefact,
)
from engines.segmenter import Segmenter
from engines.warm_up import Engine

logger = logging.getLogger(__name__)

#: Takes over when the last device is lost.
_FALLBACK_RUNTIME, _FALLBACK_DEVICE = "openvino", "cpu"


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """Warm engines of the models of an edition.

    Parameters
    ----------
    dividers
        Of those models that divide the lungs.
    """

    segmenter: Segmenter
    dividers: Sequence[Divider] = ()

    @property
    def engines(self) -> dict[str, Engine]:
        """By model name."""
        dividing = {divider.engine.spec.name: divider.engine for divider in self.dividers}
        return {**self.segmenter.engines, **dividing}


@dataclass(frozen=True, slots=True)
class Device:
    """Where engines can run.

    Parameters
    ----------
    name
        Short: "cpu", "gpu0".
    load
        Loads and warms the engines of some models; raises ModelError or
        RuntimeUnavailableError when they cannot be served, DeviceError when the device fails.
    """

    name: str
    load: Callable[[Sequence[ModelSpec]], Loaded]


def choose_devices(engine: EngineConfig) -> list[Device]:
    """The devices that infer, by the configuration; at least one.

    They are equal and run the same artefacts, so that no result depends on which of them it
    came from. Of "auto" these are the first and those equal to it. One that is not there,
    though it is named, or its runtime is, fails when it is loaded, as one that is lost: a box
    with a broken device still serves.

    Raises
    ------
    RuntimeUnavailableError
        When the runtime is not installed, or the named devices differ.
    """
    if engine.runtime is None:
        _tell_of_idle_runtimes()
    there, why_none = _devices_there(engine)
    names = _names(engine, there)
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
    equals = _Equals(engine)
    why = why_none or f"engine.devices names {{}}, which is not there; there are {', '.join(there)}"
    return [
        equals.device(name, there[name])
        if name in there
        else Device(name, partial(_is_not_there, why.format(name)))
        for name in names
        if name not in unlike
    ]


def choose_fallback(
    engine: EngineConfig, specs: Sequence[ModelSpec], devices: Sequence[Device]
) -> Device | None:
    """What takes over when every device is lost: the CPU, unless it is one of them.

    None also where it cannot, which the log says.
    """
    there, _ = _devices_there(engine)
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

    def load(wanted: Sequence[ModelSpec]) -> Loaded:
        segmenter = Segmenter(wanted, runtime, precision, engine.batch)
        return Loaded(segmenter, load_dividers(wanted, runtime))

    return Device(_FALLBACK_DEVICE, load)


class _Equals:
    """Loads devices that answer alike: what the first of them chose holds for all."""

    def __init__(self, engine: EngineConfig) -> None:
        self._batch, self._precision = engine.batch, engine.precision
        self._chosen: list[tuple[ModelSpec, Choice]] = []

    def device(self, name: str, runtime: Runtime) -> Device:
        return Device(name, partial(self._load, runtime))

    def _load(self, runtime: Runtime, specs: Sequence[ModelSpec]) -> Loaded:
        wanted = {spec.name: self._wanted(spec) for spec in specs}
        segmenter = Segmenter(specs, runtime, wanted, self._batch)
        self._chosen += [
            (engine.spec, choice_of(engine))
            for engine in segmenter.engines.values()
            if not isinstance(wanted[engine.spec.name], Choice)
        ]
        return Loaded(segmenter, load_dividers(specs, runtime))

    def _wanted(self, spec: ModelSpec) -> Wanted:
        """What an equal device, or this one in another edition, chose for the model."""
        chosen = (choice for known, choice in self._chosen if known == spec)
        return next(chosen, self._precision)


def _devices_there(engine: EngineConfig) -> tuple[Mapping[str, Runtime], str]:
    """The devices of the runtime by name, and why there is none where there is none."""
    try:
        return choose(engine.runtime).by_device(), ""
    except NoDeviceError as error:
        return {}, str(error)


def _tell_of_idle_runtimes() -> None:
    """A box with a runtime for GPUs is meant to have one; without, it serves more slowly."""
    for name, runtime in RUNTIMES.items():
        if not (runtime.by_name_only or runtime.missing()) and (why := runtime.unavailable()):
            logger.warning("%s is installed and cannot run: %s", name, why)


def _names(engine: EngineConfig, there: Mapping[str, Runtime]) -> list[str]:
    if engine.devices != "auto":
        return list(dict.fromkeys(engine.devices))
    return list(there) or [str(engine.runtime)]


def _is_not_there(why: str, _: Sequence[ModelSpec]) -> NoReturn:
    raise DeviceLostError(why)
