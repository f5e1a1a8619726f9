from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.inference.shapes import lesion_models, slab_shapes
from appliance.inference.volume import SliceResult, VolumeError, segment_volume
from appliance.scan.geometry import SliceGeometry
from appliance.scan.masks import decode_runs
from appliance.scan.scan import ScanPolicy
from appliance.scan.slabs import Form, SlabShape
from appliance.scan.slice import Slice
from appliance.scan.stack import Section
from breathhold.v1 import scan_pb2 as pb
from engines.models import ModelError, load_repository
from engines.runtimes import choose
from engines.segmenter import Segmenter
from tests.box import Box, send_scan
from tests.made_scans import plane, raw_slices
from tests.scan.strategies import AXIAL, SERIES, header
from tests.tiny_models import (
    BLOCK_OVERLAP,
    BLOCK_PLANES,
    write_block_repository,
    write_tiny_repository,
)


@pytest.fixture(
    scope="module", params=[write_tiny_repository, write_block_repository], ids=["2-D", "3-D"]
)
def repository(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = request.param(tmp_path_factory.mktemp("repository"))
    return folder


@pytest.fixture(scope="module")
def segmenter(repository: Path) -> Segmenter:
    return Segmenter(load_repository(repository), choose("openvino"), batch=4)


def policy_of(segmenter: Segmenter) -> ScanPolicy:
    return ScanPolicy(slab_shapes(segmenter.lesion_models))


def made_slices(count: int, spacing_mm: float, series: str = SERIES) -> list[Slice]:
    """The scan of `raw_slices`, as ingest hands it on."""
    return [
        Slice(
            header(
                -300.0 + index * spacing_mm,
                f"{series}.{index + 1}",
                series_instance_uid=series,
                geometry=SliceGeometry(
                    (-160.0, -160.0, -300.0 + index * spacing_mm), AXIAL, (5.0, 5.0), 64, 64
                ),
            ),
            plane(index, count),
        )
        for index in range(count)
    ]


def test_a_volume_is_what_the_daemon_finds(
    segmenter: Segmenter, repository: Path, tmp_path: Path
) -> None:
    with Box(tmp_path, repository) as box:
        for count, spacing_mm in ((30, 5.0), (80, 1.25)):
            series = f"1.2.{count}"
            opening = pb.OpenScan(series_instance_uid=series, station="CT1", send_masks=True)
            sent = send_scan(box.grpc, opening, raw_slices(count, spacing_mm, series)).masks
            slices = made_slices(count, spacing_mm, series)
            found = segment_volume(slices, segmenter, policy_of(segmenter))
            assert_found(found, slices, {uid: mask.runs for uid, mask in sent.items()})


def assert_found(
    found: list[SliceResult], slices: list[Slice], sent: Mapping[str, Sequence[int]]
) -> None:
    assert [result.header for result in found] == [item.header for item in slices]
    for result in found:
        runs = sent[result.header.sop_instance_uid]
        np.testing.assert_array_equal(result.lesion, decode_runs(runs, 64, 64))
        assert result.tally.lung_px == result.lung.sum()
        assert result.tally.lesion_px == result.lesion.sum()
        assert not (result.lesion & ~result.lung).any()
    assert any(result.lesion.any() for result in found)


def assert_same(first: list[SliceResult], second: list[SliceResult]) -> None:
    for one, other in zip(first, second, strict=True):
        assert one.header == other.header
        assert one.tally == other.tally
        assert np.array_equal(one.lung, other.lung)
        assert np.array_equal(one.lesion, other.lesion)


@settings(max_examples=6, deadline=None)
@given(
    st.sampled_from([0.7, 1.25, 2.5]),
    st.sets(st.integers(0, 39), max_size=20),
    st.randoms(use_true_random=False),
)
def test_the_order_of_a_volume_does_not_matter(
    segmenter: Segmenter, spacing_mm: float, dropped: set[int], mixer: random.Random
) -> None:
    slices = [
        item for index, item in enumerate(made_slices(40, spacing_mm)) if index not in dropped
    ]
    reference = segment_volume(slices, segmenter, policy_of(segmenter))
    shuffled = mixer.sample(slices, len(slices))
    assert_same(segment_volume(shuffled, segmenter, policy_of(segmenter)), reference)


def test_no_slices_no_results(segmenter: Segmenter) -> None:
    assert segment_volume([], segmenter, policy_of(segmenter)) == []


def test_a_slice_that_does_not_belong_is_named(segmenter: Segmenter) -> None:
    slices = made_slices(12, 5.0)
    stranger = Slice(header(100.0, "7.7", series_instance_uid="9.9"), slices[0].hu)
    with pytest.raises(VolumeError, match=r"slice 7\.7"):
        segment_volume([*slices, stranger], segmenter, policy_of(segmenter))


def test_a_slice_that_cannot_be_inferred_is_named(segmenter: Segmenter) -> None:
    shapes = {section: SlabShape("nowhere", 3, 3.0) for section in Section}
    with pytest.raises(VolumeError, match="could not be inferred"):
        segment_volume(made_slices(12, 5.0), segmenter, ScanPolicy(shapes))


def test_every_section_has_its_shape(tmp_path: Path) -> None:
    shapes = slab_shapes(load_repository(write_block_repository(tmp_path)))
    thick = SlabShape("lesion_thick", 3, 3.0)
    thin = SlabShape("lesion_thin", BLOCK_PLANES, 3.0, Form.BLOCK, BLOCK_OVERLAP)
    assert shapes == {Section.THIN: thin, Section.MEDIUM: thick, Section.THICK: thick}


def test_a_section_is_served_by_exactly_one_model(tmp_path: Path) -> None:
    lesion, lung = load_repository(write_tiny_repository(tmp_path))
    with pytest.raises(ModelError, match="no lesion model serves thin, medium, thick"):
        lesion_models([lung])
    with pytest.raises(ModelError, match="lesion and lesion both serve thin"):
        lesion_models([lesion, lesion])
