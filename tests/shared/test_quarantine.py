"""What is in quarantine: what the ledger names and nothing else, byte for byte, by reason and as a share."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from quarantine_stand import BEGAN, Bad, Stand

from dovetail.shared import quarantine
from dovetail.shared.errors import UsageError
from dovetail.shared.ledger import new_commit_id
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.position import RecordId
from dovetail.shared.quarantine import Quarantine, inert, line, printable, since
from dovetail.shared.states import DeltaStates
from dovetail.shared.tables import Layout


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return Stand(Layout(tmp_path), "lines")


def seen(stand: Stand) -> Quarantine:
    return Quarantine(stand.layout, "lines")


def places(stand: Stand, **which: object) -> list[str]:
    return [str(held.place) for held in seen(stand).waiting(**which)]


def test_a_source_that_was_never_read_has_nothing_in_it(tmp_path: Path) -> None:
    empty = Quarantine(Layout(tmp_path), "lines")
    assert (empty.groups(), empty.shares(), [*empty.waiting()]) == ([], [], [])
    assert not [*tmp_path.iterdir()]


def test_records_are_grouped_by_reason_the_most_first(stand: Stand) -> None:
    stand.commit(Bad(1, 7, "no at", minutes=3), Bad(0, 2, "not UTF-8", minutes=9))
    stand.commit(Bad(0, 5, "no at", minutes=1), Bad(0, 3, "no at", minutes=5))
    groups = seen(stand).groups()
    assert [(g.reason, g.records, str(g.first), str(g.last)) for g in groups] == [
        ("no at", 3, "1@7", "0@5"),  # in the order of the ledger
        ("not UTF-8", 1, "0@2", "0@2"),
    ]
    assert (groups[0].oldest, groups[0].newest) == (BEGAN + timedelta(minutes=1), BEGAN + timedelta(minutes=5))
    assert groups[0].found == BEGAN + timedelta(hours=1, minutes=1)


def test_records_that_no_ledger_row_names_are_not_seen(stand: Stand) -> None:
    orphan = Bad(0, 2, "an attempt that was killed")
    stand.commit(orphan, named=False)
    stand.commit(Bad(0, 2, "no at"))
    stand.commit(Bad(0, 3, "also killed"), named=False)
    assert [(g.reason, g.records) for g in seen(stand).groups()] == [("no at", 1)]
    assert [s.reason for s in seen(stand).shares()] == ["no at"]
    assert places(stand) == ["0@2"]
    assert seen(stand).record(RecordId(0, 2)).reason == "no at"
    with pytest.raises(UsageError, match="0@3 of lines is not in quarantine"):
        seen(stand).record(RecordId(0, 3))


def test_a_record_put_right_stands_apart_and_is_not_exported(stand: Stand) -> None:
    stand.commit(Bad(0, 0), Bad(0, 1), Bad(1, 0))
    stand.supersede(RecordId(0, 1))
    stand.supersede(RecordId(1, 0), named=False)
    assert [(g.put_right, g.records) for g in seen(stand).groups()] == [(False, 2), (True, 1)]
    assert places(stand) == ["0@0", "1@0"]
    assert places(stand, reason="not a JSON object", put_right=True) == ["0@0", "0@1", "1@0"]
    assert seen(stand).record(RecordId(0, 1)).put_right == 2
    assert seen(stand).record(RecordId(1, 0)).put_right is None
    assert seen(stand).shares()[0].records == 3


@pytest.mark.parametrize("value", [b'{"a": "\xc3\xa9\x1b[31m"}', b"\xff\x00\n", b"", None])
def test_a_line_of_an_export_holds_every_byte(stand: Stand, value: bytes | None) -> None:
    stand.commit(Bad(0, 4, value=value, key=None))
    (held,) = seen(stand).waiting()
    written = line(held)
    assert written.isascii()
    assert written.isprintable()
    document = json.loads(written)
    assert (document["position"], document["key_base64"]) == ("0@4", None)
    encoded = document["value_base64"]
    assert (None if encoded is None else base64.b64decode(encoded)) == value
    if value is not None and value[:1] != b"\xff":
        assert document["value"].encode() == value
    else:
        assert "value" not in document


def test_what_is_exported_is_chosen_by_reason_and_time(stand: Stand) -> None:
    stand.commit(Bad(0, 0, "no at"), Bad(0, 1, "no at", minutes=10), Bad(0, 2, "not UTF-8", minutes=10))
    assert places(stand, reason="no at") == ["0@0", "0@1"]
    assert places(stand, since=BEGAN + timedelta(minutes=10)) == ["0@1", "0@2"]
    with pytest.raises(UsageError) as caught:
        places(stand, reason="no att")
    assert caught.value.why == "the reasons are 'no at', 'not UTF-8'"


def test_a_time_is_said_as_one_or_as_so_long_ago() -> None:
    assert since("2026-03-01") == datetime(2026, 3, 1, tzinfo=UTC)
    assert since("2026-03-01T10:00:00+01:00") == BEGAN
    assert abs(datetime.now(UTC) - timedelta(hours=2) - since("2h")) < timedelta(minutes=1)
    with pytest.raises(UsageError, match="'soon' is no time"):
        since("soon")


def test_shares_are_of_all_and_of_the_newest_commits(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quarantine, "RECENT", 4)
    stand.commit(*(Bad(0, n, "no at") for n in range(5)), consumed=10)
    for n in range(3):
        stand.commit(Bad(1, n, "not UTF-8"), consumed=1)
    many, few = seen(stand).shares()
    assert (many.reason, many.recent, many.of_recent, many.of_all) == ("no at", 5, 5 / 13, 5 / 13)
    stand.commit(consumed=10)
    many, few = seen(stand).shares()
    assert (many.records, many.recent, many.of_all, many.of_recent) == (5, 0, 5 / 23, 0.0)
    assert (few.recent, few.of_recent) == (3, 3 / 13)


def test_nothing_that_a_terminal_obeys_is_shown() -> None:
    evil = "\x1b]0;title\x07\r\x7f\x9b31m\u202e"
    assert inert(evil) == r"\x1b]0;title\x07\r\x7f\x9b31m\u202e"
    assert printable(evil.encode()).isprintable()
    assert printable(b"a" * 30, most=10) == "aaaaaaaaaa… (30 bytes)"


def test_looking_needs_no_spark() -> None:
    script = "import sys, dovetail.shared.quarantine, dovetail.cli.quarantine; sys.exit('pyspark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_records_that_one_view_raised_for_stand_apart(stand: Stand) -> None:
    stand.commit(Bad(0, 2, "no at"))
    last = DeltaLedger(stand.layout.ledger("lines")).last()
    states = DeltaStates(stand.layout, "lines")
    one = {"partition": 0, "offset": 1, "timestamp": BEGAN, "key": None, "value": b"{}"}
    records = pa.Table.from_pylist([one | {"reason": "sales raised DIVIDE_BY_ZERO", "version": "sales@1"}])
    states.write_failing(last.commit_id, last.seq, records)
    states.write_failing(new_commit_id(), last.seq, records)
    assert [(g.reason, g.records, str(g.first)) for g in seen(stand).raising()] == [
        ("sales raised DIVIDE_BY_ZERO", 1, "0@1")
    ]
    assert [g.reason for g in seen(stand).groups()] == ["no at"]
    with pytest.raises(UsageError, match="0@1 of lines is not in quarantine"):
        seen(stand).record(RecordId(0, 1))
