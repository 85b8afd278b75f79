"""Cuts files in half that a crash could have left so: what must be survived, and what must be refused."""

from __future__ import annotations

import time
from pathlib import Path

from dovetail.shared.errors import IntegrityError
from dovetail.torture.actions import Torn
from dovetail.torture.stand import SOURCE, Stand
from dovetail.torture.watch import Watch

REFUSED_S = 60
TORN_VIEW = "ids"


def tear(what: Torn, stand: Stand, watch: Watch) -> None:
    """Tears the newest file of a kind; one whose loss must be refused is put back once it was.

    Raises:
        IntegrityError: what is torn was not refused.
    """
    layout = stand.project.layout
    if what == "seen":
        _halved_between_starts(stand, layout.seen(SOURCE), "*.arrow")
    elif what == "checkpoint":
        _halved_between_starts(stand, layout.scratch(f"speed-{SOURCE}"), "*")
    else:
        _refused(stand, watch, layout.manifest(TORN_VIEW))


def newest(folder: Path, pattern: str) -> Path | None:
    """The file below `folder` that was written last, of those that hold something."""
    found = [(f.stat().st_mtime_ns, f) for f in folder.rglob(pattern) if f.is_file() and f.stat().st_size]
    return max(found)[1] if found else None


def halve(file: Path) -> None:
    with file.open("r+b") as torn:
        torn.truncate(file.stat().st_size // 2)


def _halved_between_starts(stand: Stand, folder: Path, pattern: str) -> None:
    stand.stack.children["speed"].kill()
    if file := newest(folder, pattern):
        halve(file)
    stand.kill("speed")


def _refused(stand: Stand, watch: Watch, manifest: Path) -> None:
    """A server that starts over a torn manifest must say so, and answer again once it is put back."""
    stand.finish_batch()
    file = newest(manifest, "*.parquet")
    if file is None:
        return
    whole = file.read_bytes()
    stand.away.set()
    stand.stack.children["serve"].kill()
    halve(file)
    watch.torn.add(TORN_VIEW)
    told = watch.told_torn
    try:
        stand.kill("serve")
        until = time.monotonic() + REFUSED_S
        while watch.told_torn == told:
            if time.monotonic() > until:
                raise IntegrityError(f"a torn manifest was not refused within {REFUSED_S} s", where=str(file))
            time.sleep(0.1)
    finally:
        watch.torn.discard(TORN_VIEW)
        file.write_bytes(whole)
