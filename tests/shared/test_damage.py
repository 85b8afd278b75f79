"""A table's log torn, lost or cleaned, a full disk: named, or read right; never fewer rows than were acknowledged."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from dovetail.shared import commit as steps
from dovetail.shared.claims import Claims
from dovetail.shared.errors import IntegrityError, ServiceMissing
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.offsets import end_of_batch
from dovetail.shared.position import Position
from dovetail.shared.stream import _told
from dovetail.shared.tables import AppendTable

SCHEMA = pa.schema([("id", pa.int64())])
ROWS = 5


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A table whose log has a checkpoint after its last row."""
    table = AppendTable(tmp_path / "table", SCHEMA)
    for n in range(ROWS):
        table.append(pa.table({"id": [n]}, schema=SCHEMA))
    DeltaTable(str(table.path)).create_checkpoint()
    return table.path


def log(path: Path, name: str) -> Path:
    return path / "_delta_log" / name


def checkpoint(path: Path) -> Path:
    return log(path, f"{ROWS:020}.checkpoint.parquet")


def clean(path: Path) -> None:
    """Drops the log below its checkpoint, as both writers do after 30 days."""
    for n in range(ROWS):
        log(path, f"{n:020}.json").unlink()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def read(path: Path) -> list[int]:
    return sorted(AppendTable(path, SCHEMA).read()["id"].to_pylist())


HARMLESS: list[Callable[[Path], object]] = [
    clean,
    lambda path: log(path, "_last_checkpoint").write_bytes(b""),
    lambda path: cut(log(path, "_last_checkpoint")),
    lambda path: log(path, "_last_checkpoint").unlink(),
]
BROKEN: list[Callable[[Path], object]] = [
    lambda path: cut(checkpoint(path)),
    lambda path: checkpoint(path).write_bytes(b""),
    lambda path: checkpoint(path).unlink(),
    lambda path: log(path, f"{ROWS:020}.json").write_bytes(b""),
]


@pytest.mark.parametrize("damage", HARMLESS, ids=["log cleaned", "hint empty", "hint torn", "hint lost"])
@pytest.mark.parametrize("cleaned", [False, True], ids=["", "cleaned before"])
def test_without_its_old_log_or_its_hint_every_row_is_read(
    path: Path, damage: Callable[[Path], object], cleaned: bool
) -> None:
    if cleaned and damage is not clean:
        clean(path)
    damage(path)
    assert read(path) == list(range(ROWS))


@pytest.mark.parametrize("damage", BROKEN, ids=["torn", "empty", "lost", "empty entry"])
def test_without_a_whole_checkpoint_or_its_newest_entry_a_table_is_refused_by_its_name(
    path: Path, damage: Callable[[Path], object]
) -> None:
    clean(path)
    damage(path)
    with pytest.raises(IntegrityError, match="a table") as refused:
        read(path)
    assert refused.value.where.startswith(str(path))


def test_an_empty_entry_is_told_to_who_holds_the_table_open(path: Path) -> None:
    held = AppendTable(path, SCHEMA)
    held.read()
    log(path, f"{ROWS + 1:020}.json").write_bytes(b"")
    with pytest.raises(IntegrityError, match="the newest entry of a table's log is empty"):
        held.read()


def test_an_entry_lost_in_the_middle_is_told(path: Path) -> None:
    for name in ("_last_checkpoint", checkpoint(path).name, f"{2:020}.json"):
        log(path, name).unlink()
    with pytest.raises(IntegrityError, match="a table cannot be read"):
        read(path)


def test_positions_outlive_the_log_for_they_stand_in_rows(tmp_path: Path) -> None:
    ledger, claims = DeltaLedger(tmp_path / "ledger"), Claims(tmp_path / "claims")
    steps.open_source(ledger, topic_id="t", origin=Position({0: 3}))
    for n in range(ROWS):
        steps.open_epoch(ledger)
        claims.append(Position({0: n}))
    for name in ("ledger", "claims"):
        table = DeltaTable(str(tmp_path / name))
        table.create_checkpoint()
        for entry in range(table.version()):
            log(tmp_path / name, f"{entry:020}.json").unlink()
    last = DeltaLedger(tmp_path / "ledger").last()
    assert last is not None
    assert (last.seq, last.epoch, last.to) == (ROWS, ROWS, Position({0: 3}))
    assert Claims(tmp_path / "claims").last() == Position({0: ROWS - 1})


FILLS = """
import os, resource, signal, sys
from pathlib import Path
import pyarrow as pa
from dovetail.shared.errors import ServiceMissing
from dovetail.shared.tables import AppendTable

schema = pa.schema([("s", pa.string())])
table = AppendTable(Path(sys.argv[1]), schema)
table.append(pa.table({"s": ["kept"]}, schema=schema))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
large = pa.table({"s": [os.urandom(500).hex() for _ in range(200)]}, schema=schema)
for write in (table.append, lambda rows: table.append_if(rows, lambda: True)):
    try:
        write(large)
    except ServiceMissing as error:
        print(error.what, "|", error.where, "|", error.why)
print(AppendTable(Path(sys.argv[1]), schema).read()["s"].to_pylist())
"""


def test_a_write_that_does_not_fit_is_told_and_what_was_there_stays(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", FILLS, str(tmp_path / "t")], capture_output=True, text=True, env={**os.environ}
    )
    told = f"a table cannot be written | {tmp_path / 't'} | File too large (os error 27)"
    assert said.stdout.splitlines() == [told, told, "['kept']"]


def test_a_stream_that_the_disk_stops_says_so() -> None:
    error = _told([RuntimeError("java.io.IOException: No space left on device\n\tat x")], None, "lines")
    assert isinstance(error, ServiceMissing)
    assert (error.what, error.why) == ("the disk refuses what the stream writes", "No space left on device")


@pytest.mark.parametrize(
    "entry", [None, "", "v1\n{}\n", 'v1\n{}\n{"lines":', 'v1\n{}\n{"another":{"0":5}}'],
    ids=["lost", "empty", "cut", "torn", "of another topic"],
)  # fmt: skip
def test_a_checkpoint_of_spark_that_is_lost_torn_or_swapped_gives_no_range(tmp_path: Path, entry: str | None) -> None:
    (tmp_path / "offsets").mkdir()
    if entry is not None:
        (tmp_path / "offsets" / "7").write_text(entry)
    with pytest.raises(IntegrityError, match="Spark's offset log has no range for batch 7"):
        end_of_batch(tmp_path, 7, "lines")
