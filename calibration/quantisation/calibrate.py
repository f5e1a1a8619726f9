"""From a model in fp32 and some scans to INT8 files in every dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from calibration.quantisation.collect import collect, table_of
from calibration.quantisation.graph import Network
from calibration.quantisation.ranges import METHODS, RangeTable
from calibration.quantisation.search import Closeness, Trial, best_table, keep_worst
from calibration.quantisation.slabs import record_slabs
from calibration.quantisation.write import write_qdq
from engines.artefacts import Artefact, Calibration, ModelError, sha256_of
from engines.models import ModelSpec
from engines.runtimes import choose

#: What judges each dialect on a machine without a GPU.
JUDGES = {"openvino": "openvino", "tensorrt": "onnxruntime"}
#: Slabs to calibrate on: of a few planes, and of a block.
_SLABS, _BLOCKS = 72, 12


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What calibration made.

    Parameters
    ----------
    table
        Ranges, method and kept layers.
    artefacts
        By dialect; none has been through the gate.
    closeness
        Of each dialect to fp32, on the slabs that methods and layers were chosen by.
    """

    table: RangeTable
    artefacts: Mapping[str, Artefact]
    closeness: Mapping[str, Closeness]


def calibrate(
    specs: Sequence[ModelSpec],
    spec: ModelSpec,
    folders: Sequence[Path],
    methods: Sequence[str] = METHODS,
    progress: Callable[[str], None] = lambda step: None,
) -> Calibrated:
    """Measure ranges, choose method and kept layers, and write the files beside the fp32 one.

    Parameters
    ----------
    specs
        The repository the model is in.
    spec
        The model.
    folders
        Cases to calibrate on.
    methods
        Some of :data:`METHODS`: of several the one that does best.
    progress
        Told what is being done.

    Raises
    ------
    ModelError
        When nothing of the model can be quantised, or it sees nothing in the cases.
    RuntimeUnavailableError
        When a dialect cannot be judged here.
    """
    fp32 = spec.artefact("fp32")
    fp32.verify()
    network = Network(onnx.load(fp32.path))
    if not network.convolutions:
        raise ModelError(f"{fp32.path}: no convolution can be quantised")
    progress("segmenting the scans to calibrate on")
    number = _BLOCKS if spec.form == "block" else _SLABS
    slabs = record_slabs(specs, spec.name, choose(), folders, number)
    progress(f"measuring ranges on {len(slabs.measuring)} slabs")
    histograms = collect(network, slabs.measuring)
    names = [folder.absolute().name for folder in folders]
    tables = [table_of(histograms, one, fp32.sha256, names) for one in methods]
    trials = {
        dialect: Trial(spec, network, choose(runtime), dialect, slabs.choosing)
        for dialect, runtime in JUDGES.items()
    }
    progress(f"choosing on {len(slabs.choosing)} slabs")
    table = best_table(tables, trials["openvino"])
    for trial in trials.values():
        table = keep_worst(table, network.convolutions, trial)
    progress("writing")
    return Calibrated(
        table,
        write_artefacts(spec, network, table),
        {dialect: trial(table) for dialect, trial in trials.items()},
    )


def write_artefacts(spec: ModelSpec, network: Network, table: RangeTable) -> dict[str, Artefact]:
    """Write ``ranges.json`` and ``model.int8.<dialect>.onnx`` beside the fp32 file, by dialect."""
    folder = spec.artefact("fp32").path.parent
    table.write(folder / "ranges.json")
    how = Calibration(table.method, table.cases, table.kept)
    artefacts = {}
    for dialect in JUDGES:
        path = folder / f"model.int8.{dialect}.onnx"
        onnx.save(write_qdq(network, table, dialect), path)
        artefacts[dialect] = Artefact("int8", path, sha256_of(path), dialect, how)
    return artefacts
