"""Corrected records: superseded in the ledger first, then sent; what a version counts is never superseded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from killed import killed_at
from quarantine_stand import Bad, Stand

import dovetail as dv
from dovetail.shared import ledger_table, supersede
from dovetail.shared import manifest as rules
from dovetail.shared import resend as sending
from dovetail.shared.corrections import Correction
from dovetail.shared.errors import Busy, ServiceMissing, UsageError
from dovetail.shared.ledger import VersionId
from dovetail.shared.locks import held
from dovetail.shared.log import Extent
from dovetail.shared.manifest import ORIGIN, Run
from dovetail.shared.manifest_table import DeltaManifest
from dovetail.shared.position import Position, Range, RecordId
from dovetail.shared.quarantine import Quarantine
from dovetail.shared.resend import Resent, resend
from dovetail.shared.supersede import superseded
from dovetail.shared.tables import AppendTable, Layout

SOURCE = dv.source("lines", topic="t.lines", schema="n int")
OLD, NEW = VersionId("sales@old"), VersionId("sales@new")


@dataclass
class StubMessage:
    """An acknowledged record."""

    place: RecordId

    def partition(self) -> int:
        return self.place.partition

    def offset(self) -> int:
        return self.place.offset


@dataclass
class StubLog:
    """A topic that keeps what is sent, from offset 100 on; refuses the values in `refused`."""

    refused: tuple[bytes, ...] = ()
    bootstrap: str = "stub:9092"
    sent: list[dict[str, Any]] = field(default_factory=list)
    before: Callable[[], None] = lambda: None

    def extent(self, topic: str) -> Extent:
        return Extent(topic, "id", Position(), Position())

    def producer(self) -> StubLog:
        self.before()
        return self

    def produce(self, topic: str, *, on_delivery: Callable[[Any, Any], None], **record: Any) -> None:
        if record["value"] in self.refused:
            on_delivery("refused", None)
            return
        self.sent.append({"topic": topic, **record})
        on_delivery(None, StubMessage(RecordId(record["partition"], 99 + len(self.sent))))

    def flush(self, _seconds: float) -> int:
        return 0


@dataclass(frozen=True)
class StubBundle:
    """A stored version, as far as its decoder is asked for."""

    version: VersionId
    decoder: dict[str, Any]
    name: str = "sales"
    source: str = "lines"


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Three records in quarantine under the decoder that OLD has; NEW decodes otherwise."""
    from dovetail.shared.decode import decoder_id

    layout, decoder = Layout(tmp_path), SOURCE.as_json()
    decoders = {"old": decoder, "new": {**decoder, "schema": {"n": "string"}}}
    monkeypatch.setattr(
        sending, "load", lambda folder: StubBundle(VersionId(f"sales@{folder.name}"), decoders[folder.name])
    )
    stand = Stand(layout, "lines", decoder=decoder_id(decoder))
    stand.attach(OLD)
    stand.commit(Bad(0, 3), Bad(1, 2, key=None), Bad(1, 9))
    return stand


def corrections(stand: Stand, *places: RecordId) -> list[Correction]:
    return [Correction(h, b'{"n": 1}') for h in Quarantine(stand.layout, "lines").records(places)]


def nobody_asked(*_: object) -> list[RecordId]:
    pytest.fail("every version decodes as the commit did")


def send(stand: Stand, *places: RecordId, log: Any = None, again: bool = False, reader: Any = nobody_asked) -> Resent:
    return resend(stand.layout, SOURCE, log or StubLog(), corrections(stand, *places), again=again, reader=reader)


def put_right(stand: Stand) -> set[tuple[int, int]]:
    ids = [row.commit_id for row in stand.ledger.rows() if row.kind == "supersede"]
    return {(r["_partition"], r["_offset"]) for r in superseded(stand.layout, "lines", ids).to_pylist()}


def test_a_corrected_record_goes_to_its_partition_with_its_key_and_says_for_which_it_stands(stand: Stand) -> None:
    log = StubLog()
    done = send(stand, RecordId(1, 2), RecordId(0, 3), log=log)
    assert done.sent == {RecordId(1, 2): RecordId(1, 100), RecordId(0, 3): RecordId(0, 101)}
    assert log.sent == [
        {
            "topic": "t.lines", "value": b'{"n": 1}', "key": key, "partition": p,
            "headers": [("dovetail-supersedes", place)],
        }
        for key, p, place in ((None, 1, b"1@2"), (b"k", 0, b"0@3"))
    ]  # fmt: skip
    assert put_right(stand) == {(1, 2), (0, 3)}
    row = stand.ledger.last()
    assert (row.kind, row.seq, row.decoder) == ("supersede", done.seq, stand.decoder)


def test_the_ledger_says_so_before_anything_is_sent(stand: Stand) -> None:
    def kinds() -> None:
        assert stand.ledger.last().kind == "supersede"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send(stand, RecordId(0, 3), log=StubLog(before=kinds))
    assert put_right(stand) == {(0, 3)}


def test_what_was_put_right_is_sent_again_only_when_asked_for(stand: Stand) -> None:
    send(stand, RecordId(0, 3))
    log = StubLog()
    with pytest.raises(UsageError) as caught:
        send(stand, RecordId(1, 9), RecordId(0, 3), log=log)
    assert caught.value.what == "0@3 of lines was put right by an earlier resend"
    assert caught.value.next.startswith("--again ")
    assert (log.sent, put_right(stand)) == ([], {(0, 3)})
    assert send(stand, RecordId(0, 3), log=log, again=True).seq is None
    assert len(log.sent) == 1
    assert send(stand, RecordId(1, 9), RecordId(0, 3), log=log, again=True).seq == stand.ledger.last().seq
    assert put_right(stand) == {(0, 3), (1, 9)}


def test_a_rival_that_put_it_right_meanwhile_is_seen(stand: Stand) -> None:
    late = corrections(stand, RecordId(0, 3))
    send(stand, RecordId(0, 3))
    log = StubLog()
    with pytest.raises(UsageError, match="was put right by an earlier resend"):
        resend(stand.layout, SOURCE, log, late, again=False, reader=nobody_asked)
    assert log.sent == []


def test_a_version_that_counts_the_record_as_it_is_refuses_it(stand: Stand) -> None:
    stand.attach(OLD, NEW)
    asked = []

    def reader(decoder: Any, records: Any) -> list[RecordId]:
        asked.append((decoder["schema"], [r.place for r in records]))
        return [RecordId(0, 3)]

    log = StubLog()
    with pytest.raises(UsageError, match="0@3 of lines must not be sent again: sales@new counts it as it is"):
        send(stand, RecordId(0, 3), RecordId(1, 9), log=log, reader=reader)
    assert asked == [({"n": "string"}, [RecordId(0, 3), RecordId(1, 9)])]
    assert (log.sent, put_right(stand)) == ([], set())
    assert send(stand, RecordId(1, 9), reader=lambda *_: []).seq is not None


def test_what_answers_though_it_is_in_force_no_more_is_asked_too(stand: Stand) -> None:
    origin = Run(ORIGIN, NEW, -1, 0, Range(Position(), Position()))
    DeltaManifest(stand.layout.manifest("sales")).swap(rules.first("sales", (origin,), "test"))
    with pytest.raises(UsageError, match="sales@new counts it as it is"):
        send(stand, RecordId(0, 3), reader=lambda _, records: [r.place for r in records])
    assert put_right(stand) == set()


def test_a_version_attached_at_the_last_moment_is_asked_too(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    rivals = [lambda: stand.attach(OLD, NEW)]
    write = sending.rules.write

    def overtaken(*given: Any) -> None:
        write(*given)
        if rivals:
            rivals.pop()()

    monkeypatch.setattr(sending.rules, "write", overtaken)
    log = StubLog()
    with pytest.raises(UsageError, match="sales@new counts it"):
        send(stand, RecordId(0, 3), log=log, reader=lambda _, records: [r.place for r in records])
    assert (log.sent, put_right(stand)) == ([], set())
    assert Quarantine(stand.layout, "lines").record(RecordId(0, 3)).put_right is None


def test_one_resend_of_a_source_at_a_time(stand: Stand) -> None:
    with held(stand.layout.lock("supersede-lines"), "x"), pytest.raises(Busy, match="a resend of lines runs already"):
        send(stand, RecordId(0, 3))


def test_records_that_were_not_acknowledged_are_named(stand: Stand) -> None:
    with pytest.raises(ServiceMissing) as caught:
        send(stand, RecordId(0, 3), RecordId(1, 9), log=StubLog(refused=(b'{"n": 1}',)))
    assert caught.value.what == "2 of 2 records were not acknowledged: 0@3, 1@9"
    assert caught.value.next.endswith("--again")


def test_killed_before_its_row_a_resend_never_was(stand: Stand) -> None:
    log = StubLog()
    with killed_at("resend.places_written"):
        send(stand, RecordId(0, 3), log=log)
    assert (log.sent, [h.place for h in Quarantine(stand.layout, "lines").waiting()]) == (
        [], [RecordId(0, 3), RecordId(1, 2), RecordId(1, 9)]
    )  # fmt: skip
    assert len(send(stand, RecordId(0, 3), log=log).sent) == 1


@pytest.mark.parametrize(
    ("point", "sent", "unsent"),
    [("resend.ledger_written", 0, True), ("resend.sent", 1, True), ("resend.noted", 1, False)],
)
def test_killed_after_its_row_a_resend_is_done_again_on_demand_alone(
    stand: Stand, point: str, sent: int, unsent: bool
) -> None:
    log = StubLog()
    with killed_at(point):
        send(stand, RecordId(0, 3), log=log)
    assert len(log.sent) == sent
    assert Quarantine(stand.layout, "lines").unsent() == [RecordId(0, 3)] * unsent
    with pytest.raises(UsageError, match="put right by an earlier resend"):
        send(stand, RecordId(0, 3), log=log)
    assert len(send(stand, RecordId(0, 3), log=log, again=True).sent) == 1
    assert Quarantine(stand.layout, "lines").unsent() == []


def test_many_resends_leave_few_files_and_all_they_said(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supersede, "FILES", 2)
    for place in (RecordId(0, 3), RecordId(1, 2), RecordId(1, 9)):
        send(stand, place)
    tables = {stand.layout.superseded("lines"): supersede.REPEATS, stand.layout.sent("lines"): supersede.SENT}
    assert [AppendTable(path, schema).files for path, schema in tables.items()] == [1, 1]
    assert put_right(stand) == {(0, 3), (1, 2), (1, 9)}
    assert Quarantine(stand.layout, "lines").unsent() == []


def test_a_resend_of_before_sends_were_noted_is_not_told_as_unsent(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_table, "FORMAT", 3)
    stand.supersede(RecordId(0, 3), sent=False)
    monkeypatch.undo()
    stand.supersede(RecordId(1, 2), sent=False)
    assert Quarantine(stand.layout, "lines").unsent() == [RecordId(1, 2)]
