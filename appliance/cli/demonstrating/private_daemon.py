"""A daemon of one's own: another process, free ports, its own state folder."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.cli.errors import CliError

_READY = re.compile(r"breathhold is ready: gRPC (\S+), http (\S+)")
_STOP_S = 15.0


class PrivateDaemon:
    """Started on entry, stopped on exit.

    Parameters
    ----------
    state
        Its state folder; its log is written beside it.
    config
        Its configuration file, if it needs one.
    listen
        Its gRPC address; by default a free loopback port.
    """

    def __init__(
        self, state: Path, config: Path | None = None, listen: str = "127.0.0.1:0"
    ) -> None:
        self._state, self._config, self._listen = state, config, listen
        self._log = state.with_suffix(".log")

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "appliance.cli", "serve"]
        options = ["--listen", self._listen, "--http", "127.0.0.1:0", "--state", str(self._state)]
        if self._config:
            options += ["--config", str(self._config)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        return self

    def wait_ready(self, timeout_s: float = 120.0) -> str:
        """Its gRPC address, once it serves.

        Raises
        ------
        CliError
            When it ends before, or takes too long.
        """
        assert self._process.stdout is not None
        watchdog = threading.Timer(timeout_s, self._process.kill)
        watchdog.start()
        try:
            for line in self._process.stdout:
                if ready := _READY.match(line):
                    return ready[1]
        finally:
            watchdog.cancel()
        raise CliError(f"The daemon did not start: {self._last_words()}")

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._process.kill()
        self._process.wait()

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
