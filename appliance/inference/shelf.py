"""The editions that are warm: what new scans get, and what each scan in progress holds."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

from appliance.inference.devices import Loaded
from appliance.inference.editions import Edition
from appliance.inference.places import Place
from appliance.inference.serving import DeviceState, Serving
from appliance.scan.verdicts import Notice
from engines.runtimes import DeviceLostError
from engines.warm_up import Engine

#: Editions that are warm at once: what new scans get, and what scans in progress began with.
MOST_EDITIONS = 4


class TooManyEditionsError(Exception):
    """One more edition would be more than are kept warm at once."""


class Shelf:
    """The editions on some devices; safe from any thread.

    Whoever holds an edition keeps its engines warm; after the last one they are freed.

    Parameters
    ----------
    places
        The devices. Whoever changes the list, or a place, has `lock`.
    edition
        What new scans get, until :meth:`use` says otherwise.
    """

    def __init__(self, places: Sequence[Place], edition: Edition) -> None:
        self.lock = threading.RLock()
        self._places, self._edition = places, edition
        self._holders = Counter([edition])
        self._engines: dict[Edition, Mapping[str, Engine]] = {}
        self._notices: tuple[Notice, ...] = ()

    # -- who uses what

    @property
    def edition(self) -> Edition:
        """What new scans get."""
        return self._edition

    def hold(self) -> Edition:
        """What new scans get, for one of them, until it lets go."""
        with self.lock:
            self._holders[self._edition] += 1
            return self._edition

    def hold_warm(self, wanted: Callable[[Edition], bool]) -> Edition | None:
        """An edition that every device that serves has, for a scan; None: there is none."""
        with self.lock:
            serving = [place for place in self._places if place.state is DeviceState.SERVING]
            for edition in self._holders:
                if wanted(edition) and all(edition in place.warm for place in serving):
                    self._holders[edition] += 1
                    return edition
        return None

    def let_go(self, edition: Edition) -> None:
        """Hold an edition no more; where that frees its engines, it takes a moment."""
        freed: list[object] = []
        with self.lock:
            self._holders[edition] -= 1
            if not self._holders[edition]:
                del self._holders[edition]
                freed += [self._engines.pop(edition, None)]
                freed += [place.warm.pop(edition, None) for place in self._places]
        freed.clear()

    def prepare(self, edition: Edition) -> None:
        """Warm an edition on every device that serves, and hold it; on the caller's thread.

        What raises changes nothing.

        Raises
        ------
        TooManyEditionsError
            When :data:`MOST_EDITIONS` others are held.
        ModelError, RuntimeUnavailableError, DeviceError
            When it cannot be served.
        LoadStoppedError
            When this thread is to load no further.
        """
        with self.lock:
            if edition not in self._holders and len(self._holders) >= MOST_EDITIONS:
                raise TooManyEditionsError(f"{len(self._holders)} others are in use")
            self._holders[edition] += 1
            serving = [one for one in self._places if one.state is DeviceState.SERVING]
            missing = [place for place in serving if edition not in place.warm]
        try:
            found = [place.device.load(edition.specs) for place in missing]
        except BaseException:
            self.let_go(edition)
            raise
        with self.lock:
            for place, loaded in zip(missing, found, strict=True):
                if place.state is DeviceState.SERVING:
                    self.keep(place, edition, loaded)

    def use(self, edition: Edition) -> None:
        """Give new scans an edition that the caller prepared, and now no longer holds.

        Raises
        ------
        DeviceLostError
            When no device has it; the caller still holds it.
        """
        with self.lock:
            if not any(edition in place.warm for place in self._places):
                raise DeviceLostError("every device that loaded them was lost meanwhile")
            before, self._edition = self._edition, edition
        self.let_go(before)

    # -- what there is

    @property
    def held(self) -> Collection[Edition]:
        """What somebody holds."""
        return self._holders.keys()

    def serving_of(self, edition: Edition) -> Serving:
        """What infers the scans of an edition that is held."""
        with self.lock:
            return Serving(self._engines.get(edition, {}), self._notices)

    @property
    def finishing(self) -> list[Engine]:
        """Engines in versions that only scans in progress still use."""
        with self.lock:
            found = {
                (name, engine.spec.version): engine
                for engines in self._engines.values()
                for name, engine in engines.items()
                if engine.spec != self._edition.spec(name)
            }
        return list(found.values())

    # -- for the pool

    def keep(self, place: Place, edition: Edition, loaded: Loaded) -> None:
        """Put engines on a device, unless nobody waits for them any more."""
        with self.lock:
            if edition in self._holders:
                place.warm[edition] = loaded
                self._renew(edition)

    def lose(self, place: Place, notice: Notice) -> None:
        """A device is lost with all that it had; reports of scans in progress are to say so."""
        with self.lock:
            place.warm.clear()
            self._notices += (notice,)
            for edition in self._holders:
                self._renew(edition)

    def _renew(self, edition: Edition) -> None:
        """Show the engines of one device, all others' are equal; else those that there were."""
        for place in self._places:
            if loaded := place.warm.get(edition):
                self._engines[edition] = loaded.engines
                return
