"""Radiomic features of the found lesion against those of the labelled one.

Through PyRadiomics, which the extra ``radiomics`` brings; without it nothing is measured.

References
----------
Shiri et al. 2021 (COLI-Net), figure 7: relative error of 17 first-order and 10 shape features.
Those here are PyRadiomics' first-order features without Total Energy (which is Energy times the
voxel) and its shape features without diameters; the paper gives the numbers 17 and 10.
van Griethuysen et al. 2017, Cancer Res 77:e104 (PyRadiomics). Bins of 25 HU, its default.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 - as SimpleITK's own documentation calls it

from calibration.evaluation.cases import LabelledCase
from calibration.evaluation.errors import EvaluationError
from calibration.evaluation.measures import Mask, percent_difference
from calibration.evaluation.run import FoundMasks
from engines.training.cases import UNLABELLED

LIBRARY = "PyRadiomics"
FIRST_ORDER = (
    "10Percentile",
    "90Percentile",
    "Energy",
    "Entropy",
    "InterquartileRange",
    "Kurtosis",
    "Maximum",
    "Mean",
    "MeanAbsoluteDeviation",
    "Median",
    "Minimum",
    "Range",
    "RobustMeanAbsoluteDeviation",
    "RootMeanSquared",
    "Skewness",
    "Uniformity",
    "Variance",
)
SHAPE = (
    "Elongation",
    "Flatness",
    "LeastAxisLength",
    "MajorAxisLength",
    "MeshVolume",
    "MinorAxisLength",
    "Sphericity",
    "SurfaceArea",
    "SurfaceVolumeRatio",
    "VoxelVolume",
)
_CLASSES = {"firstorder": FIRST_ORDER, "shape": SHAPE}
_BIN_HU = 25
#: A mask of fewer voxels, or one voxel flat, has no shape.
_LEAST_VOXELS = 8

Features = dict[str, float]
#: Relative error in percent by feature; None where there is none.
FeatureErrors = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class ErrorOverCases:
    """Relative error of a feature over the cases that have it, percent."""

    cases: int
    mean: float | None
    mean_absolute: float | None
    worst: float | None


def check_library() -> None:
    """Raise where nothing can be measured.

    Raises
    ------
    EvaluationError
    """
    if find_spec("radiomics") is None:
        raise EvaluationError(
            f"radiomics needs {LIBRARY}, which is not installed: "
            "pip install 'breathhold[radiomics]' (a C compiler builds it)"
        )


def feature_errors(case: LabelledCase, found: FoundMasks) -> FeatureErrors:
    """Relative error of every feature of the lesion, over the slices that carry its label.

    Raises
    ------
    EvaluationError
        Without the library.
    """
    check_library()
    known = case.lesion != UNLABELLED
    ours = features(case.hu, found.lesion & known, case.spacing_mm)
    theirs = features(case.hu, case.lesion == 1, case.spacing_mm)
    names = (*FIRST_ORDER, *SHAPE)
    return {name: percent_difference(ours.get(name), theirs.get(name)) for name in names}


def features(
    hu: npt.NDArray[np.int16], mask: Mask, spacing_mm: tuple[float, float, float]
) -> Features:
    """Every feature of a mask, lengths in mm; none for a mask too small or flat.

    Parameters
    ----------
    hu, mask
        Shape (slices, rows, columns).
    spacing_mm
        Between slices, rows and columns.
    """
    if np.count_nonzero(mask) < _LEAST_VOXELS:
        return {}
    box = tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in np.nonzero(mask))
    if any(one.stop - one.start < 2 for one in box):
        return {}
    image, label = (_image(part[box], spacing_mm) for part in (hu, mask.astype(np.uint8)))
    measured = _extractor().execute(image, label)
    return {
        name: float(measured[f"original_{kind}_{name}"])
        for kind, names in _CLASSES.items()
        for name in names
    }


def _extractor() -> Any:
    from radiomics import featureextractor

    logging.getLogger("radiomics").setLevel(logging.ERROR)
    extractor = featureextractor.RadiomicsFeatureExtractor(binWidth=_BIN_HU)
    extractor.disableAllFeatures()
    extractor.enableFeaturesByName(**{kind: list(names) for kind, names in _CLASSES.items()})
    return extractor


def _image(array: npt.NDArray[np.generic], spacing_mm: tuple[float, float, float]) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    image.SetSpacing(spacing_mm[::-1])
    return image


def over_cases(cases: Iterable[Mapping[str, float | None]]) -> dict[str, ErrorOverCases]:
    """The errors of every feature over cases."""
    cases = list(cases)
    result = {}
    for name in (*FIRST_ORDER, *SHAPE):
        errors = [error for one in cases if (error := one[name]) is not None]
        sizes = [abs(error) for error in errors]
        result[name] = ErrorOverCases(
            cases=len(errors),
            mean=sum(errors) / len(errors) if errors else None,
            mean_absolute=sum(sizes) / len(sizes) if sizes else None,
            worst=max(sizes, default=None),
        )
    return result
