"""How a slice is turned away."""

from __future__ import annotations

import errno

from appliance.scan.verdicts import Refusal, RefusalReason


class SliceRefusedError(Exception):
    """One slice cannot be used; the scan goes on without it.

    Attributes
    ----------
    refusal
        The machine-readable reason and a sentence a technologist understands.
    """

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.reason}: {refusal.message}")
        self.refusal = refusal


#: What the system says when it has no memory, file handle or process left.
_NOTHING_LEFT = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN)


class ReadersUnavailableError(Exception):
    """The box cannot read slices just now, for want of processes or memory.

    It says nothing of the slice, which may be sent again.
    """


def is_of_the_box(error: BaseException) -> bool:
    """Whether the system had nothing left, so that the error says nothing of a slice."""
    return isinstance(error, OSError) and error.errno in _NOTHING_LEFT


def refuse(reason: RefusalReason, message: str, **values: object) -> SliceRefusedError:
    """Build the error to raise.

    Parameters
    ----------
    reason, message
        As in :class:`~appliance.scan.verdicts.Refusal`.
    **values
        What led to it, e.g. ``rows=70000``. Never patient data.
    """
    metadata = {name: str(value) for name, value in values.items()}
    return SliceRefusedError(Refusal(reason, message, metadata))
