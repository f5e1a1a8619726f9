"""What an evaluation cannot go on with."""

from __future__ import annotations


class EvaluationError(Exception):
    """Labelled data, or a choice of model, that cannot be evaluated; the message is a sentence."""
