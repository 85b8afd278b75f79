"""The oracle: a true answer passes, and whatever is lost, doubled or moved is named by its place in the log."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from dovetail.shared.position import Position, RecordId
from dovetail.torture.oracle import SHOWN, Acknowledged, differences, report
from dovetail.torture.records import NOW, Event, made


def event(id_: int, *, lane: str = "north", amount: int = 60) -> Event:
    return Event(id_, lane, NOW, amount)


@pytest.fixture
def known() -> Acknowledged:
    """Three events, one of them twice, and one record that cannot be read."""
    known = Acknowledged(heavy={"totals@a": 50, "totals@b": 90})
    known.add({RecordId(0, 0): event(1), RecordId(0, 1): event(2, lane="south"), RecordId(0, 2): None})
    known.add({RecordId(1, 0): event(1), RecordId(1, 7): event(3)})
    return known


def answer(rows: list[dict[str, Any]], *, version: str = "totals@a", **receipt: Any) -> dict[str, Any]:
    whole = {"position": {"0": 3, "1": 8}, "quarantined": 1, "complete": True, "version": version}
    return {"rows": rows, "receipt": whole | receipt}


IDS = [{"id": n, "times": 1} for n in (1, 2, 3)]
DAY = "2026-03-29T00:00:00Z"
LANES = [
    {"lane": "north", "bucket": DAY, "records": 2, "amount": 120},
    {"lane": "south", "bucket": DAY, "records": 1, "amount": 60},
]


def test_true_answers_pass_at_each_position(known: Acknowledged) -> None:
    assert known.end == Position({0: 3, 1: 8})
    assert known.wrong("ids", answer(IDS)) == []
    assert known.wrong("ids", answer(IDS[:1], position={"1": 3}, quarantined=0)) == []
    assert known.wrong("lanes", answer(LANES)) == []
    assert known.wrong("totals", answer([{"bucket": DAY, "records": 3, "heavy": 3}])) == []
    assert known.wrong("totals", answer([{"bucket": DAY, "records": 3, "heavy": 0}], version="totals@b")) == []


def test_a_lost_and_a_doubled_record_are_named_with_their_places(known: Acknowledged) -> None:
    rows = [{"id": 1, "times": 2}, {"id": 2, "times": 1}]
    assert known.wrong("ids", answer(rows)) == [
        "LOST id 3, at 1@7",
        "DOUBLED id 1: counted 2 times, at 0@0 and 1@0",
    ]


def test_a_record_that_was_never_acknowledged_is_no_truth(known: Acknowledged) -> None:
    rows = [*IDS, {"id": 9, "times": 1}]
    assert known.wrong("ids", answer(rows)) == ["DOUBLED id 9: counted 1 times, at no place below"]


def test_a_record_above_the_position_of_the_receipt_does_not_belong_to_the_answer(known: Acknowledged) -> None:
    wrong = known.wrong("ids", answer(IDS, position={"0": 3, "1": 7}))
    assert wrong == ["DOUBLED id 3: counted 1 times, at no place below"]


@pytest.mark.parametrize(
    ("receipt", "says"),
    [
        ({"complete": False}, "it says that it is not complete"),
        ({"more": True}, "it leaves groups out, so it proves nothing"),
        ({"quarantined": 0}, "0 records are in quarantine, 1 belong there"),
    ],
)
def test_a_receipt_that_is_not_the_truth_is_wrong(known: Acknowledged, receipt: dict[str, Any], says: str) -> None:
    assert known.wrong("ids", answer(IDS, **receipt)) == [says]


def test_every_group_and_every_measure_is_looked_at(known: Acknowledged) -> None:
    assert len(known.wrong("lanes", answer(LANES[:1]))) == 1
    assert len(known.wrong("lanes", answer([*LANES, LANES[0]]))) == 1
    for row in range(2):
        for measure in ("records", "amount"):
            altered = deepcopy(LANES)
            altered[row][measure] = -1
            assert len(known.wrong("lanes", answer(altered))) == 1, altered
    assert differences([{"bucket": DAY, "records": 1}], {}) == [f"('{DAY}',) is {{'records': 1}}, the truth is None"]


def test_a_report_is_short() -> None:
    assert report(["a"] * (SHOWN + 3)).splitlines()[-1] == "and 3 more"


def test_a_seed_gives_the_same_records_and_late_ones_lie_a_month_back() -> None:
    ordered = [*made("ordered", 30, seed=5, first=100, earlier=[])]
    assert ordered == [*made("ordered", 30, seed=5, first=100, earlier=[])]
    assert [m.event.id for m in ordered if m.event] == [*range(100, 130)]
    late = [*made("late", 30, seed=5, first=1, earlier=[])]
    assert all(m.event and m.event.at < NOW - timedelta(days=29) for m in late)


def test_repeats_are_of_earlier_events_under_another_key() -> None:
    earlier = [*made("ordered", 5, seed=1, first=1, earlier=[])]
    again = [*made("repeated", 20, seed=2, first=6, earlier=[m.event for m in earlier if m.event])]
    assert {m.value for m in again} <= {m.value for m in earlier}
    assert {m.key for m in again}.isdisjoint(m.key for m in earlier)


def test_poison_is_no_event_and_large_records_are_large() -> None:
    assert all(m.event is None for m in made("poison", 20, seed=3, first=1, earlier=[]))
    assert all(len(m.value or b"") > 900_000 for m in made("large", 2, seed=3, first=1, earlier=[]))
