"""DALI: what its decoders and pipelines give on this device, against the CPU's, and how fast."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from appliance.ingest.probes import encoded, find_exact
from appliance.ingest.widening import Coding
from calibration.phantom import Section
from engines.decoding import FrameDecoder
from engines.models import load_repository
from engines.preprocess import Frame, Image, Preparer, Restorer
from engines.stage import Device
from tests.gpu.check.parts import Choice, Found, Row
from tests.gpu.check.phantoms import phantom
from tests.gpu.check.timing import seconds

#: As tests/gpu/test_preprocess.py says.
_PLANE_TOLERANCE_HU = 0.5
_MASK_TOLERANCE = 1e-4
_BATCH = 16


def check_dali(choice: Choice) -> Found:
    """Decoders and both pipelines."""
    device: Device = "gpu" if choice.on_gpu else "cpu"
    made = phantom(Section.THICK, choice.slices or _BATCH, choice.matrix)
    found = Found(notes=[f"Milliseconds are those of one slice in a batch of {len(made.hu)}."])
    for coding in Coding:
        found.rows.append(_decoding(device, coding, made.hu, choice.enough_s))
    found.rows += _pipelines(device, made.hu, choice)
    return found


def _decoding(device: Device, coding: Coding, hu: npt.NDArray[np.int16], enough_s: float) -> Row:
    decoder = FrameDecoder(device, batch=len(hu))
    exact = coding in find_exact(decoder.decode)
    row: Row = {"what": f"decode {coding.value}", "device": device}
    if not exact:
        # Without a GPU there is nothing that decodes it, and nothing that must.
        needed = device == "gpu" or coding is not Coding.JPEG_LOSSLESS
        return row | {"difference": "not exact", "ms": None, "ok": not needed}
    frames = [encoded(coding, (plane + 1024).astype(np.uint16), 16).data for plane in hu]
    taken = seconds(lambda: decoder.decode(frames), enough_s) / len(frames)
    return row | {"difference": "none", "ms": 1000 * taken, "ok": True}


def _pipelines(device: Device, hu: npt.NDArray[np.int16], choice: Choice) -> list[Row]:
    spec = next(spec for spec in load_repository(choice.models) if spec.role == "lung")
    low, high = spec.window_hu
    frame = Frame(*hu.shape[1:])
    images = [Image(np.ascontiguousarray(plane), frame) for plane in hu]
    prepare = [Preparer(spec.window_hu, spec.size, device=one) for one in ("cpu", device)]
    expected, planes = (one.prepare(images) for one in prepare)
    worst = float(np.abs(np.stack(planes) - np.stack(expected)).max()) * (high - low)
    answers = [1 - plane for plane in expected]
    frames = [frame] * len(answers)
    restore = [Restorer(0.5, device=one) for one in ("cpu", device)]
    expected_masks, masks = (np.stack(one.restore(answers, frames)) for one in restore)
    ms = [
        1000 * seconds(call, choice.enough_s) / len(images)
        for call in (
            lambda: prepare[1].prepare(images),
            lambda: restore[1].restore(answers, frames),
        )
    ]
    share = float(np.count_nonzero(masks != expected_masks) / masks.size)
    return [
        {
            "what": "prepare",
            "device": device,
            "difference": f"{worst:.3g} HU",
            "ms": ms[0],
            "ok": worst <= _PLANE_TOLERANCE_HU,
        },
        {
            "what": "restore",
            "device": device,
            "difference": f"{share:.3g} of the pixels",
            "ms": ms[1],
            "ok": share <= _MASK_TOLERANCE,
        },
    ]
