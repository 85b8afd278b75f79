"""What is sent on: each change once, in order, signed, and exactly the same again after a crash."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from push_stand import Received, Receiver, declared, pushing, receiving, sales, to
from serving_stand import Client, Stand, ViewSpec, event, serve

import dovetail as dv
from dovetail.pushing import run
from dovetail.shared.errors import IntegrityError, Mend

ASKED = {"by": ["country"], "measures": ["lines", "revenue"], "every": "50ms"}


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    found = Stand(tmp_path / "data")
    found.attach(ViewSpec("sales"))
    found.commit([event(), event(country="DE"), event(country="DE")])
    return found


@pytest.fixture
def serving(tmp_path: Path, stand: Stand) -> Iterator[Client]:
    with serve(tmp_path, stand) as client:
        client.rows("sales")
        yield client


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def test_each_changed_group_is_delivered_once(
    tmp_path: Path, stand: Stand, serving: Client, receiver: Receiver
) -> None:
    project = declared(tmp_path, serving, dv.push(sales, to=to(receiver), **ASKED))
    with pushing(project) as low:
        [first] = receiver.after(1)
        stand.commit([event(amount=Decimal("2.50")), event(country=None)])
        second = receiver.after(2)[1]
        stand.batch("sales")  # no row is another
        stand.commit([event(country="DE")])
        third = receiver.after(3)[2]
        low.noted()
    assert first.changes == [
        {"key": {"country": "DE"}, "before": None, "after": {"lines": 2, "revenue": "20.00"}},
        {"key": {"country": "FR"}, "before": None, "after": {"lines": 1, "revenue": "10.00"}},
    ]
    assert second.changes == [
        {
            "key": {"country": "FR"},
            "before": {"lines": 1, "revenue": "10.00"},
            "after": {"lines": 2, "revenue": "12.50"},
        },
        {"key": {"country": None}, "before": None, "after": {"lines": 1, "revenue": "10.00"}},
    ]
    assert [change["key"] for change in third.changes] == [{"country": "DE"}]
    told = orjson.loads(second.body)
    assert (told["push"], told["view"]) == ("low", "sales")
    assert serving.http.get(f"/v1/receipts/{told['receipt']}").json()["seq"] == 3
    assert len(receiver.received) == 3


def test_a_delivery_is_signed_and_has_a_key_of_its_own(
    tmp_path: Path, stand: Stand, serving: Client, receiver: Receiver
) -> None:
    with pushing(declared(tmp_path, serving, dv.push(sales, to=to(receiver), **ASKED))):
        receiver.after(1)
        stand.commit([event()])
        one, two = receiver.after(2)
    assert one.signed
    assert two.signed
    assert not Received(one.headers, one.body + b" ").signed
    assert one.headers["Content-Type"] == "application/json"
    assert one.headers["Idempotency-Key"].startswith(f"low.{orjson.loads(one.body)['receipt']}.")
    assert one.headers["Idempotency-Key"] != two.headers["Idempotency-Key"]


def test_values_are_those_of_the_server_s_json(
    tmp_path: Path, stand: Stand, serving: Client, receiver: Receiver
) -> None:
    push = dv.push(sales, to=to(receiver), by=["country", "product"], bucket="1d", every="50ms")
    with pushing(declared(tmp_path, serving, push)):
        [first] = receiver.after(1)
    asked = {"by": "country,product", "bucket": "1d", "measures": ",".join(ViewSpec("sales").measures)}
    assert [{**c["key"], **c["after"]} for c in first.changes] == serving.rows("sales", **asked)


def test_what_was_delivered_is_not_delivered_again_when_it_starts_again(
    tmp_path: Path, stand: Stand, serving: Client, receiver: Receiver
) -> None:
    project = declared(tmp_path, serving, dv.push(sales, to=to(receiver), **ASKED))
    with pushing(project) as low:
        receiver.after(1)
        low.noted()
    file = tmp_path / "data" / "push" / "low.json"
    assert file.stat().st_mode & 0o777 == 0o600
    with pushing(project):
        stand.commit([event()])
        second = receiver.after(2)[1]
    assert [change["key"] for change in second.changes] == [{"country": "FR"}]
    other = dv.push(sales, to=to(receiver), **{**ASKED, "measures": "lines"})
    with pushing(declared(tmp_path, serving, other)):  # nothing is known of what this asks
        assert [c["before"] for c in receiver.after(3)[2].changes] == [None, None]


def test_a_delivery_that_is_not_noted_is_repeated_as_it_was_and_then_what_came_since(
    tmp_path: Path, stand: Stand, serving: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = declared(tmp_path, serving, dv.push(sales, to=to(receiver), **ASKED))
    with monkeypatch.context() as crashed, pushing(project) as low:
        crashed.setattr(run, "failpoint", lambda name: 1 / 0 if name == "push.delivered" else None)
        assert isinstance(low.error(), ZeroDivisionError)
    stand.commit([event()])
    serving.rows("sales")
    with pushing(project) as low:
        first, again, then = receiver.after(3)
        low.noted()
    assert (again.body, again.headers["Idempotency-Key"]) == (first.body, first.headers["Idempotency-Key"])
    assert [(c["before"]["lines"], c["after"]["lines"]) for c in then.changes] == [(1, 2)]
    assert again.signed


def test_what_could_not_be_delivered_is_delivered_first(
    tmp_path: Path, stand: Stand, serving: Client, receiver: Receiver
) -> None:
    project = declared(tmp_path, serving, dv.push(sales, to=to(receiver), **ASKED))
    receiver.statuses = [400]
    with pushing(project) as low:
        error = low.error()
    assert isinstance(error, Mend)
    assert str(error).startswith("the webhook refuses a delivery: HTTP 400\n  where: push low to 127.0.0.1\n")
    stand.commit([event()])
    serving.rows("sales")
    with pushing(project):
        first, again, then = receiver.after(3)
    assert (again.body, len(then.changes)) == (first.body, 1)


def test_an_alert_is_sent_when_a_group_begins_to_satisfy_it_and_when_it_ceases_to(
    tmp_path: Path, stand: Stand, serving: Client, receiver: Receiver
) -> None:
    push = dv.push(sales, to=to(receiver), when="revenue < 20.00 and lines >= 1", **ASKED)
    with pushing(declared(tmp_path, serving, push)) as low:
        [begins] = receiver.after(1)
        stand.commit([event(amount=Decimal("9.99")), event(country="DE")])  # still below
        low.noted()
        serving.rows("sales")
        stand.commit([event(amount=Decimal("0.01"))])
        ceases = receiver.after(2)[1]
        stand.commit([event(amount=Decimal("-5.00"))])
        again = receiver.after(3)[2]
    fr = {"country": "FR"}
    assert begins.changes == [
        {"key": fr, "before": None, "after": {"lines": 1, "revenue": "10.00"}, "fired": True},
    ]  # fmt: skip
    assert ceases.changes == [
        {"key": fr, "before": {"lines": 1, "revenue": "10.00"}, "after": {"lines": 3, "revenue": "20.00"},
         "fired": False},
    ]  # fmt: skip
    assert again.changes == [
        {"key": fr, "before": {"lines": 3, "revenue": "20.00"}, "after": {"lines": 4, "revenue": "15.00"},
         "fired": True},
    ]  # fmt: skip
    assert len(receiver.received) == 3


def test_a_view_that_is_refused_is_waited_for(
    tmp_path: Path, stand: Stand, serving: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "REFUSED", 0.1)
    with pushing(declared(tmp_path, serving, dv.push(sales, to=to(receiver), **ASKED))):
        receiver.after(1)
        stand.batch("sales", rows_off=1)
        serving.until(lambda: serving.get("sales").status_code == 503)
        stand.commit([event()])
        stand.batch("sales", full=True)
        assert [c["key"] for c in receiver.after(2)[1].changes] == [{"country": "FR"}]


def test_an_answer_that_is_cut_off_is_refused_rather_than_half_delivered(
    tmp_path: Path, stand: Stand, serving: Client, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "MOST", 1)
    with pushing(declared(tmp_path, serving, dv.push(sales, to=to(receiver), **ASKED))) as low:
        assert "more than 1 groups" in str(low.error())
    assert receiver.received == []


def test_a_state_that_cannot_be_read_is_an_error_and_not_a_beginning(
    tmp_path: Path, serving: Client, receiver: Receiver
) -> None:
    project = declared(tmp_path, serving, dv.push(sales, to=to(receiver), **ASKED))
    (tmp_path / "data" / "push").mkdir()
    (tmp_path / "data" / "push" / "low.json").write_text("{")
    with pytest.raises(IntegrityError, match="the state of push low cannot be read"):
        run.Following(project, "low")
