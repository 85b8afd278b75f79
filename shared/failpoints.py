"""Fault switches at named steps: `DOVETAIL_FAILPOINT=name:crash|raise|sleep=5[|nth=3]`, in test mode only."""

from __future__ import annotations

import os
import signal
import time
from functools import cache

from dovetail.shared.errors import UsageError

NAMES = frozenset(
    {
        "archive.before_data",
        "archive.before_claim",
        "archive.after_claim",
        "speed.batch_begin",
        "speed.between_versions",
        "speed.before_ledger",
        "speed.after_ledger",
        "batch.before_run",
        "batch.run_written",
        "batch.before_promote",
        "batch.after_promote",
        "prune.before_delete",
    }
)


def failpoint(name: str) -> None:
    """Does what DOVETAIL_FAILPOINT says for `name`: nothing, unless a test set it."""
    if name not in NAMES:
        raise UsageError(f"no failpoint is called {name}", where="shared/failpoints.py")
    armed = _armed()
    if armed is None or armed[0] != name:
        return
    _, action, nth = armed
    _passed[name] = _passed.get(name, 0) + 1
    if _passed[name] != nth:
        return
    if action == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "raise":
        raise RuntimeError(f"failpoint {name}")
    else:
        time.sleep(float(action.removeprefix("sleep=")))


_passed: dict[str, int] = {}


@cache
def _armed() -> tuple[str, str, int] | None:
    text = os.environ.get("DOVETAIL_FAILPOINT", "")
    if not text:
        return None
    if os.environ.get("DOVETAIL_TEST_MODE") != "1":
        raise UsageError(
            "DOVETAIL_FAILPOINT is set outside test mode",
            next="unset it, or set DOVETAIL_TEST_MODE=1 if this is a test",
        )
    name, _, rest = text.partition(":")
    parts = rest.split("|")
    nth = next((int(p.removeprefix("nth=")) for p in parts if p.startswith("nth=")), 1)
    action = parts[0]
    if name not in NAMES or not (action in ("crash", "raise") or action.startswith("sleep=")):
        raise UsageError(f"DOVETAIL_FAILPOINT='{text}' is not name:crash|raise|sleep=SECONDS[|nth=N]")
    return name, action, nth
