"""Which lesion model serves which section, and the slab it wants to see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from appliance.scan.slabs import Form, SlabShape
from appliance.scan.stack import Section
from engines.models import ModelError, ModelSpec


def lesion_models(specs: Iterable[ModelSpec]) -> Mapping[Section, ModelSpec]:
    """The lesion model that serves each section.

    Parameters
    ----------
    specs
        Models of a repository; those of other roles are passed over.

    Raises
    ------
    ModelError
        When a section is served by none, or by two.
    """
    models: dict[Section, ModelSpec] = {}
    for spec in specs:
        for section in map(Section, spec.sections if spec.role == "lesion" else ()):
            if other := models.get(section):
                raise ModelError(
                    f"{other.name} and {spec.name} both serve {section.value} sections"
                )
            models[section] = spec
    if missing := [section.value for section in Section if section not in models]:
        raise ModelError(f"no lesion model serves {', '.join(missing)} sections")
    return models


def slab_shapes(specs: Iterable[ModelSpec]) -> Mapping[Section, SlabShape]:
    """The slab to cut in each section; parameters and errors of :func:`lesion_models`."""
    return {section: _shape(spec) for section, spec in lesion_models(specs).items()}


def _shape(spec: ModelSpec) -> SlabShape:
    return SlabShape(spec.name, spec.planes, spec.neighbour_mm, Form(spec.form), spec.overlap)
