"""Thin sections through a block model, in a daemon of its own process."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import types_pb2
from tests.box import Answers, Box, Call, send_scan
from tests.forked import ForkedBox
from tests.made_scans import raw_slices
from tests.tiny_models import write_block_repository

OPEN = pb.OpenScan(series_instance_uid="1.2.3", station="CT1", send_masks=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_block_repository(tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def undisturbed(box: Box) -> Answers:
    return send_scan(box.grpc, OPEN, thin_slices())


def thin_slices() -> list[pb.Slice]:
    return raw_slices(120, 1.0)


def runs(answers: Answers) -> dict[str, list[int]]:
    return {uid: list(mask.runs) for uid, mask in answers.masks.items()}


def test_a_thin_scan_uses_the_block_model(undisturbed: Answers) -> None:
    report = undisturbed.final_report
    assert report.section == types_pb2.SECTION_THIN
    assert {name: entry.name for name, entry in report.models.items()} == {
        "lung": "lung",
        "lesion": "lesion_thin",
    }
    assert 0 < report.scores.po < 100
    assert len(undisturbed.masks) == 120


def test_a_thick_scan_uses_its_own_model(box: Box) -> None:
    thick = pb.OpenScan(series_instance_uid="1.2.4", station="CT1")
    report = send_scan(box.grpc, thick, raw_slices(30, 5.0, "1.2.4")).final_report
    assert report.models["lesion"].name == "lesion_thick"


def test_shuffled_doubled_and_killed_twice(
    repository: Path, tmp_path: Path, undisturbed: Answers
) -> None:
    """Every eighth slice first, which looks thick."""
    mixer = random.Random(3)
    slices = thin_slices()
    slices = slices[::8] + [item for index, item in enumerate(slices) if index % 8]
    slices += mixer.sample(slices, 6)
    rest = slices[15:]
    mixer.shuffle(rest)
    slices[15:] = rest
    begin = 0
    for end in (30, 80):
        with ForkedBox(tmp_path, repository) as box:
            call = Call(box.grpc, OPEN)
            call.send_slices(slices[begin:])
            call.wait_for_answers(end - begin)
            box.kill()
            call.result()
        begin = end
    with ForkedBox(tmp_path, repository) as box:
        final = send_scan(box.grpc, OPEN, slices)
    assert final.final_report == undisturbed.final_report
    assert runs(final) == runs(undisturbed)
