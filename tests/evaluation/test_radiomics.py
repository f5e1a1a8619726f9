"""Features against formulas; those that need the library are passed over without it."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from calibration.evaluation import EvaluationError
from calibration.evaluation.extra_tables import radiomics_section
from calibration.evaluation.radiomics import (
    FIRST_ORDER,
    SHAPE,
    Features,
    check_library,
    feature_errors,
    features,
    over_cases,
)
from engines.training.cases import UNLABELLED
from tests.evaluation.made_cases import made_case, made_masks

SPACING = (5.0, 0.7, 0.8)
installed = importlib.util.find_spec("radiomics") is not None
needs_library = pytest.mark.skipif(not installed, reason="the extra `radiomics` is not installed")
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def lump() -> tuple[npt.NDArray[np.int16], npt.NDArray[np.bool_]]:
    """An ellipsoid of half axes 30, 12 and 20 mm (slices, rows, columns) in noise."""
    z, y, x = np.mgrid[0:18, 0:60, 0:70]
    shifted = ((z - 8.5) * 5 / 30, (y - 30) * 0.7 / 12, (x - 33) * 0.8 / 20)
    mask = sum(axis**2 for axis in shifted) < 1
    hu = np.random.default_rng(1).normal(-400, 120, mask.shape).round().astype(np.int16)
    return hu, mask


@pytest.fixture(scope="module")
def measured(
    lump: tuple[npt.NDArray[np.int16], npt.NDArray[np.bool_]],
) -> Features:
    return features(*lump, SPACING)


def test_the_paper_counts_as_many() -> None:
    assert (len({*FIRST_ORDER}), len({*SHAPE})) == (17, 10)


@needs_library
def test_first_order_features_are_those_of_the_formulas(
    lump: tuple[npt.NDArray[np.int16], npt.NDArray[np.bool_]], measured: Features
) -> None:
    hu = lump[0][lump[1]].astype(float)
    low, high = np.percentile(hu, [10, 90])
    inner = hu[(hu >= low) & (hu <= high)]
    shares = np.unique(np.floor(hu / 25), return_counts=True)[1] / hu.size
    expected = {
        "10Percentile": low,
        "90Percentile": high,
        "Energy": np.sum(hu**2),
        "Entropy": -np.sum(shares * np.log2(shares)),
        "InterquartileRange": stats.iqr(hu),
        "Kurtosis": stats.kurtosis(hu, fisher=False),
        "Maximum": hu.max(),
        "Mean": hu.mean(),
        "MeanAbsoluteDeviation": np.abs(hu - hu.mean()).mean(),
        "Median": np.median(hu),
        "Minimum": hu.min(),
        "Range": np.ptp(hu),
        "RobustMeanAbsoluteDeviation": np.abs(inner - inner.mean()).mean(),
        "RootMeanSquared": math.sqrt(np.mean(hu**2)),
        "Skewness": stats.skew(hu),
        "Uniformity": np.sum(shares**2),
        "Variance": hu.var(),
    }
    assert {name: measured[name] for name in FIRST_ORDER} == pytest.approx(expected)


@needs_library
def test_shape_features_are_those_of_the_ellipsoid(
    lump: tuple[npt.NDArray[np.int16], npt.NDArray[np.bool_]], measured: Features
) -> None:
    """Axes by the variance along them, a fifth of the half axis squared in a full ellipsoid."""
    voxels = np.count_nonzero(lump[1]) * 5 * 0.7 * 0.8
    assert measured["VoxelVolume"] == pytest.approx(voxels)
    assert measured["VoxelVolume"] == pytest.approx(4 / 3 * math.pi * 30 * 12 * 20, rel=0.02)
    assert measured["MajorAxisLength"] == pytest.approx(4 * 30 / math.sqrt(5), rel=0.03)
    assert measured["MinorAxisLength"] == pytest.approx(4 * 20 / math.sqrt(5), rel=0.03)
    assert measured["LeastAxisLength"] == pytest.approx(4 * 12 / math.sqrt(5), rel=0.03)
    assert measured["Elongation"] == pytest.approx(40 / 60, rel=0.04)
    assert measured["Flatness"] == pytest.approx(24 / 60, rel=0.04)
    mesh = measured["MeshVolume"]
    assert mesh == pytest.approx(voxels, rel=0.02)
    assert measured["SurfaceVolumeRatio"] == pytest.approx(measured["SurfaceArea"] / mesh)
    sphere = (36 * math.pi * mesh**2) ** (1 / 3)
    assert measured["Sphericity"] == pytest.approx(sphere / measured["SurfaceArea"])


@needs_library
def test_the_surface_of_a_box_has_its_edges_cut() -> None:
    """Its mesh runs half a pixel beyond the last pixels' centres, and across each edge."""
    mask = np.zeros((24, 34, 44), bool)
    mask[2:22, 2:32, 2:42] = True
    box = features(np.full(mask.shape, -300, np.int16), mask, (1.0, 1.0, 1.0))
    edges = 4 * (20 + 30 + 40)
    whole = 2 * (20 * 30 + 20 * 40 + 30 * 40)
    assert box["SurfaceArea"] == pytest.approx(whole - edges * (1 - math.sqrt(0.5)), rel=0.001)
    assert box["MeshVolume"] == pytest.approx(20 * 30 * 40 - edges / 8, rel=0.001)


@needs_library
def test_a_lesion_found_as_labelled_has_no_error_and_a_smaller_one_has(
    lump: tuple[npt.NDArray[np.int16], npt.NDArray[np.bool_]],
) -> None:
    hu, mask = lump
    label = mask.astype(np.uint8)
    label[:3] = UNLABELLED
    case = made_case(label, mask, hu, spacing_mm=SPACING)
    same = feature_errors(case, made_masks(mask, mask))
    assert {*same.values()} == {0.0}
    less = mask.copy()
    less[:, :, :33] = False
    half = feature_errors(case, made_masks(less, mask))
    share = np.count_nonzero(less[3:]) / np.count_nonzero(mask[3:])
    assert half["VoxelVolume"] == pytest.approx(100 * (share - 1))
    assert half["Mean"] == pytest.approx(
        100 * (hu[3:][less[3:]].mean() - hu[3:][mask[3:]].mean()) / abs(hu[3:][mask[3:]].mean())
    )


@needs_library
def test_what_is_too_small_or_flat_has_no_features() -> None:
    hu = np.full((4, 8, 8), -500, np.int16)
    for fill in ((0, 0, 0), (slice(0, 1), slice(0, 8), slice(0, 8))):
        mask = np.zeros(hu.shape, bool)
        mask[fill] = True
        assert features(hu, mask, SPACING) == {}
    nothing = np.zeros(hu.shape)
    found = feature_errors(made_case(nothing, nothing, hu), made_masks(nothing, nothing))
    assert {*found.values()} == {None}


def test_errors_over_cases() -> None:
    names = (*FIRST_ORDER, *SHAPE)
    cases = [dict.fromkeys(names, error) for error in (4.0, -10.0, None)]
    found = over_cases(cases)["Mean"]
    assert (found.cases, found.mean, found.mean_absolute, found.worst) == (2, -3.0, 7.0, 10.0)
    empty = over_cases([cases[2]])["Mean"]
    assert (empty.cases, empty.mean, empty.worst) == (0, None, None)
    page = radiomics_section({"a": cases[0], "b": cases[1]})
    assert "shape: LeastAxisLength" in page
    assert "<td>-3.00</td><td>7.00</td><td>10.00</td>" in page
    assert "Not measured: ask with" in radiomics_section(None)


def test_without_the_library_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibration.evaluation.radiomics.find_spec", lambda name: None)
    with pytest.raises(EvaluationError, match=r"pip install 'breathhold\[radiomics\]'"):
        check_library()
