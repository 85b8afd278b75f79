"""Whether the layer of this container is at work: exit code 0 or 1. `healthy.py serving`, `archive` or `speed`."""

from __future__ import annotations

import os
import sys
from urllib.error import URLError
from urllib.request import Request, urlopen

from dovetail.shared import settings
from dovetail.shared.locks import owners

PATIENCE_S = 10


def main(layer: str) -> bool:
    """A server is asked; another layer holds the lock of its source from when it has come up, also while it is paused.

    With a key in DOVETAIL_KEY whose grant has the role operate, a server is asked whether every view can be answered;
    without one only whether it is up, for it tells strangers no more.
    """
    found = settings.load()
    if layer == "serving":
        return answers(found.serving.port, os.environ.get("DOVETAIL_KEY", "").strip())
    # Containers that share the storage see each other's locks, and each has a host name of its own.
    return any(lock.here and lock.name.startswith(f"{layer}-") for lock in owners(found.storage.path / "locks"))


def answers(port: int, key: str) -> bool:
    path, headers = ("/ready", {"Authorization": f"Bearer {key}"}) if key else ("/health", {})
    try:
        with urlopen(Request(f"http://127.0.0.1:{port}{path}", headers=headers), timeout=PATIENCE_S) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1]) else 1)
