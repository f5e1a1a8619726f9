"""Refines with what is being done on stderr."""

from __future__ import annotations

from rich.console import Console

from calibration.review import ReviewFolder
from calibration.review.ledger import Entry
from calibration.review.refine import Refinement, refine


def refine_shown(review: ReviewFolder, asked: Refinement) -> Entry:
    """As :func:`calibration.review.refine.refine`, and its errors."""
    with Console(stderr=True).status("reading") as status:
        return refine(review, asked, status.update)
