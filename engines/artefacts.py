"""Files of weights, and what must be proved of one before it serves."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PRECISIONS = ("fp32", "fp16", "int8")
#: How Q/DQ is written for each runtime: "openvino" has uint8 activations, "tensorrt" symmetric
#: int8 ones with zero point 0. Weights are per-channel int8 in both.
DIALECTS = ("openvino", "tensorrt")


class ModelError(Exception):
    """A model folder that cannot be served; the message names the file and the fault."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How an INT8 artefact came about.

    Parameters
    ----------
    method
        How the ranges were chosen: "min-max", "entropy", "percentile 99.99", ...
    cases
        The scans its ranges were measured on.
    kept
        Layers that stayed in fp32, by their names in the network.
    """

    method: str
    cases: tuple[str, ...]
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GateRecord:
    """What the accuracy gate found when it compared an artefact with the fp32 one.

    Parameters
    ----------
    passed
        The verdict.
    sha256, reference
        SHA-256 of the file that was gated and of the fp32 file it was compared with.
    contract
        How the network was fed and its answer read (:attr:`engines.models.ModelSpec.contract`).
    cases
        Labelled scans it was compared on.
    runtime
        What executed it, with its version.
    figures
        What was measured, by name; no "speed_up" where speed was not measured.
    together
        Other models that were in INT8, too, as the ``together_`` figures were measured.
    """

    passed: bool
    sha256: str
    reference: str
    contract: str
    cases: tuple[str, ...]
    runtime: str
    figures: Mapping[str, float] = field(default_factory=dict)
    together: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Artefact:
    """One file of weights; served only when its SHA-256 is the recorded one.

    `dialect` is empty for what every runtime reads alike.
    """

    precision: str
    path: Path
    sha256: str
    dialect: str = ""
    calibration: Calibration | None = None
    gate: GateRecord | None = None

    def verify(self) -> None:
        """Raise ModelError when the file is missing or is not the recorded one."""
        if not self.path.is_file():
            raise ModelError(f"{self.path}: the file is missing")
        found = sha256_of(self.path)
        if found != self.sha256:
            raise ModelError(f"{self.path}: SHA-256 is {found}, spec.toml records {self.sha256}")

    def check_gate(self, reference: str, contract: str) -> None:
        """Raise ModelError unless fp32, or gated as file and spec are now against this fp32 file.

        Parameters
        ----------
        reference
            SHA-256 of the model's fp32 file.
        contract
            The model's (:attr:`engines.models.ModelSpec.contract`).
        """
        if self.precision == "fp32":
            return
        if self.gate is None:
            raise ModelError(f"{self.path}: {self.precision} has not been through the gate")
        if not self.gate.passed:
            raise ModelError(f"{self.path}: {self.precision} did not pass the gate")
        if self.gate.sha256 != sha256_of(self.path):
            raise ModelError(f"{self.path}: this is not the file that passed the gate")
        if self.gate.reference != reference:
            raise ModelError(f"{self.path}: the gate compared it with another fp32 network")
        if self.gate.contract != contract:
            raise ModelError(
                f"{self.path}: the gate judged it with {self.gate.contract}; "
                f"spec.toml now says {contract}"
            )


def sha256_of(path: Path) -> str:
    """Of a file, in hex; ModelError when it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from error


def read_artefact(folder: Path, table: Mapping[str, object]) -> Artefact:
    """One ``[[artefact]]`` of spec.toml.

    Raises
    ------
    KeyError, TypeError, ValueError
        When a field is missing or wrong.
    """
    precision, dialect = str(table["precision"]), str(table.get("dialect", ""))
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}, not {precision!r}")
    if dialect and dialect not in DIALECTS:
        raise ValueError(f"dialect must be one of {DIALECTS}, not {dialect!r}")
    return Artefact(
        precision,
        folder / str(table["file"]),
        str(table["sha256"]),
        dialect,
        _calibration(table.get("calibration")),
        _gate(table.get("gate")),
    )


def _calibration(table: object) -> Calibration | None:
    if table is None:
        return None
    fields = _table(table)
    return Calibration(str(fields["method"]), _names(fields["cases"]), _names(fields["kept"]))


def _gate(table: object) -> GateRecord | None:
    if table is None:
        return None
    fields = _table(table)
    verdict = fields["verdict"]
    if verdict not in ("passed", "failed"):
        raise ValueError(f"a gate's verdict is passed or failed, not {verdict!r}")
    return GateRecord(
        verdict == "passed",
        str(fields["sha256"]),
        str(fields["reference"]),
        str(fields["contract"]),
        _names(fields["cases"]),
        str(fields["runtime"]),
        {name: float(str(value)) for name, value in _table(fields["figures"]).items()},
        _names(fields["together"]),
    )


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError(f"expected a list, found {value!r}")
    return tuple(str(name) for name in value)


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a table, found {value!r}")
    return value
