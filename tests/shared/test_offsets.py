"""The range of a micro-batch comes from Spark's offset log, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from dovetail.shared.errors import IntegrityError
from dovetail.shared.offsets import end_of_batch
from dovetail.shared.position import Position

ENTRY = 'v1\n{"batchWatermarkMs":0}\n{"orders":{"0":12,"1":0}}'


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    (tmp_path / "offsets").mkdir()
    return tmp_path


def test_an_entry_says_where_its_batch_ends(checkpoint: Path) -> None:
    (checkpoint / "offsets" / "7").write_text(ENTRY)
    assert end_of_batch(checkpoint, 7, "orders") == Position({0: 12})


@pytest.mark.parametrize("entry", [None, "", "v1\n{}", ENTRY[:-9], ENTRY.replace("orders", "other")])
def test_an_entry_that_is_missing_or_torn_is_refused(checkpoint: Path, entry: str | None) -> None:
    if entry is not None:
        (checkpoint / "offsets" / "7").write_text(entry)
    with pytest.raises(IntegrityError, match="no range for batch 7"):
        end_of_batch(checkpoint, 7, "orders")
