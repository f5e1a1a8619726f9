"""Editions: the models that one scan is inferred with, from its first slice to its report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from appliance.inference.shapes import slab_shapes
from appliance.scan.slabs import SlabShape
from appliance.scan.stack import Section
from engines.models import ModelSpec


@dataclass(frozen=True, slots=True)
class Edition:
    """Models that serve together, each in one version; never changed.

    Two with the same models are the same edition.

    Parameters
    ----------
    specs
        By name.
    shapes
        The slab that the lesion models want in each section.
    """

    specs: tuple[ModelSpec, ...]
    shapes: Mapping[Section, SlabShape] = field(compare=False)

    @classmethod
    def of(cls, specs: Iterable[ModelSpec]) -> Edition:
        """Some models; parameters and errors of :func:`appliance.inference.shapes.slab_shapes`."""
        by_name = tuple(sorted(specs, key=lambda spec: spec.name))
        return cls(by_name, slab_shapes(by_name))

    def __hash__(self) -> int:
        return hash(tuple((spec.name, spec.version) for spec in self.specs))

    def __str__(self) -> str:
        return ", ".join(f"{spec.name} {spec.version}" for spec in self.specs)

    def spec(self, name: str) -> ModelSpec | None:
        """The model of that name; None where there is none."""
        return next((spec for spec in self.specs if spec.name == name), None)

    def with_spec(self, spec: ModelSpec) -> Edition:
        """The same with another version of one model; raises as :meth:`of`."""
        return Edition.of(spec if one.name == spec.name else one for one in self.specs)


#: Of work that no edition was chosen for.
NO_MODELS = Edition((), {})
