"""How many calls may be answered at once: in all, and of one caller."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator

from appliance.access.roles import Caller
from appliance.live.errors import CallStatus, ScanError
from appliance.serve.seldom import Seldom

logger = logging.getLogger(__name__)

#: Calls that are short and must always be answered; they take no place of the others.
_HEALTH = ("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List")
#: Calls that last as long as the caller likes and are open to whoever gets a connection.
_LASTING = (
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
#: Of these one caller may have so many at once.
_HEALTH_EACH, _LASTING_EACH = 32, 8
#: When a place may be free again, s.
_FREE_AGAIN_S = 5.0


class Places:
    """The places that calls take. Used from the event loop only.

    Parameters
    ----------
    most
        Calls at once, those about health aside.
    each
        The same, of one caller.
    """

    def __init__(self, most: int, each: int) -> None:
        self._most, self._each = most, min(each, most)
        self._taken: Counter[tuple[str, str]] = Counter()
        self._all = 0
        self._seldom = Seldom(logger)

    @contextlib.contextmanager
    def one(self, caller: Caller, method: str) -> Iterator[None]:
        """A place for a call, until the block ends.

        Raises
        ------
        ScanError
            When this caller, or all of them together, have as many as they may.
        """
        kind, each = self._kind(method)
        key = _known_as(caller), kind
        counts = kind != "health"
        if self._taken[key] >= each:
            raise self._refused("caller", each)
        if counts and self._all >= self._most:
            raise self._refused("appliance", self._most)
        self._taken[key] += 1
        self._all += counts
        try:
            yield
        finally:
            self._all -= counts
            self._taken[key] -= 1
            if not self._taken[key]:
                del self._taken[key]

    def _kind(self, method: str) -> tuple[str, int]:
        if method in _HEALTH:
            return "health", _HEALTH_EACH
        if method in _LASTING:
            return "lasting", min(_LASTING_EACH, self._each)
        return "call", self._each

    def _refused(self, whose: str, limit: int) -> ScanError:
        self._seldom.warning("calls are refused: the %s has %d already", whose, limit)
        whole = "This caller has" if whose == "caller" else "Callers have"
        return ScanError(
            CallStatus.RESOURCE_EXHAUSTED,
            "TOO_MANY_CALLS",
            f"{whole} {limit} calls of this kind open, the most that are allowed. Try again soon.",
            {"limit": str(limit), "of": whose},
            _FREE_AGAIN_S,
        )


def _known_as(caller: Caller) -> str:
    """By its certificate, or the host it calls from."""
    if caller.name:
        return f"name {caller.name}"
    return f"host {caller.address.rpartition(':')[0] or caller.address}"
