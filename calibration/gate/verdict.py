"""What the gate asks of an INT8 network, and its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from calibration.evaluation import EvaluationError

#: Mean Dice may fall by so much.
MOST_DICE_FALL = 0.005
#: |PO| and |PHO| may move by so many points, on average and on any scan.
MOST_MOVED_MEAN = 0.1
MOST_MOVED = 0.3
#: INT8 must be at least so many times as fast as fp32.
LEAST_SPEED_UP = 1.0
#: Differences smaller than this are none.
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of one case; Dice against its labels, PO and PHO in percent; None where it cannot be."""

    dice_lesion: float | None
    dice_lung: float | None
    po: float | None
    pho: float | None


@dataclass(frozen=True, slots=True)
class Compared:
    """One case in fp32 and in INT8.

    Parameters
    ----------
    case
        Its name.
    fp32, int8
        The model, all others in fp32.
    together
        The model with every other one that is served in INT8; None where there is none.
    """

    case: str
    fp32: Accuracy
    int8: Accuracy
    together: Accuracy | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's answer.

    Parameters
    ----------
    reasons
        Why it did not pass, a sentence each; none when it did.
    figures
        dice_lesion_fall, dice_lung_fall; po_moved_mean, po_moved_most,
        pho_moved_mean, pho_moved_most; the same with ``together_`` before the name;
        speed_up where it was measured.
    """

    reasons: tuple[str, ...]
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return not self.reasons


def judge(compared: Sequence[Compared], speed_up: float | None = None) -> Verdict:
    """Compare fp32 and INT8 over cases, alone and together: both must pass.

    Parameters
    ----------
    compared
        At least one case, with PO, PHO and a Dice in some of them.
    speed_up
        fp32's time over INT8's; None where speed is not judged.

    Raises
    ------
    EvaluationError
        When there is nothing to judge by.
    """
    figures, reasons = _judged([Compared(one.case, one.fp32, one.int8) for one in compared])
    if joint := [
        Compared(one.case, one.fp32, one.together) for one in compared if one.together is not None
    ]:
        more, faults = _judged(joint)
        figures |= {f"together_{name}": value for name, value in more.items()}
        reasons += [f"together with the other int8 models {fault}" for fault in faults]
    if speed_up is not None:
        figures["speed_up"] = speed_up
        if speed_up < LEAST_SPEED_UP:
            reasons.append(f"it is not faster than fp32 ({speed_up:.2f} x)")
    return Verdict(tuple(reasons), figures)


def _judged(compared: Sequence[Compared]) -> tuple[dict[str, float], list[str]]:
    """Figures of fp32 and `int8`, and why they do not do."""
    figures: dict[str, float] = {}
    reasons: list[str] = []
    for name in ("dice_lesion", "dice_lung"):
        if pairs := _pairs(compared, name):
            fall = fmean(before for before, _ in pairs) - fmean(after for _, after in pairs)
            figures[f"{name}_fall"] = fall
            _ask(fall, MOST_DICE_FALL, f"mean {name} falls by", reasons)
    if not figures:
        raise EvaluationError("no case of the gate carries labels")
    for name in ("po", "pho"):
        moved = [abs(after - before) for before, after in _pairs(compared, name)]
        if not moved:
            raise EvaluationError(f"no case of the gate has a {name.upper()}")
        figures[f"{name}_moved_mean"], figures[f"{name}_moved_most"] = fmean(moved), max(moved)
        _ask(fmean(moved), MOST_MOVED_MEAN, f"{name.upper()} moves on average by", reasons)
        _ask(max(moved), MOST_MOVED, f"{name.upper()} moves on one scan by", reasons)
    return figures, reasons + _lost_scores(compared)


def _ask(found: float, most: float, what: str, reasons: list[str]) -> None:
    if not found <= most + _EPSILON:
        reasons.append(f"{what} {found:.4f}, at most {most} is allowed")


def _lost_scores(compared: Sequence[Compared]) -> list[str]:
    """A score that only one of the two gives."""
    return [
        f"only one of fp32 and int8 has a PO in {one.case}"
        for one in compared
        if (one.fp32.po is None) != (one.int8.po is None)
    ]


def _pairs(compared: Sequence[Compared], name: str) -> list[tuple[float, float]]:
    pairs = [(getattr(one.fp32, name), getattr(one.int8, name)) for one in compared]
    return [(a, b) for a, b in pairs if a is not None and b is not None]
