"""kill -9 of the speed job in the moment that is worst: its states are written, and no ledger row names them yet."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from dovetail.shared import locks
from dovetail.shared.errors import NotYet, ServiceMissing
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.tables import AppendTable, Layout

AGAIN_S = 120
LOOK_S = 20


@dataclass(frozen=True)
class Killed:
    """A speed job that was killed: its pid, the state rows it left that nobody sees, seconds until another ran."""

    pid: int
    orphans: int
    seconds: float


def in_mid_write(layout: Layout, source: str, kill: Callable[[], None]) -> int:
    """Calls `kill` between a commit's states and its ledger row; gives the number of state rows left to nobody.

    Where no commit comes within 20 s, wherever the job happens to be.
    """
    ledger = layout.ledger(source)
    versions = sorted(DeltaLedger(ledger).rows()[-1].versions)
    deltas = layout.states(versions[0]) / "_delta_log"
    seen = len(list(deltas.glob("*.json")))
    end = time.monotonic() + LOOK_S
    while len(list(deltas.glob("*.json"))) == seen and time.monotonic() < end:
        time.sleep(0.001)
    kill()
    last = DeltaLedger(ledger).rows()[-1]
    return sum(
        r["_seq"] > last.seq
        for version in versions
        for r in AppendTable.existing(layout.states(version)).read(columns=["_seq"]).to_pylist()
    )


def kill_and_wait(layout: Layout, source: str) -> Killed:
    """Kills the speed job of a source on this machine, and waits until whoever looks after it has started another.

    Raises:
        NotYet: none runs here.
        ServiceMissing: none was started within two minutes.
    """
    lock = layout.lock(f"speed-{source}")
    pid = locks.holder(lock)
    if pid is None:
        raise NotYet(f"no speed job of {source} runs here, so there is none to kill", next="dovetail dev")
    orphans = in_mid_write(layout, source, lambda: os.kill(pid, signal.SIGKILL))
    began = time.monotonic()
    while locks.holder(lock) in (None, pid):
        if time.monotonic() - began > AGAIN_S:
            raise ServiceMissing(
                f"speed job {pid} of {source} was killed, and nobody started another within {AGAIN_S} s",
                next=f"dovetail speed {source}; under dovetail dev, or a supervisor, it comes back by itself",
            )
        time.sleep(0.1)
    return Killed(pid, orphans, time.monotonic() - began)
