"""The watch: what a server may do while it is harmed, and what it may never do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from dovetail.torture.watch import Watch

Handler = Callable[[httpx.Request], httpx.Response]


def watch() -> Watch:
    return Watch("http://server", {"ids": {"by": "id"}})


def asked(watch: Watch, handler: Handler) -> list[str]:
    with httpx.Client(transport=httpx.MockTransport(handler)) as http:
        watch.look(http, "ids")
    return watch.faults


def at(seq: int, **position: int) -> Handler:
    receipt: dict[str, Any] = {"seq": seq, "position": {p.removeprefix("p"): o for p, o in position.items()}}
    return lambda _: httpx.Response(200, json={"rows": [], "receipt": receipt}, headers={"etag": f'"{seq}"'})


def says(status: int) -> Handler:
    return lambda _: httpx.Response(status, text="no")


def gone(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def test_answers_that_go_on_are_kept_in_order() -> None:
    one = watch()
    assert asked(one, at(1, p0=5)) == []
    assert asked(one, at(2, p0=5, p1=1)) == []
    assert [answer["receipt"]["seq"] for _, answer in one.taken()] == [1, 2]
    assert one.taken() == []


def test_an_answer_that_goes_back_is_a_fault() -> None:
    by_seq, by_position = watch(), watch()
    asked(by_seq, at(2, p0=5))
    assert "went back from seq 2" in asked(by_seq, at(1, p0=5))[0]
    asked(by_position, at(2, p0=5, p1=3))
    assert "went back" in asked(by_position, at(3, p0=6, p1=2))[0]


def test_a_server_that_is_up_may_refuse_nothing() -> None:
    for status in (500, 503, 404):
        assert asked(watch(), says(status)) == [f"ids: {status} no"]
    assert "did not answer" in asked(watch(), gone)[0]


def test_a_server_that_is_away_may_be_gone_or_say_503_and_nothing_else() -> None:
    one = watch()
    one.away.set()
    assert asked(one, says(503)) == []
    assert asked(one, gone) == []
    assert one.refused == 1
    assert asked(one, says(500)) == ["ids: 500 no"]
    assert asked(one, says(404))[1:] == ["ids: 404 no"]


def test_a_view_that_is_torn_must_be_refused() -> None:
    one = watch()
    one.torn.add("ids")
    assert asked(one, says(503)) == []
    assert one.told_torn == 1
    assert asked(one, at(1, p0=1)) == ["ids answers though its files are torn"]


def test_it_asks_for_what_it_has_not_seen_unless_told_otherwise() -> None:
    seen = list[str]()

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["if-none-match"])
        return at(1, p0=1)(request)

    for one in (watch(), Watch("http://server", {"ids": {}}, unchanged=False)):
        asked(one, answer)
        asked(one, answer)
    assert seen == ["", '"1"', "", ""]
