"""The demo: from nothing to a report, and everything put away again."""

from __future__ import annotations

import contextlib
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Literal, NoReturn

from appliance.cli.demonstrating.private_daemon import PrivateDaemon
from appliance.cli.sending.playing import Playing, Truth, play
from calibration.phantom import make_phantom, write_dicom_series
from calibration.phantom.truth import truth_of

#: A chest in thick sections, few enough to be drawn in seconds.
_SLICES = {"thick": 40, "medium": 80, "thin": 200}

SectionText = Literal["thin", "medium", "thick"]


def demonstrate(
    scan: Path | None,
    section: SectionText,
    *,
    seed: int,
    rate: float,
    keep: Path | None,
    config: Path | None,
    json: bool,
) -> None:
    """Run the demo; the daemon is stopped and temporary files are gone whatever happens.

    Raises
    ------
    CliError
        When the daemon does not start, or there is nothing to send.
    ClientError
        When the scan is refused.
    """
    with _stopped_by_sigterm(), tempfile.TemporaryDirectory(prefix="breathhold-demo-") as folder:
        private = Path(folder)
        with PrivateDaemon(private / "state", config) as daemon, ThreadPoolExecutor(1) as starter:
            drawing = "" if scan else " and drawing a phantom"
            _tell(f"Starting a private daemon{drawing} ...", json=json)
            address = starter.submit(daemon.wait_ready)
            series, truth = _series(scan, section, seed, keep or private)
            playing = Playing(to=address.result(), rate=rate, station="demo", json=json)
            _tell(f"Sending {rate:g} slices a second to {playing.to}.", json=json)
            play(series, replace(playing, truth=truth, masks=keep and keep / "masks"))


def _series(
    scan: Path | None, section: SectionText, seed: int, folder: Path
) -> tuple[Path, Truth | None]:
    if scan is not None:
        return scan, None
    phantom = make_phantom(seed, section=section, slices=_SLICES[section])
    series = folder / "phantom"
    write_dicom_series(phantom, series)
    return series, truth_of(phantom)


def _tell(sentence: str, *, json: bool) -> None:
    print(sentence, file=sys.stderr if json else sys.stdout, flush=True)


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Leave by an exception on SIGTERM too, so that the daemon is stopped."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
