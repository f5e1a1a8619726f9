"""What is drawn on a terminal, drawn on one."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

from tests.box import Box
from tests.cli.command import Command


def _hear_ctrl_c() -> None:
    """Tests that run in the background of a shell do not hear it, nor what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class OnTerminal:
    """The command on a pseudo-terminal."""

    def __init__(self, *arguments: object) -> None:
        self._ours, theirs = pty.openpty()
        words = [sys.executable, "-m", "appliance.cli", *map(str, arguments)]
        environment = {**os.environ, "COLUMNS": "140", "LINES": "40", "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            words, stdout=theirs, stderr=theirs, env=environment, preexec_fn=_hear_ctrl_c
        )
        os.close(theirs)
        self.text = ""

    def read_until(self, wanted: str) -> None:
        while wanted not in self.text:
            self.text += os.read(self._ours, 65536).decode(errors="replace")

    def read_all(self) -> str:
        try:
            while chunk := os.read(self._ours, 65536):
                self.text += chunk.decode(errors="replace")
        except OSError:  # Linux says EIO when the other side is closed
            pass
        os.close(self._ours)
        self.process.wait()
        return self.text


def test_send_draws_bars_and_the_report(box: Box, series: Path) -> None:
    sending = OnTerminal("send", series, "--to", box.grpc, "--fresh", "--rate", 40)
    text = sending.read_all()
    assert sending.process.returncode == 0
    assert "24/24" in text
    assert "running  PO" in text
    assert "PO, opacity of lung" in text


def test_watch_follows_the_board_until_ctrl_c(box: Box, series: Path, command: Command) -> None:
    watching = OnTerminal("watch", "--to", box.grpc)
    watching.read_until("worst first")
    command("send", series, "--to", box.grpc, "--fresh", "--station", "seen-live")
    watching.read_until("seen-live")
    watching.process.send_signal(signal.SIGINT)
    watching.read_all()
    assert watching.process.returncode == 0


def test_watch_outlives_the_appliance(box: Box) -> None:
    watching = OnTerminal("watch", "--to", "127.0.0.1:1")
    watching.read_until("cannot be reached")
    assert watching.process.poll() is None
    watching.process.send_signal(signal.SIGINT)
    watching.read_all()
    assert watching.process.returncode == 0


def test_ctrl_c_stops_a_send_with_one_word(box: Box, series: Path) -> None:
    sending = OnTerminal("send", series, "--to", box.grpc, "--fresh", "--rate", 2)
    sending.read_until("running  PO")
    sending.process.send_signal(signal.SIGINT)
    text = sending.read_all()
    assert sending.process.returncode == 1
    assert "breathhold: Stopped." in text
    assert "Traceback" not in text
