from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from appliance.ingest import SliceRefusedError, read_dicom
from appliance.ingest.acceleration import Accelerator, Decoder, accelerate, gpu_to_decode
from appliance.ingest.decoders import decode_frame
from appliance.ingest.probes import find_exact, probes_of
from appliance.ingest.syntaxes import Codec
from appliance.ingest.widening import Coding, Words
from engines.decoding import DecodingError, FrameDecoder
from tests.ingest import codecs
from tests.ingest import synthetic as dicom

PROBES = [probe for coding in Coding for probe in probes_of(coding)]
ON_CPU = {Coding.JPEG_2000, Coding.HTJ2K}
STORED = dicom.stored_pixels(size=64)


class Bench:
    """DALI on the CPU, as a GPU that can be told to fail, to wait, and to be wrong."""

    def __init__(self) -> None:
        self.batch = 16
        self.inner = FrameDecoder("cpu")
        self.error: Exception | None = None
        self.gate: threading.Event | None = None
        self.calls: list[int] = []
        self.change: Callable[[Words], Words] = lambda words: words

    def decode(self, frames: Sequence[bytes]) -> list[Words]:
        self.calls.append(len(frames))
        if self.gate:
            assert self.gate.wait(60)
        if self.error:
            raise self.error
        return [self.change(words) for words in self.inner.decode(frames)]


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def decoder() -> Bench:
    return Bench()


@pytest.fixture
def accelerator(decoder: Bench) -> Iterator[Accelerator]:
    made = Accelerator(lambda: decoder, "bench", patience_s=30)
    assert made.codings(60) == ON_CPU
    decoder.calls.clear()
    accelerate(made)
    yield made
    accelerate(None)
    made.close()


def test_dali_on_the_cpu_is_exact_in_both_jpeg_2000(accelerator: Accelerator) -> None:
    for probe in PROBES:
        words = accelerator.decode(probe.frame)
        if probe.frame.coding in ON_CPU:
            np.testing.assert_array_equal(words, probe.words)
        else:
            assert words is None


def test_a_decoder_that_is_a_little_wrong_is_not_used(decoder: Bench) -> None:
    decoder.change = lambda words: words + np.uint16(1)
    assert find_exact(decoder.decode) == frozenset()
    decoder.change = lambda words: words[:, ::-1]
    assert find_exact(decoder.decode) == frozenset()


@pytest.mark.parametrize(
    ("codec", "frame"),
    [
        (Codec.JPEG_2000, codecs.jpeg_2000(STORED)),
        (Codec.JPEG_2000, codecs.htj2k(STORED)),
        (Codec.JPEG, codecs.jpeg_lossless(STORED)),
        (Codec.JPEG_LS, codecs.jpeg_ls_frame(STORED)),
        (Codec.RLE, codecs.rle(STORED)),
    ],
)
def test_frames_come_out_as_the_cpus(codec: Codec, frame: bytes, accelerator: Accelerator) -> None:
    with_it = decode_frame(codec, frame, 64, 64, lossless=True)
    assert accelerator.decoded == (codec is Codec.JPEG_2000)
    accelerate(None)
    without = decode_frame(codec, frame, 64, 64, lossless=True)
    np.testing.assert_array_equal(with_it.words, without.words)
    assert (with_it.precision, with_it.signed) == (without.precision, without.signed)


def test_lossy_syntaxes_are_the_cpus(accelerator: Accelerator) -> None:
    """A reversible codestream, too: nobody says that none of it was thrown away."""
    decode_frame(Codec.JPEG_2000, codecs.jpeg_2000(STORED), 64, 64)
    assert accelerator.decoded == 0


def test_what_waits_is_decoded_together(decoder: Bench, accelerator: Accelerator) -> None:
    probes = [probe for probe in PROBES if probe.frame.coding in ON_CPU]
    decoder.gate = threading.Event()
    with ThreadPoolExecutor(12) as pool:
        answers = [pool.submit(accelerator.decode, probes[0].frame)]
        wait_until(lambda: decoder.calls == [1])
        answers += [pool.submit(accelerator.decode, probes[i % 8].frame) for i in range(1, 12)]
        wait_until(lambda: accelerator._queue.qsize() == 11)
        decoder.gate.set()
        for index, answer in enumerate(answers):
            np.testing.assert_array_equal(answer.result(), probes[index % 8].words)
    assert decoder.calls == [1, 11]


def test_a_frame_that_cannot_be_decoded_is_the_cpus_and_spoils_no_other(
    decoder: Bench, accelerator: Accelerator
) -> None:
    good = codecs.jpeg_2000(STORED)
    bad = bytearray(good)
    bad[bad.index(b"\xff\x52") + 9] = 77  # more levels of the wavelet than there can be
    with pytest.raises(SliceRefusedError) as with_it:
        decode_frame(Codec.JPEG_2000, bytes(bad), 64, 64, lossless=True)
    decoded = decode_frame(Codec.JPEG_2000, good, 64, 64, lossless=True)
    np.testing.assert_array_equal(decoded.words.view(np.int16), STORED)
    accelerate(None)
    with pytest.raises(SliceRefusedError) as without:
        decode_frame(Codec.JPEG_2000, bytes(bad), 64, 64, lossless=True)
    assert with_it.value.refusal == without.value.refusal
    wait_until(lambda: accelerator.codings() == ON_CPU)


def test_a_device_that_is_lost_leaves_all_to_the_cpu(
    decoder: Bench, accelerator: Accelerator, caplog: pytest.LogCaptureFixture
) -> None:
    decoder.error = DecodingError("CUDA error: an illegal memory access")
    frame = codecs.jpeg_2000(STORED)
    for _ in range(2):
        decoded = decode_frame(Codec.JPEG_2000, frame, 64, 64, lossless=True)
        np.testing.assert_array_equal(decoded.words.view(np.int16), STORED)
    accelerator.close()  # the log is written after the answers
    assert len(decoder.calls) == 1 + len(Coding)  # one attempt, and the probes once more
    assert "bench no longer decodes HTJ2K, JPEG 2000: the CPU does" in caplog.text


def test_a_device_that_hangs_keeps_nobody_waiting(decoder: Bench) -> None:
    made = Accelerator(lambda: decoder, "bench", patience_s=0.01)
    assert made.codings(60) == ON_CPU
    decoder.gate = threading.Event()
    before = len(decoder.calls)
    # On a busy machine patience may end before the decoder is asked.
    wait_until(lambda: made.decode(PROBES[0].frame) is None and len(decoder.calls) > before)
    wait_until(lambda: made._hangs)
    waiting = made._queue.qsize()
    assert all(made.decode(PROBES[0].frame) is None for _ in range(20))
    assert len(decoder.calls) == before + 1
    assert made._queue.qsize() == waiting
    decoder.gate.set()
    made.close()


@pytest.mark.parametrize(
    ("wanted", "devices", "expected"),
    [
        ("auto", ["gpu2", "gpu3"], 2),
        ("auto", ["cpu"], None),
        ("auto", [], None),
        ("cpu", ["gpu0"], None),
    ],
)
def test_the_first_gpu_that_infers_decodes(
    wanted: str, devices: list[str], expected: int | None
) -> None:
    assert gpu_to_decode(wanted, devices) == expected


def test_no_gpu_no_acceleration(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def make() -> Decoder:
        raise DecodingError("there is no such device")

    made = Accelerator(make, "gpu0")
    assert made.codings(60) == frozenset()
    assert made.decode(PROBES[0].frame) is None
    assert "frames are decoded on the CPU: gpu0: there is no such device" in caplog.text


def test_real_files_come_out_as_the_cpus(
    shared_ct: Path, accelerator: Accelerator, capfd: pytest.CaptureFixture[str]
) -> None:
    files = [*(shared_ct / "dicom/syntaxes").iterdir(), *(shared_ct / "dicom/odd").iterdir()]
    with_it = {path.name: _outcome(path) for path in files}
    assert accelerator.decoded > 0
    accelerate(None)
    assert with_it == {path.name: _outcome(path) for path in files}
    capfd.readouterr()  # OpenCV, which DALI's CPU side is, is talkative


def _outcome(path: Path) -> object:
    try:
        read = read_dicom(path.read_bytes())
    except SliceRefusedError as error:
        return error.refusal
    return read.header.digest, read.header.notices
