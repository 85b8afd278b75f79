"""Three processes that append to one ledger at once, eight rows each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RIVAL = """
import sys
from pathlib import Path
from dovetail.shared.commit import attach, open_source
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.places import S3, place
from dovetail.shared.position import Position

ledger = DeltaLedger(place(sys.argv[1]) if S3.match(sys.argv[1]) else Path(sys.argv[1]))
sys.stdin.readline()
open_source(ledger, topic_id="t", origin=Position())
for n in range(8):
    attach(ledger, f"{sys.argv[2]}@{n}")
"""


def race(path: Path) -> None:
    """Starts all three, lets them go together, and waits until each has ended well."""
    command = [sys.executable, "-c", RIVAL, str(path)]
    rivals = [subprocess.Popen([*command, name], stdin=subprocess.PIPE, text=True) for name in "abc"]
    for rival in rivals:
        assert rival.stdin is not None
        rival.stdin.write("go\n")
        rival.stdin.flush()
    for rival in rivals:
        assert rival.stdin is not None
        with rival.stdin:
            assert rival.wait(timeout=120) == 0
