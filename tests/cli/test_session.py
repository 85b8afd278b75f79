"""How urgent the work of a verb is."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dovetail.cli.session import GIVES_WAY

STARTS = """
import os, sys
from dovetail.cli import session
from dovetail.shared import engine
engine.start = lambda *_, **__: print(os.nice(0))
session.start_spark(None, "a verb", heavy=sys.argv[1] == "heavy")
"""


@pytest.mark.parametrize(("work", "later"), [("heavy", GIVES_WAY), ("light", 0)])
def test_heavy_work_leaves_the_cores_to_the_layers(work: str, later: int) -> None:
    said = subprocess.run([sys.executable, "-c", STARTS, work], capture_output=True, text=True, check=True)
    assert int(said.stdout) == min(os.nice(0) + later, 19)
