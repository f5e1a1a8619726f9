"""The model repository: which models there are and what each wants to see.

A repository is a folder in Triton's layout, ``<model>/config.pbtxt`` and
``<model>/<version>/model.onnx``; ``spec.toml`` beside config.pbtxt holds what
Triton has no field for.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from engines.artefacts import PRECISIONS, Artefact, ModelError, read_artefact
from engines.parts import DIVIDING, LOBE_NAMES, parts_fault

__all__ = [
    "FORMS",
    "PRECISIONS",
    "ROLES",
    "SECTIONS",
    "SHIPPED",
    "SPEC",
    "Artefact",
    "ModelError",
    "ModelSpec",
    "WarmUp",
    "half",
    "load_repository",
    "load_spec",
]

_T = TypeVar("_T", int, float)

#: The models that ship with the project.
SHIPPED = Path(__file__).resolve().parent / "repository"

#: The file in a model's folder that describes it.
SPEC = "spec.toml"
SECTIONS = ("thin", "medium", "thick")
ROLES = ("lung", "lesion", *DIVIDING)
#: What a model answers: the middle plane of those it sees, or each of them.
FORMS = ("neighbours", "block")


@dataclass(frozen=True, slots=True)
class WarmUp:
    """The answer to the warm-up input, as another runtime gave it when the model was sealed."""

    mean: float
    maximum: float


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What a model is, what it wants to see and how good it is.

    Parameters
    ----------
    name, version
        As the folder is called.
    role
        "lung", "lesion", "lobes" or "segments".
    sections
        The sections it serves: "thin", "medium", "thick".
    planes
        Input planes. "neighbours": an odd number, the middle one is the target
        slice. "block": each of them is answered.
    neighbour_mm
        Distance between planes in mm; 0 for a single plane.
    size
        Rows and columns of a plane.
    window_hu
        HU that map to 0 and to 1.
    input_name, output_name
        Tensors of the network: (N, planes, rows, columns) float32 in [0, 1],
        and (N, output planes, rows, columns) float32, probabilities.
    threshold
        Probability from which a pixel is in the mask.
    artefacts
        Files, best precision last.
    accuracy
        Figures on patients the model was not trained on, from its card.
    form
        "neighbours" (2-D and 2.5-D) or "block" (3-D).
    overlap
        Planes that consecutive blocks share, at most half of them; 0 for neighbours.
    maps
        Probabilities that a block model gives of each voxel, the planes of the first map
        first: one a lobe or segment.
    map_names
        What the maps of a segments model are, snake_case; see :attr:`parts`.
    """

    name: str
    version: int
    role: str
    sections: tuple[str, ...]
    planes: int
    neighbour_mm: float
    size: tuple[int, int]
    window_hu: tuple[float, float]
    input_name: str
    output_name: str
    threshold: float
    artefacts: tuple[Artefact, ...]
    warm_up: WarmUp | None = None
    accuracy: Mapping[str, float] = field(default_factory=dict)
    form: str = "neighbours"
    overlap: int = 0
    maps: int = 1
    map_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ModelError(f"{self.name}: role must be one of {ROLES}, not {self.role!r}")
        if not self.sections or set(self.sections) - set(SECTIONS):
            raise ModelError(f"{self.name}: sections must be some of {SECTIONS}")
        parts = parts_fault(self.role, self.form, self.maps, self.map_names)
        if fault := self._form_fault() or parts:
            raise ModelError(f"{self.name}: {fault}")
        if not self.window_hu[0] < self.window_hu[1]:
            raise ModelError(f"{self.name}: window {self.window_hu} is empty")
        if not self.artefacts:
            raise ModelError(f"{self.name}: no artefact is listed")

    @property
    def output_planes(self) -> int:
        """Planes of one answer: all of a block, once a map; one of neighbours."""
        return self.planes * self.maps if self.form == "block" else 1

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the lung that the maps are, the first one's label is 1; else none."""
        return LOBE_NAMES if self.role == "lobes" else self.map_names

    @property
    def contract(self) -> str:
        """How the network is fed and its answer read, in words: what a gate judges beside files."""
        rows, columns = self.size
        low, high = self.window_hu
        maps = f", {self.maps} maps" if self.maps > 1 else ""
        maps += f" of {', '.join(self.map_names)}" if self.map_names else ""
        return (
            f"{self.planes} planes of {rows} x {columns} as {self.form}, {self.neighbour_mm} mm "
            f"apart, {self.overlap} shared, {low} to {high} HU, threshold {self.threshold}{maps}"
        )

    def _form_fault(self) -> str | None:
        """What is wrong with form, planes, their distance and overlap."""
        if self.form not in FORMS:
            return f"form must be one of {FORMS}, not {self.form!r}"
        if self.maps < 1 or (self.form == "neighbours" and self.maps > 1):
            return f"maps must be 1, and at least 1 of a block, not {self.maps}"
        if self.form == "neighbours":
            if self.planes < 1 or self.planes % 2 == 0:
                return f"planes must be odd, not {self.planes}"
            return "only blocks overlap" if self.overlap else None
        if self.planes < 2:
            return f"a block has at least 2 planes, not {self.planes}"
        if self.neighbour_mm <= 0:
            return "the planes of a block need a distance between them"
        if not 0 <= self.overlap <= self.planes // 2:
            return f"overlap must be 0 to {self.planes // 2} planes, not {self.overlap}"
        return None

    def artefact(self, precision: str, dialects: Sequence[str] = ()) -> Artefact:
        """The file of one precision; of several dialects, the first that is asked for.

        Raises
        ------
        ModelError
            When there is none.
        """
        for dialect in ("", *dialects):
            for artefact in self.artefacts:
                if (artefact.precision, artefact.dialect) == (precision, dialect):
                    return artefact
        wanted = f" for {' or '.join(dialects)}" if dialects and precision != "fp32" else ""
        raise ModelError(f"{self.name}: no {precision} artefact{wanted}")


def half(spec: ModelSpec) -> Artefact:
    """The model's fp32 file, to be made fp16 by a runtime that can; it needs no gate."""
    return replace(spec.artefact("fp32"), precision="fp16")


def load_spec(folder: Path, file: Path = Path(SPEC)) -> ModelSpec:
    """Read ``spec.toml`` of one model folder.

    Parameters
    ----------
    file
        Where it lies in the folder.

    Raises
    ------
    ModelError
        When the file is missing, is no TOML, lacks a field, or names another folder.
    """
    path = folder / file
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        spec = _spec(folder, table)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: field missing or wrong: {error!r}") from error
    if spec.name != folder.absolute().name:
        raise ModelError(f"{path}: a model is called as its folder, not {spec.name!r}")
    return spec


def _spec(folder: Path, table: Mapping[str, object]) -> ModelSpec:
    inputs, outputs = _table(table["input"]), _table(table["output"])
    warm_up = table.get("warm_up")
    return ModelSpec(
        name=str(table["name"]),
        version=int(str(table["version"])),
        role=str(table["role"]),
        sections=tuple(str(section) for section in _list(table["sections"])),
        planes=int(str(inputs["planes"])),
        neighbour_mm=float(str(inputs["neighbour_mm"])),
        form=str(inputs.get("form", "neighbours")),
        overlap=int(str(inputs.get("overlap", 0))),
        maps=int(str(outputs.get("maps", 1))),
        map_names=tuple(str(name) for name in _list(outputs.get("names", []))),
        size=_pair(inputs["size"], int),
        window_hu=_pair(inputs["window_hu"], float),
        input_name=str(inputs["name"]),
        output_name=str(outputs["name"]),
        threshold=float(str(outputs["threshold"])),
        artefacts=tuple(read_artefact(folder, _table(entry)) for entry in _list(table["artefact"])),
        warm_up=None if warm_up is None else _warm_up(_table(warm_up)),
        accuracy={
            name: float(str(value)) for name, value in _table(table.get("accuracy", {})).items()
        },
    )


def _warm_up(table: Mapping[str, object]) -> WarmUp:
    return WarmUp(float(str(table["mean"])), float(str(table["maximum"])))


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"expected a table, found {value!r}")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {value!r}")
    return value


def _pair(value: object, kind: type[_T]) -> tuple[_T, _T]:
    first, second = _list(value)
    return kind(str(first)), kind(str(second))


def load_repository(folder: Path = SHIPPED) -> list[ModelSpec]:
    """The specs of every model folder, by name.

    Raises
    ------
    ModelError
        When the folder holds no model, or one of them is broken.
    """
    specs = [load_spec(path.parent) for path in sorted(folder.glob(f"*/{SPEC}"))]
    if not specs:
        raise ModelError(f"{folder}: no model found (no <model>/spec.toml)")
    return specs
