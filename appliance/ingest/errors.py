"""How a slice is turned away."""

from __future__ import annotations

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


class ReadersUnavailableError(Exception):
    """The box cannot read slices just now, for want of processes or memory.

    It says nothing of the slice, which may be sent again.
    """


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
