"""One target under atheris, in a process of its own: python -m tests.fuzz.one TARGET ...

Findings become files and fuzzing goes on; where C code dies, libFuzzer writes the input and
the process ends. The number of executions lies in a file, so that it survives that.
"""

from __future__ import annotations

import argparse
import hashlib
import mmap
import resource
import struct
import sys
import time
import traceback
import warnings
from pathlib import Path
from types import TracebackType

import atheris

with atheris.instrument_imports(include=["appliance"]):
    from tests.fuzz.targets import TARGETS

from tests.fuzz.cost import MOST_BYTES, MOST_SECONDS

_ADDRESS_SPACE_BYTES = 6 * 2**30
_KILOBYTE = 1024
_MOST_SUSPECTS = 40
_COUNTER = struct.Struct("<Q")


class Fuzzing:
    """What atheris calls.

    Parameters
    ----------
    name
        Of the target.
    folder
        Where findings and the count of executions go.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self._run = TARGETS[name].run
        self._folder = folder
        self._seen: set[tuple[str, ...]] = set()
        self._suspects = 0
        count = folder / "executions"
        if not count.exists():
            count.write_bytes(bytes(_COUNTER.size))
        with count.open("r+b") as file:
            self._count = mmap.mmap(file.fileno(), _COUNTER.size)
        (self._executions,) = _COUNTER.unpack(self._count[:])

    def __call__(self, data: bytes) -> None:
        self._executions += 1
        _COUNTER.pack_into(self._count, 0, self._executions)
        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        started = time.thread_time()
        try:
            accepted = self._run(data)
        except Exception as error:  # noqa: BLE001
            self._found(error, data)
            return
        seconds = time.thread_time() - started
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident) * _KILOBYTE
        if not accepted and (seconds > MOST_SECONDS or grown > MOST_BYTES):
            self._suspect(data)

    def _found(self, error: Exception, data: bytes) -> None:
        """Write one input for each place an error comes from."""
        where = (type(error).__name__, *_places(error.__traceback__)[-2:])
        if where in self._seen:
            return
        self._seen.add(where)
        path = self._folder / f"crash-{_name_of(data)}"
        path.write_bytes(data)
        words = "".join(traceback.format_exception(error))
        path.with_name(f"{path.name}.txt").write_text(words)
        print(f"{path}: {type(error).__name__}: {error}", flush=True)

    def _suspect(self, data: bytes) -> None:
        """Keep for a closer look what took long or much here, where all is slowed down."""
        if self._suspects < _MOST_SUSPECTS:
            self._suspects += 1
            (self._folder / f"suspect-{_name_of(data)}").write_bytes(data)


def _places(trace: TracebackType | None) -> list[str]:
    return [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(trace)]


def _name_of(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("seconds", type=int)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, _ADDRESS_SPACE_BYTES))
    target, corpus = TARGETS[asked.target], asked.folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (corpus / _name_of(seed)).write_bytes(seed)
    options = [
        f"-max_total_time={asked.seconds}",
        f"-max_len={target.most}",
        f"-artifact_prefix={asked.folder}/crash-",
        "-timeout=20",
        "-rss_limit_mb=4096",
        "-print_final_stats=0",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], Fuzzing(asked.target, asked.folder))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
