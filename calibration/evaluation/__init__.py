"""Accuracy on labelled scans, measured on the daemon's own path.

>>> segmenter, policy = load_engines()                        # doctest: +SKIP
>>> figures = [evaluate_case(read_case(folder), segmenter, policy)
...            for folder in find_cases(data)]                 # doctest: +SKIP
>>> overall(figures)["dice_lesion_mean"]                       # doctest: +SKIP
"""

from calibration.evaluation.agreement import Agreement, agreement
from calibration.evaluation.cases import LabelledCase, find_cases, read_case, section_of_case
from calibration.evaluation.document import Extras, document
from calibration.evaluation.engines import load_engines
from calibration.evaluation.errors import EvaluationError
from calibration.evaluation.figures import CaseFigures, RegionFigures
from calibration.evaluation.outcomes import Outcome, compare_outcomes, read_outcomes
from calibration.evaluation.run import FoundMasks, compare, evaluate_case, segment_case
from calibration.evaluation.summary import overall, sections

__all__ = [
    "Agreement",
    "CaseFigures",
    "EvaluationError",
    "Extras",
    "FoundMasks",
    "LabelledCase",
    "Outcome",
    "RegionFigures",
    "agreement",
    "compare",
    "compare_outcomes",
    "document",
    "evaluate_case",
    "find_cases",
    "load_engines",
    "overall",
    "read_case",
    "read_outcomes",
    "section_of_case",
    "sections",
    "segment_case",
]
