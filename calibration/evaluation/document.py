"""An evaluation as one JSON document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version

from calibration.evaluation.figures import CaseFigures
from calibration.evaluation.outcomes import OutcomeFigures
from calibration.evaluation.radiomics import LIBRARY, FeatureErrors, over_cases
from calibration.evaluation.summary import overall
from engines.segmenter import Segmenter
from engines.warm_up import Engine

_PACKAGES = ("breathhold", "openvino", "nvidia-dali-cuda130", "numpy", "scipy", "simpleitk")


@dataclass(frozen=True, slots=True)
class Extras:
    """What an evaluation measured beside, None where nobody asked.

    Parameters
    ----------
    outcomes
        The scores against what became of the patients.
    radiomics
        Features of the found lesion against those of the labelled one, by case.
    """

    outcomes: OutcomeFigures | None = None
    radiomics: Mapping[str, FeatureErrors] | None = None


NO_EXTRAS = Extras()


def document(
    figures: Sequence[CaseFigures],
    segmenter: Segmenter,
    failed: Mapping[str, str],
    extras: Extras = NO_EXTRAS,
) -> dict[str, object]:
    """The evaluation by name.

    Parameters
    ----------
    figures
        One a case that could be evaluated.
    segmenter
        What made them.
    failed
        Why the other cases could not, by case.
    extras
        What else was measured.

    Returns
    -------
    ``cases``: one object a case (:meth:`CaseFigures.record`). ``failed``: ``case``
    and ``error`` of the others. ``overall``: see
    :func:`overall`. ``models``: by name their version, role, sections, precision,
    SHA-256, runtime and device. ``precision``: the lesion models' one, or all of
    them. ``versions``: of the packages that made the figures. ``outcomes``: see
    :class:`OutcomeFigures`; ``radiomics``: by case and over cases, see :func:`over_cases`; null
    where nobody asked.
    """
    lesion = {
        engine.artefact.precision
        for engine in segmenter.engines.values()
        if engine.spec.role == "lesion"
    }
    return {
        "cases": [one.record() for one in figures],
        "failed": [{"case": case, "error": error} for case, error in failed.items()],
        "overall": overall(figures),
        "models": {name: _model(engine) for name, engine in sorted(segmenter.engines.items())},
        "precision": ", ".join(sorted(lesion)),
        "versions": {package: version(package) for package in _PACKAGES},
        "outcomes": extras.outcomes and extras.outcomes.record(),
        "radiomics": _radiomics(extras.radiomics),
    }


def _radiomics(cases: Mapping[str, FeatureErrors] | None) -> dict[str, object] | None:
    if cases is None:
        return None
    return {
        "library": LIBRARY,
        "cases": dict(cases),
        "overall": {name: asdict(one) for name, one in over_cases(cases.values()).items()},
    }


def _model(engine: Engine) -> dict[str, object]:
    return {
        "version": engine.spec.version,
        "role": engine.spec.role,
        "sections": list(engine.spec.sections),
        "precision": engine.artefact.precision,
        "sha256": engine.artefact.sha256,
        "runtime": engine.runtime,
        "device": engine.device,
    }
