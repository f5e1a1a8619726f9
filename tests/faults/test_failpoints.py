"""Plans of failures: understood, refused, and met where the code says they are."""

from __future__ import annotations

import ast
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.failpoints import NAMES, VARIABLE, FailpointError, plan

ROOT = Path(__file__).resolve().parents[2]


def test_an_error_of_the_system_is_raised_at_its_turn() -> None:
    rule = plan("spool.write=ENOSPC@2")["spool.write"]
    rule.meet()
    with pytest.raises(OSError, match="No space") as caught:
        rule.meet()
    assert caught.value.errno == errno.ENOSPC
    rule.meet()


def test_from_a_turn_on() -> None:
    rule = plan("engine=fault@2+")["engine"]
    rule.meet()
    for _ in range(3):
        with pytest.raises(RuntimeError):
            rule.meet()


def test_between_two_turns() -> None:
    rule = plan("engine=fault@2-3")["engine"]
    rule.meet()
    for _ in range(2):
        with pytest.raises(RuntimeError):
            rule.meet()
    rule.meet()


@pytest.mark.parametrize(
    "text", ["spool.write", "nowhere=kill", "spool.write=EXPLODE", "engine=kill@0", "engine=sleep"]
)
def test_a_plan_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(FailpointError, match=VARIABLE):
        plan(text)


def test_kill_ends_the_process_at_once() -> None:
    code = "from appliance.failpoints import hit; hit('engine'); hit('ack'); print('alive')"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, VARIABLE: "ack=kill"},
        capture_output=True,
        cwd=ROOT,
    )
    assert (ran.returncode, ran.stdout) == (-9, b"")


def test_each_name_is_met_somewhere_and_no_other() -> None:
    """Every `hit("...")` of the appliance is listed, and every listed one is there."""
    met = {
        node.args[0].value
        for path in (ROOT / "appliance").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "hit"
        and isinstance(node.args[0], ast.Constant)
    }
    assert met == NAMES.keys()
