"""Files that only their owner may read, replaced in one step."""

from __future__ import annotations

import os
from pathlib import Path

from dovetail.shared.places import is_remote


def write(file: Path, content: bytes) -> None:
    """Puts a file in the place of the one that is there; a reader sees one of the two, whole, after a power cut too.

    In an object store they are for whoever may read the bucket.
    """
    if is_remote(file):
        file.write_bytes(content)
        return
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    half = file.with_name(f".{file.name}-{os.getpid()}")
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())  # a name must not outlive a power cut that its bytes do not
    half.rename(file)
