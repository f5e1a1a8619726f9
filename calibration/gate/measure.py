"""fp32 and INT8 on labelled scans, both on the daemon's own path, and their speed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
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


class Measure:
    """A repository with some artefacts in it, to measure on case after case.

    Parameters
    ----------
    specs
        The repository.
    artefacts
        By model, gated or not; all other models are in fp32.
    runtime
        What executes them.

    Raises
    ------
    ModelError, RuntimeUnavailableError
        When the models cannot be served.
    """

    def __init__(
        self, specs: Sequence[ModelSpec], artefacts: Mapping[str, Artefact], runtime: Runtime
    ) -> None:
        precision = {spec.name: artefacts.get(spec.name, "fp32") for spec in specs}
        self._segmenter = Segmenter(specs, runtime, precision)
        self._policy = ScanPolicy(slab_shapes(specs))

    def __call__(self, case: LabelledCase) -> Accuracy:
        """Accuracy on a case; EvaluationError when it cannot be segmented."""
        figures = compare(case, segment_case(case, self._segmenter, self._policy))
        return Accuracy(figures.lesion.dice, figures.lung.dice, figures.po, figures.pho)


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
