"""fp32 and INT8 on labelled scans, both on the daemon's own path, and their speed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median

import numpy as np

from appliance.inference.shapes import slab_shapes
from appliance.scan.scan import ScanPolicy
from calibration.evaluation import LabelledCase, compare, segment_case
from calibration.gate.verdict import Accuracy
from engines.artefacts import Artefact
from engines.models import ModelSpec
from engines.runtimes import Executable, Runtime
from engines.segmenter import Segmenter
from engines.warm_up import warm_up_input

#: Interleaved runs of each precision, after one that does not count.
_RUNS = 15
#: Slabs of a few planes in one run; of blocks one.
_SLABS = 8


def measure(
    specs: Sequence[ModelSpec],
    model: str,
    artefact: Artefact,
    runtime: Runtime,
    cases: Sequence[LabelledCase],
) -> list[Accuracy]:
    """Accuracy of one artefact of a model on each case, all other models in fp32.

    Raises
    ------
    ModelError, RuntimeUnavailableError
        When the models cannot be served.
    EvaluationError
        When a case cannot be segmented.
    """
    precision = {spec.name: artefact if spec.name == model else "fp32" for spec in specs}
    segmenter = Segmenter(specs, runtime, precision)
    policy = ScanPolicy(slab_shapes(specs))
    return [_accuracy(case, segmenter, policy) for case in cases]


def _accuracy(case: LabelledCase, segmenter: Segmenter, policy: ScanPolicy) -> Accuracy:
    """PO and PHO over the slices with both labels, or over the whole scan where none has."""
    figures = compare(case, segment_case(case, segmenter, policy))
    labelled = figures.slices_with_both_labels > 0
    return Accuracy(
        figures.lesion.dice,
        figures.lung.dice,
        figures.po if labelled else figures.po_whole,
        figures.pho if labelled else figures.pho_whole,
    )


def speed_up(spec: ModelSpec, artefact: Artefact, runtime: Runtime) -> float:
    """How many times as fast as fp32 an artefact is: medians of interleaved runs."""
    pair = [runtime.load(spec, spec.artefact("fp32")), runtime.load(spec, artefact)]
    slabs = np.repeat(warm_up_input(spec), 1 if spec.form == "block" else _SLABS, axis=0)
    seconds = np.array([[_seconds(one, slabs) for one in pair] for _ in range(1 + _RUNS)])
    fp32, int8 = (median(column[1:].tolist()) for column in seconds.T)
    return float(fp32 / int8)


def _seconds(executable: Executable, slabs: np.typing.NDArray[np.float32]) -> float:
    started = time.perf_counter()
    executable.run(slabs)
    return time.perf_counter() - started
