"""A daemon of its own process for tests, and the plainest caller there can be."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Self

import grpc

from breathhold.v1 import scan_pb2 as pb
from breathhold.v1 import scan_pb2_grpc, types_pb2

_READY = re.compile(r"ready: gRPC (\S+), http (\S+)")
_START_S = 60


class Box:
    """`breathhold serve` on free loopback ports; killed at the end of the block."""

    def __init__(
        self, state: Path, repository: Path | None = None, toml: str = "", *options: str
    ) -> None:
        self._state, self._toml = state, toml
        self.state, self._options = state / "state", options
        if repository:
            self._toml += f'\n[engine]\nrepository = "{repository}"\n'
        self.grpc = self.http = ""

    def __enter__(self) -> Self:
        self._state.mkdir(parents=True, exist_ok=True)
        config = self._state / "config.toml"
        config.write_text(self._toml)
        arguments = ["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]
        arguments += ["--state", str(self.state), "--config", str(config), *self._options]
        self.log = (self._state / "log").open("ab")
        self.process, self._out = self._start(arguments)
        self._await_ready()
        return self

    def _start(self, arguments: list[str]) -> tuple[subprocess.Popen[str], IO[str]]:
        process = subprocess.Popen(
            [sys.executable, "-m", "appliance.cli", *arguments],
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=os.environ.copy(),
        )
        assert process.stdout is not None
        return process, process.stdout

    def _await_ready(self) -> None:
        killer = threading.Timer(_START_S, self.process.kill)
        killer.start()
        line = self._out.readline()
        killer.cancel()
        found = _READY.search(line)
        assert found, f"no ready line but {line!r}; log: {(self._state / 'log').read_text()}"
        self.grpc, self.http = found.groups()

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self, timeout_s: float = 20) -> int:
        """SIGTERM; returns the exit status."""
        return self._end(signal.SIGTERM, timeout_s)

    def _end(self, number: int, timeout_s: float = 20) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(timeout_s)
        self._out.close()
        self.log.close()
        return status

    def log_text(self) -> str:
        return (self._state / "log").read_text()


@dataclass
class Answers:
    """Everything one call answered."""

    opened: pb.Opened | None = None
    acks: list[pb.Ack] = field(default_factory=list)
    refused: list[pb.SliceRefused] = field(default_factory=list)
    scores: list[pb.RunningScore] = field(default_factory=list)
    masks: dict[str, types_pb2.SliceMask] = field(default_factory=dict)
    warnings: list[types_pb2.Warning] = field(default_factory=list)
    report: types_pb2.Report | None = None
    error: grpc.RpcError | None = None

    def add(self, response: pb.StreamResponse) -> None:
        match response.WhichOneof("response"):
            case "opened":
                self.opened = response.opened
            case "ack":
                self.acks.append(response.ack)
            case "slice_refused":
                self.refused.append(response.slice_refused)
            case "running_score":
                self.scores.append(response.running_score)
            case "mask":
                self.masks[response.mask.sop_instance_uid] = response.mask
            case "warning":
                self.warnings.append(response.warning)
            case "report":
                self.report = response.report

    @property
    def final_report(self) -> types_pb2.Report:
        """The report without its timing, which differs from run to run."""
        assert self.report is not None, f"no report; {self.error}"
        final = types_pb2.Report()
        final.CopyFrom(self.report)
        final.ClearField("timing")
        return final


class Call:
    """One open ScanService.Stream call."""

    def __init__(self, target: str, opening: pb.OpenScan) -> None:
        self._requests: SimpleQueue[pb.StreamRequest | None] = SimpleQueue()
        self._channel = grpc.insecure_channel(target)
        self.answers = Answers()
        self.send(pb.StreamRequest(open=opening))
        stub = scan_pb2_grpc.ScanServiceStub(self._channel)
        self._responses = stub.Stream(self._outgoing(), timeout=120)
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _outgoing(self) -> Iterator[pb.StreamRequest]:
        while (request := self._requests.get()) is not None:
            yield request

    def _read(self) -> None:
        try:
            for response in self._responses:
                with self._news:
                    self.answers.add(response)
                    self._news.notify_all()
        except grpc.RpcError as error:
            self.answers.error = error
        with self._news:
            self._news.notify_all()

    def send(self, request: pb.StreamRequest) -> None:
        self._requests.put(request)

    def send_slices(self, slices: Iterable[pb.Slice]) -> None:
        for item in slices:
            self.send(pb.StreamRequest(slice=item))

    def end(self, *, abandon: bool = False) -> None:
        self.send(pb.StreamRequest(end=pb.EndScan(abandon=abandon)))

    def wait_for_answers(self, count: int, timeout_s: float = 60) -> None:
        """Until so many slices are acknowledged or refused, or the call is over."""

        def answered() -> bool:
            answers = self.answers
            return len(answers.acks) + len(answers.refused) >= count or not self._reader.is_alive()

        with self._news:
            assert self._news.wait_for(answered, timeout_s), "the daemon does not answer"

    def result(self, timeout_s: float = 60) -> Answers:
        """Wait for the end of the call."""
        self._reader.join(timeout_s)
        assert not self._reader.is_alive(), "the call does not end"
        self.close()
        return self.answers

    def close(self) -> None:
        """Half-close and drop the connection, as a caller that is gone."""
        self._requests.put(None)
        self._responses.cancel()
        self._reader.join(10)
        self._channel.close()


def send_scan(target: str, opening: pb.OpenScan, slices: Iterable[pb.Slice]) -> Answers:
    """A whole scan in one call."""
    call = Call(target, opening)
    call.send_slices(slices)
    call.end()
    return call.result()
