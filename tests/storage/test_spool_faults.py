"""A disk that is full, a limit that is reached, a folder that cannot be written: for real."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.storage.errors import SpoolBrokenError, SpoolWriteError
from appliance.storage.spool import Spool
from tests.storage.conftest import content_of, slice_record

_ROOT = Path(__file__).resolve().parents[2]
_NOBODY = 65534

#: Fills a tmpfs of 1 MiB, makes room by removing one scan, and goes on.
FULL_DISK = """
import errno, sys
from pathlib import Path
from appliance.storage.errors import SpoolBrokenError, SpoolWriteError
from appliance.storage.spool import Spool
from tests.storage.conftest import content_of, slice_record

def fill(spool, scan_id):
    kept = []
    while True:
        try:
            kept.append(spool.submit(scan_id, slice_record(str(len(kept)), 30_000)).result(30))
        except SpoolWriteError as error:
            assert error.errno == errno.ENOSPC, error
            return kept

with Spool(Path(sys.argv[1])) as spool:
    spool.submit("cc", slice_record("0", 300_000)).result(30)
    spool.submit("bb", slice_record("0")).result(30)
    kept = fill(spool, "aa")
    assert len(kept) > 10
    try:
        spool.submit("aa", slice_record("x"))
        raise AssertionError("a broken scan took a record")
    except SpoolBrokenError:
        pass
    spool.remove("cc")
    spool.submit("bb", slice_record("1", 30_000)).result(30)
    assert list(spool.recover("aa").records) == kept
    kept.append(spool.submit("aa", slice_record("last", 30_000)).result(30))
with Spool(Path(sys.argv[1])) as spool:
    recovery = spool.recover_all()
    assert not recovery.failed
    assert list(recovery.scans["aa"].records) == kept
    assert all(spool.read(ref) == content_of(ref.key, 30_000) for ref in kept)
    assert [ref.key for ref in recovery.scans["bb"].records] == ["0", "1"]
print("done")
"""

#: The imports come first: the unprivileged user may not be able to read them.
READ_ONLY = """
import errno, os, sys
from pathlib import Path
from appliance.storage.errors import SpoolWriteError
from appliance.storage.spool import Spool
from tests.storage.conftest import slice_record

state = Path(sys.argv[1])
if os.geteuid() == 0:
    os.chown(state, int(sys.argv[2]), -1)
    os.seteuid(int(sys.argv[2]))

def refused(work):
    try:
        work()
    except SpoolWriteError as error:
        assert error.errno == errno.EACCES, error
        return
    raise AssertionError("a read-only folder was written")

with Spool(state) as spool:
    spool.submit("aa", slice_record("0")).result(30)
    (state / "spool").chmod(0o500)
    refused(lambda: spool.submit("bb", slice_record("0")).result(30))
    spool.submit("aa", slice_record("1")).result(30)
    (state / "spool").chmod(0o700)
    assert spool.recover("bb").records == ()
    spool.submit("bb", slice_record("0")).result(30)
    (state / "spool").chmod(0o500)
    refused(lambda: spool.remove("aa"))
    (state / "spool").chmod(0o700)
with Spool(state) as spool:
    scans = spool.recover_all().scans
    assert [ref.key for ref in scans["aa"].records] == ["0", "1"]
    assert [ref.key for ref in scans["bb"].records] == ["0"]
(state / "lock").unlink()
state.chmod(0o500)
refused(lambda: Spool(state))
print("done")
"""


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Files larger than `size` fail with EFBIG; Python ignores the signal that comes with it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_is_cut_short_loses_nothing_acknowledged(state: Path) -> None:
    with Spool(state) as spool:
        kept = [spool.submit("aa", slice_record(str(n), 30_000)).result(30) for n in range(3)]
        with file_size_limit(100_000):
            with pytest.raises(SpoolWriteError, match="EFBIG") as failure:
                spool.submit("aa", slice_record("3", 30_000)).result(30)
            spool.submit("bb", slice_record("0", 30_000)).result(30)
        assert failure.value.errno == errno.EFBIG
        with pytest.raises(SpoolBrokenError):
            spool.submit("aa", slice_record("4"))
        assert list(spool.recover("aa").records) == kept
        kept.append(spool.submit("aa", slice_record("5", 30_000)).result(30))
        assert [spool.read(ref) for ref in kept] == [content_of(k, 30_000) for k in "0125"]


def test_a_log_whose_first_write_fails_is_begun_again(state: Path) -> None:
    with Spool(state) as spool:
        with file_size_limit(10_000), pytest.raises(SpoolWriteError, match="EFBIG"):
            spool.submit("aa", slice_record("0", 30_000)).result(30)
        assert spool.recover("aa").records == ()
        spool.submit("aa", slice_record("1", 30_000)).result(30)
    with Spool(state) as spool:
        assert [ref.key for ref in spool.recover("aa").records] == ["1"]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=60)


def test_a_full_disk_is_named_and_survived(tmp_path: Path) -> None:
    unshare = shutil.which("unshare")
    if unshare is None or run([unshare, "-rm", "true"]).returncode:
        pytest.skip("a small file system of its own needs user namespaces, not allowed here")
    script = f'mount -t tmpfs -o size=1m none "{tmp_path}" && exec "$@"'
    child = [sys.executable, "-c", FULL_DISK, str(tmp_path / "state")]
    result = run([unshare, "-rm", "sh", "-c", script, "sh", *child])
    assert (result.stdout, result.returncode) == ("done\n", 0), result.stderr


def test_a_read_only_folder_is_named_and_survived() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        state = Path(folder) / "state"
        state.mkdir()
        owner = os.geteuid() or _NOBODY
        result = run([sys.executable, "-c", READ_ONLY, str(state), str(owner)])
        assert (result.stdout, result.returncode) == ("done\n", 0), result.stderr
