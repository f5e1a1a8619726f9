"""The precisions of a model that a runtime wants timed, and the choice among them.

All that may be served are loaded and timed on the device, once: the timing is kept, so that a
restart, and an equal device, choose alike. int8 serves only when it is the faster one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from engines.artefacts import Artefact, ModelError
from engines.folder import default_folder, locked
from engines.models import ModelSpec
from engines.runtimes import ArtefactRefusedError, Runtime, RuntimeUnavailableError, servable
from engines.timing import TimingKey, TimingStore, time_executables
from engines.warm_up import Engine, WarmUpError, check_warm_up

logger = logging.getLogger(__name__)

_MS = 1e3


@dataclass(frozen=True, slots=True)
class Choice:
    """An artefact that serves.

    Parameters
    ----------
    because
        Why this one, in words.
    seconds_per_slab
        By precision, of those that were timed, s; empty where none were.
    """

    artefact: Artefact
    because: str
    seconds_per_slab: Mapping[str, float] = field(default_factory=dict)


def load_choice(spec: ModelSpec, runtime: Runtime, choice: Choice) -> Engine:
    """Load what was chosen; raises what :meth:`Runtime.load` raises."""
    executable = runtime.load(spec, choice.artefact)
    return Engine(
        spec,
        choice.artefact,
        runtime.name,
        runtime.device(),
        executable,
        choice.because,
        choice.seconds_per_slab,
    )


class Trial:
    """The choice among the precisions that `runtime.timed` names, and fp32 where none serves.

    One that may not be served, that the device refuses, or that answers the warm-up wrongly is
    passed over, and the log says why.
    """

    def __init__(self, spec: ModelSpec, runtime: Runtime) -> None:
        self._spec, self._runtime = spec, runtime
        self._faults: list[str] = []
        self._fault_of_device = False
        there = {artefact.precision for artefact in spec.artefacts} | {"fp16"}
        rivals = (self._servable(precision) for precision in runtime.timed if precision in there)
        self._rivals = [artefact for artefact in rivals if artefact]

    def known(self) -> Choice | None:
        """What serves by what is known; None where there is something to time first.

        Raises
        ------
        ModelError
            When nothing may be served.
        """
        if len(self._rivals) < 2:
            first = self._rivals[0] if self._rivals else self._spec.artefact("fp32")
            return Choice(first, self._reasons())
        seconds = TimingStore(default_folder()).find(self._key(self._rivals))
        return _fastest(self._rivals, seconds) if seconds else None

    def best(self, *, again: bool = False) -> Engine:
        """The engine that serves; what was timed before is believed unless `again`.

        Raises
        ------
        ModelError
            When nothing may be served.
        DeviceError
            When the device fails, or runs none of them rightly.
        """
        known = None if again else self.known()
        if known and (engine := self._loaded(known)):
            return engine
        untried = [artefact for artefact in self._rivals if not known or artefact != known.artefact]
        engines = [engine for one in untried if (engine := self._loaded(Choice(one, "")))]
        if len(engines) > 1:
            return self._race(engines)
        if engines:
            return replace(engines[0], because=self._reasons())
        engine = self._loaded(Choice(self._spec.artefact("fp32"), self._reasons()))
        if engine is None:
            kind = ArtefactRefusedError if self._fault_of_device else ModelError
            raise kind(f"{self._spec.name}: nothing serves: {self._reasons()}")
        return engine

    def _race(self, engines: Sequence[Engine]) -> Engine:
        """The fastest of some engines; the plainest when what was timed cannot be kept.

        A choice that may change at a restart would not give a scan that is taken up again
        the results that it would have had.
        """
        artefacts = [engine.artefact for engine in engines]
        executables = {engine.artefact.precision: engine.executable for engine in engines}
        store = TimingStore(default_folder())
        try:
            with locked(store.folder):
                seconds = time_executables(executables, self._spec)
                store.keep(self._key(artefacts), seconds)
        except OSError as error:
            because = f"what was timed could not be kept: {error}"
            logger.warning("%s: %s", self._spec.name, because)
            return replace(engines[-1], because=because)
        choice = _fastest(artefacts, seconds)
        chosen = engines[artefacts.index(choice.artefact)]
        return replace(chosen, because=choice.because, seconds_per_slab=seconds)

    def _key(self, artefacts: Sequence[Artefact]) -> TimingKey:
        return TimingKey(
            self._spec.name,
            tuple((artefact.precision, artefact.sha256) for artefact in artefacts),
            self._runtime.device(),
            (self._spec.planes, *self._spec.size),
        )

    def _servable(self, precision: str) -> Artefact | None:
        try:
            return servable(self._spec, self._runtime, precision)
        except ModelError as error:
            self._pass_over(precision, error)
            return None

    def _loaded(self, choice: Choice) -> Engine | None:
        """An engine that answers rightly; None where there is none."""
        try:
            engine = load_choice(self._spec, self._runtime, choice)
            check_warm_up(engine)
        except (ModelError, RuntimeUnavailableError, ArtefactRefusedError) as error:
            self._fault_of_device |= isinstance(error, (ArtefactRefusedError, WarmUpError))
            self._pass_over(choice.artefact.precision, error)
            return None
        return engine

    def _pass_over(self, precision: str, error: Exception) -> None:
        self._faults.append(f"{precision} is not served: {error}")
        logger.warning("%s: %s", self._spec.name, self._faults[-1])

    def _reasons(self) -> str:
        return "; ".join(self._faults) or "there is no other"


def _fastest(artefacts: Sequence[Artefact], seconds: Mapping[str, float]) -> Choice:
    """Of those that take equally long the last."""
    fastest = min(reversed(artefacts), key=lambda artefact: seconds[artefact.precision])
    said = (f"{seconds[one.precision] * _MS:.3g} ms a slab in {one.precision}" for one in artefacts)
    return Choice(fastest, ", ".join(said), seconds)
