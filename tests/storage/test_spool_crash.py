"""``kill -9`` at random moments: what was acknowledged is there."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from appliance.storage.spool import Spool
from tests.storage.conftest import content_of

KILLS = 24
_ROOT = Path(__file__).resolve().parents[2]


def run_until_killed(state: Path, run: int, seconds: float) -> list[tuple[str, str]]:
    """Return (scan id, key) of each record that was acknowledged before the kill."""
    command = [sys.executable, "-m", "tests.storage.crash_child", str(state), str(run)]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
        lines = child.stdout.read().split("\n")[:-1]
    assert child.returncode == -signal.SIGKILL
    return [(scan_id, key) for scan_id, key in map(str.split, lines)]


def test_no_acknowledged_record_is_lost_by_kill_9(state: Path) -> None:
    moments = random.Random(5)
    acknowledged: dict[str, list[str]] = {}
    for run in range(KILLS):
        for scan_id, key in run_until_killed(state, run, moments.uniform(0, 0.08)):
            acknowledged.setdefault(scan_id, []).append(key)
        with Spool(state) as spool:
            recovery = spool.recover_all()
        assert recovery.failed == {}
        for scan_id, keys in acknowledged.items():
            kept = [ref.key for ref in recovery.scans[scan_id].records]
            assert [key for key in kept if key in set(keys)] == keys
    assert sum(map(len, acknowledged.values())) > KILLS
    check_every_payload(state)


def check_every_payload(state: Path) -> None:
    """Acknowledged or not, what is read back is what was written."""
    with Spool(state) as spool:
        for scan in spool.recover_all().scans.values():
            for ref in scan.records:
                assert spool.read(ref) == content_of(ref.key, int(ref.key.rsplit(".", 1)[1]))
