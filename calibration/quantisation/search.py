"""Which method gives the ranges, and which layers stay in fp32: both by measurement."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from calibration.quantisation.graph import Network
from calibration.quantisation.ranges import RangeTable
from calibration.quantisation.write import write_qdq
from engines.artefacts import Artefact, sha256_of
from engines.models import ModelSpec
from engines.runtimes import Runtime

Slab = npt.NDArray[np.float32]
#: Masks agree well enough from this Dice, and when their areas differ by no more than this.
_LEAST_DICE = 0.98
_MOST_SHIFT = 0.01
#: No more layers than this are kept: a network that needs them is no INT8 network.
_MOST_KEPT = 8


@dataclass(frozen=True, slots=True)
class Closeness:
    """How near a network's answers are to the fp32 ones.

    Parameters
    ----------
    error
        Sum of the absolute differences of probability over the sum of the fp32 probability.
    dice
        Of the masks.
    shift
        Relative change of the masks' area.
    """

    error: float
    dice: float
    shift: float

    @classmethod
    def of(cls, found: Slab, reference: Slab, threshold: float) -> Closeness:
        mask, wanted = found >= threshold, reference >= threshold
        areas = int(mask.sum()), int(wanted.sum())
        total = sum(areas)
        return cls(
            float(np.abs(found - reference).sum() / max(float(reference.sum()), 1e-9)),
            2 * int((mask & wanted).sum()) / total if total else 1.0,
            (areas[0] - areas[1]) / max(areas[1], 1),
        )

    @property
    def enough(self) -> bool:
        return self.dice >= _LEAST_DICE and abs(self.shift) <= _MOST_SHIFT


class Trial:
    """Quantised networks of one dialect against the fp32 one, on the slabs to choose by.

    Parameters
    ----------
    spec, network
        The model in fp32.
    runtime, dialect
        What executes the quantised network, and how it is written for that.
    slabs
        Network inputs, each of shape (planes, rows, columns).
    """

    def __init__(
        self,
        spec: ModelSpec,
        network: Network,
        runtime: Runtime,
        dialect: str,
        slabs: Sequence[Slab],
    ) -> None:
        self._spec, self._network = spec, network
        self._runtime, self._dialect = runtime, dialect
        self._slabs = np.stack(slabs)
        self._reference = runtime.load(spec, spec.artefact("fp32")).run(self._slabs)

    def __call__(self, table: RangeTable) -> Closeness:
        """Write, run and compare."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            onnx.save(write_qdq(self._network, table, self._dialect), path)
            artefact = Artefact("int8", path, sha256_of(path), self._dialect)
            found = self._runtime.load(self._spec, artefact).run(self._slabs)
        return Closeness.of(found, self._reference, self._spec.threshold)


Judge = Callable[[RangeTable], Closeness]


def best_table(tables: Iterable[RangeTable], judge: Judge) -> RangeTable:
    """The table with the smallest error; of equals the first."""
    return min(tables, key=lambda table: judge(table).error)


def keep_worst(table: RangeTable, layers: Sequence[str], judge: Judge) -> RangeTable:
    """The table with as few layers kept in fp32 as make the masks agree.

    One after the other, the layer that costs most is found by bisection: of two
    halves of the quantised layers the one that does more harm when it alone is
    quantised is halved again.

    Parameters
    ----------
    table
        With what is kept already.
    layers
        All layers that can be quantised.
    judge
        Measures a table.
    """
    while not judge(table).enough and len(table.kept) < min(_MOST_KEPT, len(layers)):
        quantised = [layer for layer in layers if layer not in table.kept]
        worst = _worst(table, layers, quantised, judge)
        table = replace(table, kept=(*table.kept, worst))
    return table


def _worst(table: RangeTable, layers: Sequence[str], among: Sequence[str], judge: Judge) -> str:
    while len(among) > 1:
        middle = len(among) // 2
        halves = among[:middle], among[middle:]
        among = max(halves, key=lambda half: judge(_only(table, layers, half)).error)
    return among[0]


def _only(table: RangeTable, layers: Sequence[str], quantised: Sequence[str]) -> RangeTable:
    return replace(table, kept=tuple(layer for layer in layers if layer not in set(quantised)))
