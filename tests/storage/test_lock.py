import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.storage.errors import StateLockedError
from appliance.storage.lock import StateLock

HOLD = """
import sys, time, pathlib
from appliance.storage.lock import StateLock
lock = StateLock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    lock = StateLock(tmp_path / "lock")
    with pytest.raises(StateLockedError, match=f"process {os.getpid()}"):
        StateLock(tmp_path / "lock")
    lock.release()
    lock.release()
    StateLock(tmp_path / "lock").release()


def test_a_killed_owner_leaves_no_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(StateLockedError, match=f"process {owner.pid}"):
            StateLock(tmp_path / "lock")
        owner.send_signal(signal.SIGKILL)
    StateLock(tmp_path / "lock").release()
