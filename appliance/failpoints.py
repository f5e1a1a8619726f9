"""Named places where a test makes the daemon fail, so that each fault is hit and not left to luck.

Off unless the environment variable BREATHHOLD_FAILPOINTS says otherwise, which the daemon tells
loudly. It holds NAME=ACTION, several parted by commas; an action is one of

- ``kill``: the process ends as by ``kill -9``
- ``ENOSPC``, ``EIO`` or another name of errno: that OSError is raised
- ``fault``: a RuntimeError is raised, as a mistake in the code would
- ``hang``: the thread sleeps for an hour
- ``sleep:SECONDS``: the thread sleeps

and may end with ``@N`` (only the Nth time, from 1), ``@N-M`` (from the Nth to the Mth time) or
``@N+`` (from the Nth time on).
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)

VARIABLE = "BREATHHOLD_FAILPOINTS"
_HOUR_S = 3600.0
#: Every failpoint, and when it is met.
NAMES: Mapping[str, str] = {
    "spool.queue": "a record is put in line for the disk",
    "spool.write": "a group of records is about to be written",
    "spool.sync": "it is written and not synced",
    "spool.synced": "it is synced and nobody was told",
    "spool.remove": "the slices of a scan are about to be removed",
    "ack": "a slice is durable and its acknowledgement not sent",
    "decode": "a slice's pixels are about to be decoded",
    "decoder": "a process of its own is about to read a DICOM slice",
    "queue.take": "a worker has taken jobs from the queue",
    "engine": "a batch is about to be inferred",
    "engine.answer": "a batch is inferred and its results not delivered",
    "results.save": "a report is about to be saved",
    "results.commit": "it is written into a transaction that is not committed",
    "results.saved": "it is committed and not sent",
    "models.load": "engines of another version are about to be loaded",
    "models.keep": "a choice of models is about to be kept",
    "models.kept": "it is kept and does not serve yet",
    "audit": "an event is about to be written into the audit trail",
}
_RULE = re.compile(
    r"(?P<name>[a-z.]+)=(?P<action>[A-Za-z]+(:[\d.]+)?)"
    r"(@(?P<first>[1-9]\d*)((?P<on>\+)|-(?P<last>[1-9]\d*))?)?"
)


class FailpointError(ValueError):
    """A plan of failures that cannot be understood."""


@dataclass(frozen=True, slots=True)
class _Rule:
    act: Callable[[], None]
    turns: range
    times: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def meet(self) -> None:
        if next(self.times) in self.turns:
            self.act()


def plan(text: str) -> dict[str, _Rule]:
    """What a value of the environment variable asks for.

    Raises
    ------
    FailpointError
        When it is no plan.
    """
    rules = {}
    for part in filter(None, text.split(",")):
        found = _RULE.fullmatch(part.strip())
        if not found:
            raise FailpointError(f"{VARIABLE}: {part!r} is not NAME=ACTION or NAME=ACTION@N")
        if found["name"] not in NAMES:
            raise FailpointError(f"{VARIABLE}: there is no failpoint {found['name']!r}")
        rules[found["name"]] = _Rule(_action(found["action"]), _turns(found))
    return rules


def _turns(found: re.Match[str]) -> range:
    """The times, from 1, at which a rule acts."""
    if not found["first"]:
        return range(1, sys.maxsize)
    first = int(found["first"])
    last = int(found["last"] or first)
    return range(first, sys.maxsize if found["on"] else last + 1)


def arm(text: str) -> None:
    """Take a plan in place of the environment's; counts begin anew.

    Raises
    ------
    FailpointError
        When it is no plan.
    """
    global _rules
    _rules = plan(text)


def hit(name: str) -> None:
    """Fail here if that was asked for."""
    if _rules:
        _meet(name)


def _meet(name: str) -> None:
    if name not in NAMES:
        raise FailpointError(f"there is no failpoint {name!r}")
    rule = _rules.get(name)
    if rule:
        rule.meet()


def warn_if_on() -> None:
    """Log it when this process is made to fail."""
    if _rules:
        logger.warning("%s is set, this daemon fails on purpose: %s", VARIABLE, ", ".join(_rules))


def _action(text: str) -> Callable[[], None]:
    kind, _, seconds = text.partition(":")
    if kind == "kill":
        return lambda: os.kill(os.getpid(), signal.SIGKILL)
    if kind == "fault":
        return _fault
    if kind == "hang":
        return lambda: time.sleep(_HOUR_S)
    if kind == "sleep" and seconds:
        return lambda: time.sleep(float(seconds))
    number = getattr(errno, kind, None)
    if isinstance(number, int):
        return lambda: _fail(number)
    raise FailpointError(f"{VARIABLE}: there is no action {text!r}")


def _fault() -> None:
    raise RuntimeError("a failpoint's fault")


def _fail(number: int) -> None:
    raise OSError(number, os.strerror(number))


_rules = plan(os.environ.get(VARIABLE, ""))
