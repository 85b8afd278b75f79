"""Reads the range of a micro-batch from Spark's offset log: never from the data, whose offsets have holes."""

from __future__ import annotations

import json
from pathlib import Path

from dovetail.shared.errors import IntegrityError
from dovetail.shared.position import Position


def end_of_batch(checkpoint: Path, batch_id: int, topic: str) -> Position:
    """Where micro-batch `batch_id` ends, as Spark wrote it down before it began.

    Raises:
        IntegrityError: the entry is missing or is not as Spark 4 writes it.
    """
    entry = checkpoint / "offsets" / str(batch_id)
    try:
        lines = entry.read_text(encoding="utf-8").splitlines()
        offsets = json.loads(lines[2])[topic]
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise IntegrityError(f"Spark's offset log has no range for batch {batch_id}", where=str(entry)) from error
    return Position.from_json(offsets)
