"""A model repository of tiny networks, real ONNX, for tests of everything around models.

`lung` calls everything below about -300 HU lung; `lesion` calls it lesion where
the mean of its three planes lies above about -650 HU. In a repository with
blocks, `lesion_thin` does the same with the mean of each plane of a block and
its two neighbours, and `lesion_thick` is `lesion`. `lobes` divides the box around the
lungs by planes: each side into an upper and a lower half, on the right with a middle;
`segments` cuts the right side into ten layers and the left one into eight.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 64
WINDOW = (-1350.0, 250.0)


ALL_SECTIONS = ("thin", "medium", "thick")
BLOCK_PLANES, BLOCK_OVERLAP = 8, 2
LOBE_PLANES = LOBE_SIZE = 16
SEGMENTS_A_SIDE = {"right": 10, "left": 8}
#: From the feet up.
SEGMENT_NAMES = tuple(
    f"{side}_segment_{number}"
    for side, segments in SEGMENTS_A_SIDE.items()
    for number in range(segments, 0, -1)
)


def write_tiny_repository(folder: Path) -> Path:
    """Write lung and lesion model and return the folder."""
    _write_lung(folder)
    _write_neighbours(folder / "lesion", ALL_SECTIONS)
    return folder


def add_lesion_version(repository: Path, version: int, above_hu: float) -> None:
    """Put another version of the lesion model beside version 1, which goes on being described."""
    model, folder = repository / "lesion", repository / "lesion" / str(version)
    folder.mkdir()
    network = folder / "model.onnx"
    onnx.save(_network(3, 40.0, _windowed(above_hu)), network)
    described = (model / "spec.toml").read_text()
    (model / "1" / "spec.toml").write_text(described)
    old, new = (
        hashlib.sha256(path.read_bytes()).hexdigest() for path in (model / "1/model.onnx", network)
    )
    text = described.replace("version = 1", f"version = {version}").replace(old, new)
    (folder / "spec.toml").write_text(text.replace("1/model.onnx", f"{version}/model.onnx"))


def describe_lesion_version(repository: Path, version: int) -> None:
    """Have the repository describe, and so serve, a version of the lesion model."""
    model = repository / "lesion"
    shutil.copy(model / str(version) / "spec.toml", model / "spec.toml")


def write_block_repository(folder: Path) -> Path:
    """Write a lung model, a block model for thin sections and one of neighbours for the others."""
    _write_lung(folder)
    _write_neighbours(folder / "lesion_thick", ALL_SECTIONS[1:])
    network = _block_network(BLOCK_PLANES, 40.0, _windowed(-650.0))
    form = f'neighbour_mm = 3.0\nform = "block"\noverlap = {BLOCK_OVERLAP}'
    _write(folder / "lesion_thin", "lesion", ("thin",), BLOCK_PLANES, form, network)
    return folder


def write_lobes_repository(folder: Path) -> Path:
    """Write the models of :func:`write_tiny_repository` and one of lobes."""
    write_tiny_repository(folder)
    _write_dividing(folder / "lobes", _lobes_network(), 5)
    return folder


def write_segments_repository(folder: Path) -> Path:
    """Write the models of :func:`write_lobes_repository` and one of segments."""
    write_lobes_repository(folder)
    _write_dividing(
        folder / "segments", _segments_network(), len(SEGMENT_NAMES), names=SEGMENT_NAMES
    )
    return folder


def _write_dividing(
    folder: Path, network: onnx.ModelProto, maps: int, names: Sequence[str] = ()
) -> None:
    form = 'neighbour_mm = 2.0\nform = "block"'
    role, sections, size = folder.name, ALL_SECTIONS, LOBE_SIZE
    _write(folder, role, sections, LOBE_PLANES, form, network, size, maps, names)


def _write_lung(folder: Path) -> None:
    network = _network(1, -40.0, _windowed(-300.0))
    _write(folder / "lung", "lung", ALL_SECTIONS, 1, "neighbour_mm = 0.0", network)


def _write_neighbours(folder: Path, sections: Sequence[str]) -> None:
    network = _network(3, 40.0, _windowed(-650.0))
    _write(folder, "lesion", sections, 3, "neighbour_mm = 3.0", network)


def _windowed(hu: float) -> float:
    return (hu - WINDOW[0]) / (WINDOW[1] - WINDOW[0])


def _write(
    folder: Path,
    role: str,
    sections: Sequence[str],
    planes: int,
    form: str,
    network: onnx.ModelProto,
    size: int = SIZE,
    maps: int = 1,
    names: Sequence[str] = (),
) -> None:
    (folder / "1").mkdir(parents=True)
    path = folder / "1" / "model.onnx"
    onnx.save(network, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    several = f"\nmaps = {maps}" if maps > 1 else ""
    several += f"\nnames = {json.dumps(names)}" if names else ""
    (folder / "spec.toml").write_text(
        f"""
name = "{folder.name}"
version = 1
role = "{role}"
sections = {json.dumps(sections)}
[input]
name = "planes"
planes = {planes}
{form}
size = [{size}, {size}]
window_hu = [{WINDOW[0]}, {WINDOW[1]}]
[output]
name = "probability"
threshold = 0.5{several}
[[artefact]]
precision = "fp32"
file = "1/model.onnx"
sha256 = "{sha256}"
"""
    )


def _network(planes: int, slope: float, level: float) -> onnx.ModelProto:
    """sigmoid(slope * (mean of the planes - level)), as one 1 x 1 convolution."""
    weight = np.full((1, planes, 1, 1), slope / planes, np.float32)
    return _model(
        [helper.make_node("Conv", ["planes", "weight", "bias"], ["logit"])],
        planes,
        1,
        weight,
        -slope * level,
    )


def _block_network(planes: int, slope: float, level: float) -> onnx.ModelProto:
    """sigmoid(slope * (mean of each plane and its neighbours - level)), a 3 x 1 x 1 convolution."""
    weight = np.full((1, 1, 3, 1, 1), slope / 3, np.float32)
    nodes = [
        helper.make_node("Unsqueeze", ["planes", "channel"], ["volume"]),
        helper.make_node("Pad", ["volume", "ends"], ["padded"], mode="edge"),
        helper.make_node("Conv", ["padded", "weight", "bias"], ["filtered"]),
        helper.make_node("Squeeze", ["filtered", "channel"], ["logit"]),
    ]
    ends = np.array([0, 0, 1, 0, 0, 0, 0, 1, 0, 0], np.int64)
    constants = {"channel": np.array([1], np.int64), "ends": ends}
    return _model(nodes, planes, planes, weight, -slope * level, constants)


def _lobes_network() -> onnx.ModelProto:
    right, left = _sides()
    return _dividing_network(
        [
            (slice(11, LOBE_PLANES), right),
            (slice(7, 11), right),
            (slice(7), right),
            (slice(8, LOBE_PLANES), left),
            (slice(8), left),
        ]
    )


def _segments_network() -> onnx.ModelProto:
    boxes = []
    for segments, side in zip(SEGMENTS_A_SIDE.values(), _sides(), strict=True):
        edges = np.linspace(2, LOBE_PLANES - 2, segments + 1).astype(int)
        edges[0], edges[-1] = 0, LOBE_PLANES
        boxes += [(slice(int(low), int(high)), side) for low, high in pairwise(edges)]
    return _dividing_network(boxes)


def _sides() -> tuple[slice, slice]:
    """Columns of the right and of the left lung."""
    return slice(LOBE_SIZE // 2), slice(LOBE_SIZE // 2, LOBE_SIZE)


def _dividing_network(boxes: Sequence[tuple[slice, slice]]) -> onnx.ModelProto:
    """sigmoid(a map of each part + the planes): a part is likely in its planes and columns."""
    parts, planes, size = len(boxes), LOBE_PLANES, LOBE_SIZE
    likely = np.full((parts, planes, size, size), -4.0, np.float32)
    for one, (along, side) in zip(likely, boxes, strict=True):
        one[along, :, side] = 4.0
    nodes = [
        helper.make_node("Concat", ["planes"] * parts, ["repeated"], axis=1),
        helper.make_node("Add", ["repeated", "likely"], ["logit"]),
    ]
    maps = {"likely": likely.reshape(1, parts * planes, size, size)}
    return _graph(nodes, planes, parts * planes, size, maps)


def _model(
    nodes: Sequence[onnx.NodeProto],
    planes: int,
    answered: int,
    weight: npt.NDArray[np.float32],
    bias: float,
    constants: Mapping[str, npt.NDArray[np.int64]] | None = None,
) -> onnx.ModelProto:
    """Nodes with a weight and a bias; see :func:`_graph`."""
    arrays = {"weight": weight, "bias": np.array([bias], np.float32), **(constants or {})}
    return _graph(nodes, planes, answered, SIZE, arrays)


def _graph(
    nodes: Sequence[onnx.NodeProto],
    planes: int,
    answered: int,
    size: int,
    arrays: Mapping[str, npt.NDArray[np.generic]],
) -> onnx.ModelProto:
    """What makes "logit" out of "planes", and its sigmoid."""
    shapes = {"planes": ["N", planes, size, size], "probability": ["N", answered, size, size]}
    given, found = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    )
    graph = helper.make_graph(
        [*nodes, helper.make_node("Sigmoid", ["logit"], ["probability"])],
        "tiny",
        [given],
        [found],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
