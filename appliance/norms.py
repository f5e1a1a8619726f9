"""Reads and writes what a site measures against: its normal lungs, its severity model."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from appliance.config import ConfigError, ScoresConfig
from appliance.quantify.histogram import BIN_HU, FIRST_HU
from appliance.quantify.normal import NormalReference
from appliance.quantify.norms import Norms
from appliance.quantify.severity import SeverityModel

_T = TypeVar("_T")


def load_norms(scores: ScoresConfig) -> Norms:
    """What the configuration names.

    Raises
    ------
    ConfigError
        When a file cannot be read or used.
    """
    return Norms(
        read_normal(scores.normal) if scores.normal else None,
        read_severity(scores.severity) if scores.severity else None,
    )


def read_normal(path: Path) -> NormalReference:
    """A reference that :func:`write_normal` wrote; errors of :func:`load_norms`."""
    return _read(path, _normal)


def read_severity(path: Path) -> SeverityModel:
    """Coefficients as TOML or JSON: intercept, poi, ihu, n, made; errors of :func:`load_norms`.

    `poi` goes with POI as a fraction; see :class:`appliance.quantify.severity.SeverityModel`.
    """
    return _read(path, SeverityModel.of)


def write_normal(path: Path, reference: NormalReference) -> None:
    """Write a reference as JSON.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    fields = {
        "name": reference.name,
        "made_of": reference.made_of,
        "scans": reference.scans,
        "first_hu": FIRST_HU,
        "bin_hu": BIN_HU,
        "shares": [float(f"{share:.6g}") for share in reference.shares],
    }
    path.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def _read(path: Path, make: Callable[[Mapping[str, object]], _T]) -> _T:
    try:
        text = path.read_text(encoding="utf-8")
        fields = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
        return make(fields)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _normal(fields: Mapping[str, object]) -> NormalReference:
    """From the fields of a file; raises ValueError or TypeError."""
    for name, value in (("first_hu", FIRST_HU), ("bin_hu", BIN_HU)):
        if fields.get(name) != value:
            raise ValueError(f"{name} must be {value}, not {fields.get(name)!r}")
    shares, scans = fields.get("shares"), fields.get("scans")
    if not isinstance(shares, list) or not isinstance(scans, int):
        raise ValueError("shares must be a list, and scans a whole number")
    return NormalReference(
        str(fields.get("name", "")),
        str(fields.get("made_of", "")),
        scans,
        tuple(float(share) for share in shares),
    )
