"""What divides the lungs: the lobes model that ships, and tiny ones of lobes and segments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engines.divider import Divider, load_dividers
from engines.models import ModelError, load_repository
from engines.parts import LOBE_NAMES
from engines.region import Region
from engines.runtimes import choose
from tests.tiny_models import SEGMENT_NAMES, write_segments_repository, write_tiny_repository

SLICES, ROWS, COLUMNS = 60, 128, 128
PIXEL_MM = (2.8, 2.8)
POSITIONS = np.arange(SLICES) * 5.0

Planes = npt.NDArray[np.float32]
Lung = npt.NDArray[np.bool_]


@pytest.fixture(scope="module")
def divider() -> Divider:
    (found,) = load_dividers(load_repository(), choose("openvino"))
    assert (found.role, found.parts) == ("lobes", LOBE_NAMES)
    return found


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Divider, ...]:
    repository = write_segments_repository(tmp_path_factory.mktemp("repository"))
    return load_dividers(load_repository(repository), choose("openvino"))


@pytest.fixture(scope="module")
def lungs() -> tuple[Planes, Lung]:
    """Two ellipsoids of lung in soft tissue."""
    z, y, x = np.meshgrid(
        np.linspace(-1, 1, SLICES),
        np.linspace(-1.4, 1.4, ROWS),
        np.linspace(-1.3, 1.3, COLUMNS),
        indexing="ij",
    )
    lung = np.zeros(z.shape, np.bool_)
    for side in (-0.5, 0.5):
        lung |= (z / 0.9) ** 2 + y**2 + ((x - side) / 0.42) ** 2 < 1
    return np.where(lung, np.float32(0.31), np.float32(0.87)), lung


def test_every_pixel_of_lung_has_a_lobe_and_nothing_else_has(
    divider: Divider, lungs: tuple[Planes, Lung]
) -> None:
    planes, lung = lungs
    labels = divider.divide(planes, lung, POSITIONS, PIXEL_MM)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels > 0, lung)
    assert labels.max() == len(LOBE_NAMES)


def test_lobes_lie_where_they_belong(divider: Divider, lungs: tuple[Planes, Lung]) -> None:
    planes, lung = lungs
    labels = divider.divide(planes, lung, POSITIONS, PIXEL_MM)
    places = {
        name: np.argwhere(labels == label).mean(axis=0)
        for label, name in enumerate(LOBE_NAMES, start=1)
    }
    right = [place[2] for name, place in places.items() if name.startswith("right")]
    left = [place[2] for name, place in places.items() if name.startswith("left")]
    assert max(right) < COLUMNS / 2 < min(left)
    for side in ("right", "left"):
        assert places[f"{side}_upper_lobe"][0] > places[f"{side}_lower_lobe"][0]
    assert places["right_middle_lobe"][1] < places["right_lower_lobe"][1]


def test_the_same_scan_gives_the_same_lobes(divider: Divider, lungs: tuple[Planes, Lung]) -> None:
    planes, lung = lungs
    first, again = (divider.divide(planes, lung, POSITIONS, PIXEL_MM) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_missing_slices_change_little(divider: Divider, lungs: tuple[Planes, Lung]) -> None:
    planes, lung = lungs
    kept = np.r_[0:20, 22:41, 42:SLICES]
    whole = divider.divide(planes, lung, POSITIONS, PIXEL_MM)[kept]
    some = divider.divide(planes[kept], lung[kept], POSITIONS[kept], PIXEL_MM)
    assert (whole == some)[lung[kept]].mean() > 0.97


def test_without_lung_there_are_no_lobes(divider: Divider) -> None:
    empty = np.zeros((4, ROWS, COLUMNS), np.float32)
    labels = divider.divide(empty, empty > 0, POSITIONS[:4], PIXEL_MM)
    assert not labels.any()


def test_what_does_not_fit_is_named(divider: Divider, lungs: tuple[Planes, Lung]) -> None:
    planes, lung = lungs
    with pytest.raises(ValueError, match="must ascend"):
        divider.divide(planes, lung, POSITIONS[::-1], PIXEL_MM)
    with pytest.raises(ValueError, match="as many positions"):
        divider.divide(planes, lung, POSITIONS[1:], PIXEL_MM)
    with pytest.raises(ValueError, match="one grid"):
        divider.divide(planes, lung[1:], POSITIONS, PIXEL_MM)


def test_segments_are_layers_of_each_side(
    tiny: tuple[Divider, ...], lungs: tuple[Planes, Lung]
) -> None:
    planes, lung = lungs
    assert [divider.role for divider in tiny] == ["lobes", "segments"]
    segments = tiny[1]
    assert segments.parts == SEGMENT_NAMES
    labels = segments.divide(planes, lung, POSITIONS, PIXEL_MM)
    np.testing.assert_array_equal(labels > 0, lung)
    places = [np.argwhere(labels == label).mean(axis=0) for label in range(1, 19)]
    for side in (places[:10], places[10:]):
        heights = [place[0] for place in side]
        assert heights == sorted(heights)
    assert max(place[2] for place in places[:10]) < min(place[2] for place in places[10:])


def test_every_pixel_has_the_most_likely_part(
    tiny: tuple[Divider, ...], lungs: tuple[Planes, Lung]
) -> None:
    planes, lung = lungs
    segments = tiny[1]
    spec = segments.engine.spec
    places = (POSITIONS, *(PIXEL_MM[0] * np.arange(size, dtype=float) for size in (ROWS, COLUMNS)))
    region = Region.around(lung, places, (spec.planes, *spec.size))
    values, _ = region.sample(planes, lung, places)
    (answer,) = segments.engine.executable.run(values[None])
    found = region.interpolate(answer.reshape(spec.maps, spec.planes, *spec.size), places)
    maps = np.stack(list(found), axis=1)
    labels = segments.divide(planes, lung, POSITIONS, PIXEL_MM)
    np.testing.assert_array_equal(labels, np.where(lung, maps.argmax(axis=0) + 1, 0))


def test_a_repository_may_have_nothing_that_divides(tmp_path: Path) -> None:
    specs = load_repository(write_tiny_repository(tmp_path))
    assert load_dividers(specs, choose("openvino")) == ()
    with pytest.raises(ModelError, match="does not divide the lungs"):
        Divider(specs[0], choose("openvino"))


def test_two_lobes_models_are_one_too_many() -> None:
    spec = next(spec for spec in load_repository() if spec.role == "lobes")
    with pytest.raises(ModelError, match="one lobes model is enough"):
        load_dividers([spec, spec], choose("openvino"))
