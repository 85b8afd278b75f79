"""Fault switches do nothing unless a test arms them."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dovetail.shared.failpoints as failpoints

ROOT = Path(__file__).parents[2]


def run(env):
    code = (
        "from dovetail.shared.failpoints import failpoint\n"
        "for _ in range(3): failpoint('speed.before_ledger')\n"
        "print('alive')"
    )
    return subprocess.run([sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True)


def test_nothing_happens_where_none_is_armed():
    assert run({}).stdout == "alive\n"


@pytest.mark.parametrize(("nth", "code"), [(1, -9), (3, -9), (4, 0)])
def test_the_nth_pass_of_an_armed_one_is_a_kill_9(nth, code):
    env = {"DOVETAIL_TEST_MODE": "1", "DOVETAIL_FAILPOINT": f"speed.before_ledger:crash|nth={nth}"}
    assert run(env).returncode == code


def test_outside_test_mode_an_armed_one_is_refused():
    refused = run({"DOVETAIL_FAILPOINT": "speed.before_ledger:crash"})
    assert refused.returncode == 1
    assert "set outside test mode" in refused.stderr


def test_every_name_is_passed_by_some_step_and_no_step_passes_another():
    passed = set()
    for folder in ("shared", "batch", "speed", "serving"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "failpoint":
                    passed.add(node.args[0].value)
    assert passed == set(failpoints.NAMES)
