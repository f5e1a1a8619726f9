"""Frames whose samples are known, and what a decoder makes of them.

Which codings a decoder is exact in depends on the GPU, its driver and its libraries: it
is found out, not assumed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import imagecodecs
import numpy as np
import numpy.typing as npt

from appliance.ingest.codestream import read_jpeg_2000_header, read_jpeg_header
from appliance.ingest.widening import (
    Coding,
    WideFrame,
    Words,
    widen_jpeg,
    widen_jpeg_2000,
)

logger = logging.getLogger(__name__)

_ROWS, _COLUMNS = 96, 112
_PRECISIONS = (12, 16)

Plane = npt.NDArray[np.uint16] | npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Probe:
    """A frame, and the samples that were encoded in it as 16-bit words."""

    frame: WideFrame
    words: Words


def find_exact(decode: Callable[[Sequence[bytes]], list[Words]]) -> frozenset[Coding]:
    """The codings of which a decoder gives every probe's samples bit for bit."""
    return frozenset(coding for coding in Coding if _is_exact(decode, coding))


def _is_exact(decode: Callable[[Sequence[bytes]], list[Words]], coding: Coding) -> bool:
    probes = list(probes_of(coding))
    try:
        decoded = decode([probe.frame.data for probe in probes])
    except Exception as error:  # noqa: BLE001
        logger.info("%s is not decoded: %s", coding.value, error)
        return False
    answers = zip(probes, decoded, strict=True)
    return all(_is_answer(probe, wide) for probe, wide in answers)


def _is_answer(probe: Probe, wide: Words) -> bool:
    if wide.shape != probe.words.shape:
        return False
    narrowed = probe.frame.narrowed(wide)
    return narrowed is not None and np.array_equal(narrowed, probe.words)


def probes_of(coding: Coding) -> Iterator[Probe]:
    """Frames of every depth and sign that a coding may have."""
    for precision in _PRECISIONS:
        signs = (False,) if coding is Coding.JPEG_LOSSLESS else (False, True)
        for signed in signs:
            plane = _plane(precision, signed)
            yield Probe(encoded(coding, plane, precision), plane.view(np.uint16))


def _plane(precision: int, signed: bool) -> Plane:
    """A slope with noise on it, and the lowest and the highest value there is."""
    span = (1 << precision) - 1
    slope = np.linspace(0.1, 0.8, _ROWS * _COLUMNS).reshape(_ROWS, _COLUMNS) * span
    noise = np.random.default_rng(precision).integers(0, span // 16, slope.shape)
    samples = slope.astype(np.int64) + noise
    samples[:4], samples[4:8] = 0, span
    if signed:
        return (samples - (span + 1) // 2).astype(np.int16)
    return samples.astype(np.uint16)


def encoded(coding: Coding, plane: Plane, precision: int) -> WideFrame:
    """A plane of samples of so many bits as a frame."""
    frame = bytes(_ENCODERS[coding](plane, precision))
    if coding is Coding.JPEG_LOSSLESS:
        wide = widen_jpeg(frame, read_jpeg_header(frame))
    else:
        wide = widen_jpeg_2000(frame, read_jpeg_2000_header(frame))
    if wide is None or wide.coding is not coding:
        raise ValueError(f"{coding.value} loses samples of {precision} bits")
    return wide


_ENCODERS: dict[Coding, Callable[[Plane, int], bytes | bytearray]] = {
    Coding.JPEG_2000: lambda plane, precision: imagecodecs.jpeg2k_encode(
        plane, level=0, codecformat="j2k", reversible=True, bitspersample=precision
    ),
    Coding.HTJ2K: lambda plane, precision: imagecodecs.htj2k_encode(plane, reversible=True),
    Coding.JPEG_LOSSLESS: lambda plane, precision: imagecodecs.jpeg8_encode(
        plane, lossless=True, predictor=1, bitspersample=precision
    ),
}
