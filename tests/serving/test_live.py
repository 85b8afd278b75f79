"""Answers as they change: sent when their rows do, no more often than asked, and each question looked at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest
from live_stream import Looks, open_streams, refused, stream
from serving_stand import Client, Ends, Stand, ViewSpec, event, serve

from dovetail.serving import live


@pytest.fixture
def sales(stand: Stand) -> ViewSpec:
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event(), event(country="DE", product=2)])
    return spec


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


@pytest.fixture
def serving(tmp_path: Path, stand: Stand, ends: Ends, sales: ViewSpec, looks: Looks) -> Iterator[Client]:
    with serve(tmp_path, stand, ends) as client:
        client.rows("sales")
        yield client


def test_an_answer_comes_at_once_and_again_when_its_rows_change(stand: Stand, serving: Client) -> None:
    asked = {"by": "country", "measures": "lines,revenue"}
    with stream(serving, **asked) as answers:
        first = answers.answer()
        assert first == serving.get("sales", **asked).json()
        stand.commit([event(amount=Decimal("2.50"))])
        second = answers.answer()
    assert second["rows"][1] == {"country": "FR", "lines": 2, "revenue": "12.50"}
    assert second == serving.get("sales", **asked).json()
    assert (first["receipt"]["seq"], second["receipt"]["seq"]) == (2, 3)


@pytest.mark.parametrize("asked", [{"where__country": "FR"}, {"where__country": "FR", "where__product": "1"}])
def test_equal_rows_are_not_sent_again(stand: Stand, serving: Client, looks: Looks, asked: dict[str, str]) -> None:
    with stream(serving, **asked) as answers:
        assert answers.lines() == (1, 2)
        stand.commit([event(country="DE")])
        serving.until(lambda: 3 in looks)
        stand.batch("sales")  # and another run is promoted: other receipts, the same rows
        serving.until(lambda: len(looks) > looks.index(3) + 1)
        stand.commit([event()])
        assert answers.lines() == (2, 4)


def test_what_comes_within_every_is_one_event(stand: Stand, serving: Client, looks: Looks) -> None:
    began = time.monotonic()
    with stream(serving, every="1s") as answers:
        answers.lines()
        for _ in range(5):
            stand.commit([event()])
            serving.rows("sales")  # and so is an edition of its own
        events = 1
        while answers.lines() != (7, 7):
            events += 1
    passed = time.monotonic() - began
    assert events <= passed
    assert len(looks) <= 2 + passed


def test_a_client_that_comes_back_is_sent_nothing_until_rows_change(stand: Stand, serving: Client) -> None:
    with stream(serving, by="country") as answers:
        seen = answers.event().id
    with stream(serving, last=seen, by="country") as answers:
        stand.commit([event()])
        assert answers.answer()["receipt"]["seq"] == 3
    with stream(serving, last=seen, by="country") as answers:
        assert answers.answer()["receipt"]["seq"] == 3
    with stream(serving, last=seen, by="product") as answers:
        assert answers.answer()["receipt"]["seq"] == 3


def test_a_sign_of_life_is_sent(serving: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT", 0.05)
    with serving.http.stream("GET", "/v1/views/sales/live") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = response.iter_lines()
        assert [next(lines)[:4] for _ in range(8)] == ["id: ", "even", "data", "", ": ", "", ": ", ""]


def test_a_view_that_cannot_be_answered_is_a_problem_once_and_then_the_next_answer(
    sales: ViewSpec, stand: Stand, serving: Client
) -> None:
    with stream(serving) as answers:
        assert answers.lines() == (2, 2)
        stand.commit([event()], name_rows=1)
        problem = answers.problem()
        assert (problem["type"], problem["status"]) == ("urn:dovetail:integrity", 503)
        assert "holds 1 state rows" in problem["detail"]
        with stream(serving) as others:  # who comes meanwhile is told too
            assert others.problem() == problem
            time.sleep(0.7)  # the follower tries again, in vain
            last = stand.ledger.last()
            assert last is not None
            stand.states.write_states(sales.version, last.commit_id, last.seq, [sales.fold([event()])])
            assert others.lines() == answers.lines() == (4, 3)


def test_rows_that_are_those_of_before_a_problem_are_sent_again(stand: Stand, serving: Client) -> None:
    with stream(serving, where__country="DE") as answers:
        assert answers.lines() == (1, 2)
        stand.batch("sales", rows_off=1)
        assert "the manifest says" in answers.problem()["detail"]
        stand.batch("sales", full=True)
        assert answers.lines() == (1, 2)


def test_a_question_that_a_new_version_cannot_answer_is_a_problem_and_goes_on_with_the_next(
    sales: ViewSpec, stand: Stand, serving: Client
) -> None:
    measures = dict(sales.measures)
    with stream(serving, measures="most,lines") as answers:
        answers.answer()
        del measures["most"]
        stand.attach(ViewSpec("sales", measures=measures, fingerprint="f" * 16), answers=False)
        stand.batch("sales", full=True)
        assert "unknown measure 'most'" in answers.problem()["detail"]
        stand.attach(ViewSpec("sales", fingerprint="e" * 16), answers=False)
        stand.batch("sales", full=True)
        assert answers.lines()[0] == 2


def test_a_whole_answer_that_there_is_none_of_any_more_is_a_problem(stand: Stand, serving: Client) -> None:
    with stream(serving, complete="required") as whole, stream(serving) as other:
        assert whole.lines() == other.lines() == (2, 2)
        stand.lost(3, "retention")
        assert whole.problem()["type"] == "urn:dovetail:incomplete"
        stand.commit([event()])
        assert other.lines() == (3, 4)
    assert refused(serving, complete="required").status_code == 409


def test_a_crash_is_a_problem_that_shows_nothing_of_the_inside(
    stand: Stand, serving: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stream(serving, by="country") as answers:
        answers.answer()
        with monkeypatch.context() as broken:
            broken.setattr("dovetail.serving.view.groups", lambda *_, **__: 1 / 0)
            stand.commit([event()])
            problem = answers.problem()
        assert problem["type"] == "urn:dovetail:crash"
        assert "division" not in str(problem)
        stand.commit([event()])
        assert answers.answer()["receipt"]["seq"] == 4


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"measures": "revenu"}, "did you mean 'revenue'?"),
        ({"as_of": "s0.2.0123456789abcd"}, "as_of is of one answer"),
        ({"cursor": "s0.2.0123456789abcd~1"}, "cursor is of one answer"),
        ({"at_least": "3"}, "at_least is of one answer"),
        ({"max_age": "1s"}, "max_age is of one answer"),
        ({"every": "49ms"}, "every=49ms is no time from 50ms to 60s"),
        ({"every": "61s"}, "every=61s is no time"),
        ({"every": "often"}, "'often' is not a length of time"),
        ({"evry": "1s"}, "did you mean 'every'?"),
        ({"bucket": "1h", "fill": "zero", "start": "1000-01-01T00:00Z"}, "rows"),
    ],
)
def test_a_wrong_question_is_refused_before_the_stream_begins(
    serving: Client, asked: dict[str, str], says: str
) -> None:
    answer = refused(serving, **asked)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]
    assert open_streams(serving) == 0


def test_a_wrong_question_is_refused_also_while_the_view_is(sales: ViewSpec, stand: Stand, serving: Client) -> None:
    stand.miss(sales.version)
    serving.until(lambda: serving.get("sales").status_code == 503)
    assert refused(serving, measures="revenu").status_code == 422
    with stream(serving) as answers:
        assert "was not in force" in answers.problem()["detail"]


def test_only_a_stream_is_told_how_often(serving: Client) -> None:
    answer = serving.get("sales", every="1s")
    assert (answer.status_code, "unknown parameter 'every'" in answer.text) == (422, True)


def test_a_hundred_streams_of_one_question_take_the_looks_of_one(stand: Stand, serving: Client, looks: Looks) -> None:
    with ExitStack() as stack:
        streams = [stack.enter_context(stream(serving, by="country")) for _ in range(50)]
        streams += [stack.enter_context(stream(serving, every="50ms", by="country")) for _ in range(50)]
        assert len({str(s.answer()) for s in streams}) == 1
        assert looks == [2]
        stand.commit([event()])
        assert {s.answer()["receipt"]["seq"] for s in streams} == {3}
        assert looks == [2, 3]
        assert open_streams(serving) == 100
    serving.until(lambda: open_streams(serving) == 0)
    stand.commit([event()])
    serving.rows("sales")
    assert looks == [2, 3], "nobody asks any more"
