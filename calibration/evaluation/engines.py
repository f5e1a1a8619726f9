"""The engines of an evaluation: those of a repository, or one lesion model for every section."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from appliance.inference.shapes import slab_shapes
from appliance.scan.scan import ScanPolicy
from calibration.evaluation.errors import EvaluationError
from engines.models import SECTIONS, SHIPPED, ModelSpec, load_repository
from engines.runtimes import choose
from engines.segmenter import Segmenter


def load_engines(
    repository: Path = SHIPPED, model: str | None = None, precision: str | None = None
) -> tuple[Segmenter, ScanPolicy]:
    """Warm engines, and how scans are cut for them.

    Parameters
    ----------
    repository
        Folder of models.
    model
        The lesion model that serves every section; by default each its own.
    precision
        "fp32", "fp16" or "int8"; by default the one the daemon would choose.

    Raises
    ------
    EvaluationError
        When `model` is no lesion model of the repository.
    ModelError, RuntimeUnavailableError
        When the models cannot be served.
    """
    specs = load_repository(repository)
    if model is not None:
        specs = _with_one_lesion_model(specs, model)
    return Segmenter(specs, choose(), precision), ScanPolicy(slab_shapes(specs))


def _with_one_lesion_model(specs: Sequence[ModelSpec], name: str) -> list[ModelSpec]:
    lesion = {spec.name: spec for spec in specs if spec.role == "lesion"}
    if name not in lesion:
        raise EvaluationError(
            f"no lesion model is called {name!r}; there are {', '.join(sorted(lesion))}"
        )
    others = [spec for spec in specs if spec.role != "lesion"]
    return [*others, replace(lesion[name], sections=SECTIONS)]
