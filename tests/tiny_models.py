"""A model repository of tiny networks, real ONNX, for tests of everything around models.

`lung` calls everything below about -300 HU lung; `lesion` calls it lesion where
the mean of its three planes lies above about -650 HU. In a repository with
blocks, `lesion_thin` does the same with the mean of each plane of a block and
its two neighbours, and `lesion_thick` is `lesion`. `lobes` divides the box around the
lungs by planes: each side into an upper and a lower half, on the right with a middle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
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


def write_tiny_repository(folder: Path) -> Path:
    """Write lung and lesion model and return the folder."""
    _write_lung(folder)
    _write_neighbours(folder / "lesion", ALL_SECTIONS)
    return folder


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
    _write(
        folder / "lobes",
        "lobes",
        ALL_SECTIONS,
        LOBE_PLANES,
        'neighbour_mm = 2.0\nform = "block"',
        _lobes_network(),
        LOBE_SIZE,
        maps=5,
    )
    return folder


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
) -> None:
    (folder / "1").mkdir(parents=True)
    path = folder / "1" / "model.onnx"
    onnx.save(network, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    several = f"\nmaps = {maps}" if maps > 1 else ""
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
    """sigmoid(a map of each lobe + the planes): where a lobe's map is 4 it is more likely."""
    planes, size = LOBE_PLANES, LOBE_SIZE
    likely = np.full((5, planes, size, size), -4.0, np.float32)
    right, left = slice(0, size // 2), slice(size // 2, size)
    for lobe, (low, high), side in (
        (0, (11, planes), right),
        (1, (7, 11), right),
        (2, (0, 7), right),
        (3, (8, planes), left),
        (4, (0, 8), left),
    ):
        likely[lobe, low:high, :, side] = 4.0
    nodes = [
        helper.make_node("Concat", ["planes"] * 5, ["repeated"], axis=1),
        helper.make_node("Add", ["repeated", "likely"], ["logit"]),
    ]
    maps = {"likely": likely.reshape(1, 5 * planes, size, size)}
    return _graph(nodes, planes, 5 * planes, size, maps)


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
