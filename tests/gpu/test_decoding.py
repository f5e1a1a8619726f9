"""DALI on a GPU decodes what is lossless bit for bit, and is not missed where it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from appliance.ingest import SliceRefusedError, read_dicom
from appliance.ingest.acceleration import Accelerator, accelerate, gpu_accelerator
from appliance.ingest.probes import encoded
from appliance.ingest.widening import Coding
from calibration.phantom import make_phantom
from engines.decoding import FrameDecoder
from engines.runtimes.tensorrt.driver import Gpu


@pytest.fixture(scope="module")
def accelerator(gpu: Gpu) -> Iterator[Accelerator]:
    made = gpu_accelerator()
    yield made
    made.close()


def test_every_coding_is_exact(accelerator: Accelerator) -> None:
    assert accelerator.codings(120) == set(Coding)


@pytest.mark.parametrize("coding", list(Coding))
def test_slices_of_a_chest_in_one_batch(gpu: Gpu, coding: Coding) -> None:
    made = make_phantom(1, section="thick", slices=16)
    planes = [np.ascontiguousarray(hu + 1024).astype(np.uint16) for hu in made.hu]
    frames = [encoded(coding, plane, 16) for plane in planes]
    decoded = FrameDecoder("gpu").decode([frame.data for frame in frames])
    for frame, wide, plane in zip(frames, decoded, planes, strict=True):
        np.testing.assert_array_equal(frame.narrowed(wide), plane)


def test_real_files_come_out_as_the_cpus(shared_ct: Path, accelerator: Accelerator) -> None:
    files = [*(shared_ct / "dicom/syntaxes").iterdir(), *(shared_ct / "dicom/odd").iterdir()]
    on_cpu = {path.name: outcome(path) for path in files}
    assert accelerator.codings(120)
    accelerate(accelerator)
    try:
        assert {path.name: outcome(path) for path in files} == on_cpu
    finally:
        accelerate(None)
    assert accelerator.decoded > 0


def outcome(path: Path) -> object:
    try:
        read = read_dicom(path.read_bytes())
    except SliceRefusedError as error:
        return error.refusal
    return read.header.digest, read.header.notices
