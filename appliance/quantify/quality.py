"""What the image itself says of its quality: noise, contrast agent, metal, movement.

Each slice is counted in whole numbers (:func:`measure_slice`), and a scan sums them
(:func:`scan_quality`), so what is said of a scan does not depend on the order in which
its slices came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from appliance.quantify.movement import NOTHING_SEEN, MotionCounts, count_motion
from appliance.quantify.squares import Counts, Map, Squares, count_in_squares, grown

#: Squares whose mean lies here are soft tissue, HU (Christianson et al. 2015).
SOFT_HU = (0, 100)
#: What lies between the lungs and is brighter than this is blood or muscle, not fat, HU.
BLOOD_FROM_HU = -20
#: The quarter of it that is brightest is blood.
BLOOD_QUANTILE = 0.75
#: How far back between the lungs it is looked for: behind lies the spine.
FRONT_SHARE = 2 / 3
#: No bone is as dense as this, metal is, HU.
METAL_HU = 2500
#: With fewer squares of it, a scan says nothing of its noise or its blood.
FEWEST_SQUARES = 100

#: Noise with which PO of a slice moves by 0.25 points on average and 2.6 at most, HU: noise
#: added to 36 slices of 11 patients, ``python -m calibration.quality --data CASES --slices 3
#: --noise 20,30,40,50,60``. At 45 HU it is 0.12 and 1.0.
STRONG_NOISE_HU = 60.0
#: Blood without contrast agent has 30 to 65 HU; heart and vessels with it have more than 90.
CONTRAST_HU = 85.0
#: A wire or a clip, not a single bright pixel, mm2 of one slice.
METAL_MM2 = 10.0
#: Moved slices, percent of those that say something, and how many at least.
MOVED_PERCENT, MOVED_SLICES = 10.0, 2

_BINS = 256


@dataclass(frozen=True, slots=True)
class SliceQuality:
    """What one slice adds to the quality of its scan; whole numbers.

    Parameters
    ----------
    noise, blood
        Squares of soft tissue by the standard deviation of their HU, and squares between
        the lungs by their mean from BLOOD_FROM_HU on; 1 HU a bin, 256 unsigned 16-bit
        numbers, little-endian; empty where there is no square.
    metal_px
        Pixels from METAL_HU on in the body; electrodes and leads on the skin are not counted.
    motion
        Dark streaks.
    """

    noise: bytes = b""
    blood: bytes = b""
    metal_px: int = 0
    motion: MotionCounts = NOTHING_SEEN


UNMEASURED = SliceQuality()


@dataclass(frozen=True, slots=True)
class ScanQuality:
    """Measures of a scan; None where the scan has too little of what is measured.

    Parameters
    ----------
    noise_hu
        Standard deviation of soft tissue.
    blood_pool_hu
        Mean HU of the blood between the lungs.
    metal_mm2
        Largest area of metal in one slice.
    motion_percent
        Slices with marks of movement, of those that show lung.
    moved_slices
        How many.
    """

    noise_hu: float | None = None
    blood_pool_hu: float | None = None
    metal_mm2: float | None = None
    motion_percent: float | None = None
    moved_slices: int = 0

    @property
    def has_strong_noise(self) -> bool:
        return (self.noise_hu or 0.0) >= STRONG_NOISE_HU

    @property
    def has_contrast(self) -> bool:
        return (self.blood_pool_hu or 0.0) >= CONTRAST_HU

    @property
    def has_metal(self) -> bool:
        return (self.metal_mm2 or 0.0) >= METAL_MM2

    @property
    def has_motion(self) -> bool:
        """Never with strong noise, which is dark streaks itself."""
        enough = self.moved_slices >= MOVED_SLICES and (self.motion_percent or 0) >= MOVED_PERCENT
        return enough and not self.has_strong_noise

    @property
    def measures(self) -> dict[str, float]:
        """By name, those that there are."""
        named = {
            "noise_hu": self.noise_hu,
            "blood_pool_hu": self.blood_pool_hu,
            "metal_mm2": self.metal_mm2,
            "motion_percent": self.motion_percent,
        }
        return {name: value for name, value in named.items() if value is not None}


def measure_slice(
    hu: npt.NDArray[np.int16],
    lung: npt.NDArray[np.bool_],
    spacing_mm: tuple[float, float],
) -> SliceQuality:
    """Count one slice.

    Parameters
    ----------
    hu
        Shape (rows, columns), front on top.
    lung
        Mask of the same shape.
    spacing_mm
        Between rows, and between columns.

    Raises
    ------
    ValueError
        When the shapes differ.
    """
    if hu.shape != lung.shape:
        raise ValueError(f"shapes differ: HU {hu.shape}, lung {lung.shape}")
    hu, lung = np.ascontiguousarray(hu), np.ascontiguousarray(lung)
    squares = Squares.of(hu, lung, spacing_mm)
    return SliceQuality(
        _packed(_soft_deviations(squares)),
        _packed(_blood_means(squares) - BLOOD_FROM_HU),
        _metal_px(hu, squares),
        count_motion(squares),
    )


def scan_quality(slices: Sequence[SliceQuality], pixel_areas_mm2: Sequence[float]) -> ScanQuality:
    """Measures of a scan from its slices and the area of a pixel of each.

    References
    ----------
    O. Christianson et al., Automated technique to measure noise in clinical CT
    examinations, AJR 2015: noise is the most frequent standard deviation of small
    pieces of soft tissue, over the whole scan.
    """
    seen = [one.motion for one in slices if one.motion.says_something]
    moved = sum(one.moved for one in seen)
    metal = (float(one.metal_px * area) for one, area in zip(slices, pixel_areas_mm2, strict=True))
    return ScanQuality(
        _most_frequent(_summed([one.noise for one in slices])),
        _quantile(_summed([one.blood for one in slices]), BLOOD_QUANTILE, BLOOD_FROM_HU),
        max(metal, default=None),
        100.0 * moved / len(seen) if seen else None,
        moved,
    )


def _soft_deviations(squares: Squares) -> Counts:
    """Standard deviation of each square of soft tissue, HU, rounded down."""
    low, high = SOFT_HU
    soft = squares.off_lung & ~squares.below(low) & squares.below(high)
    total = squares.total[soft].astype(np.int64)
    of_squares = squares.total_of_squares[soft].astype(np.int64)
    pixels = squares.pixels
    variance = (pixels * of_squares - total * total) / (pixels * (pixels - 1))
    return np.sqrt(variance).astype(np.int32)


def _blood_means(squares: Squares) -> Counts:
    """Mean of each square between the lungs that is no fat, HU, rounded down."""
    lung = squares.any_lung
    rows = np.flatnonzero(lung.any(axis=1))
    if not rows.size:
        return np.zeros(0, np.int32)
    between = _left_of(lung) & _left_of(lung[:, ::-1])[:, ::-1] & ~grown(lung)
    between[round(rows[0] + FRONT_SHARE * (rows[-1] - rows[0])) :] = False
    chosen = between & squares.off_lung & ~squares.below(BLOOD_FROM_HU)
    return squares.total[chosen] // squares.pixels


def _metal_px(hu: npt.NDArray[np.int16], squares: Squares) -> int:
    metal = hu >= METAL_HU
    if not metal.any():
        return 0
    return int(count_in_squares(metal, squares)[squares.inside].sum())


def _left_of(lung: Map) -> Map:
    """Squares with lung to their left."""
    return np.logical_or.accumulate(lung, axis=1)


def _packed(bins: Counts) -> bytes:
    if not bins.size:
        return b""
    counts = np.bincount(np.clip(bins, 0, _BINS - 1), minlength=_BINS)
    return np.minimum(counts, np.iinfo(np.uint16).max).astype("<u2").tobytes()


def _summed(packed: Sequence[bytes]) -> npt.NDArray[np.int64]:
    total = np.zeros(_BINS, np.int64)
    for one in packed:
        if one:
            total += np.frombuffer(one, "<u2")
    return total


def _most_frequent(counts: npt.NDArray[np.int64]) -> float | None:
    """The middle of the five neighbouring bins that hold most, HU."""
    if counts.sum() < FEWEST_SQUARES:
        return None
    return float(np.argmax(np.convolve(counts, np.ones(5, np.int64), "same"))) + 0.5


def _quantile(counts: npt.NDArray[np.int64], share: float, first: int) -> float | None:
    if counts.sum() < FEWEST_SQUARES:
        return None
    rank = share * float(counts.sum())
    return float(first + int(np.searchsorted(np.cumsum(counts), rank))) + 0.5
