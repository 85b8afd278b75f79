"""A stream of the real server: each change once, with its types, over connections that break and problems that pass."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import aclosing, closing
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from serving_stand import Client as Http
from serving_stand import Stand, ViewSpec, event, serve

import dovetail
from dovetail.client import Client, Refused, ServerFault, TooMany
from dovetail.serving import live


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    found = Stand(tmp_path / "data")
    found.attach(ViewSpec("sales"))
    found.commit([event()])
    return found


@pytest.fixture
def served(tmp_path: Path, stand: Stand) -> Iterator[Http]:
    with serve(tmp_path, stand) as found:
        found.rows("sales")
        yield found


@pytest.fixture
def client(served: Http) -> Iterator[Client]:
    with dovetail.connect(str(served.http.base_url)) as found:
        yield found


def test_answers_are_those_of_a_query_each_once(client: Client, stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT", 0.02)
    with closing(client.live("sales", by="country", measures=["revenue", "last"])) as answers:
        for n in range(1, 4):
            answer = next(answers)
            assert answer.rows[0]["revenue"] == Decimal("10.00") * n
            asked = client.query("sales", by="country", measures=["revenue", "last"])
            assert answer.to_arrow().equals(asked.to_arrow())
            assert answer.receipt == asked.receipt
            time.sleep(0.1)  # signs of life
            stand.commit([event()])


def test_a_server_that_is_started_again_goes_on_after_the_last_answer(tmp_path: Path, stand: Stand) -> None:
    with serve(tmp_path, stand) as first:
        first.rows("sales")
        client = dovetail.connect(str(first.http.base_url))
        answers = client.live("sales", measures="lines")
        assert next(answers).rows == [{"lines": 1}]
    with client, serve(tmp_path, stand, port=first.http.base_url.port or 0) as again:
        again.rows("sales")
        stand.commit([event()])
        found = next(answers)
        assert (found.rows, found.receipt.seq) == ([{"lines": 2}], stand.seq)
        answers.close()


def test_the_same_asynchronously(served: Http, stand: Stand) -> None:
    async def ask() -> list[int]:
        lines: list[int] = []
        url = str(served.http.base_url)
        async with dovetail.connect_async(url) as client, aclosing(client.live("sales", measures="lines")) as answers:
            async for answer in answers:
                lines.append(answer.rows[0]["lines"])
                if len(lines) == 3:
                    break
                stand.commit([event()])
        return lines

    assert anyio.run(ask) == [1, 2, 3]


def test_what_the_server_refuses_is_an_error(client: Client, stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="at_least is of one answer"):
        next(client.live("sales", at_least=1))
    with closing(client.live("sales", measures="lines")) as answers:
        next(answers)
        stand.commit([event()], name_rows=1)
        with pytest.raises(ServerFault, match="holds 1 state rows"):
            next(answers)


def test_a_server_that_has_no_place_left_is_asked_again_and_then_told(
    tmp_path: Path, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOVETAIL__LIMITS__LIVE_STREAMS", "1")
    with serve(tmp_path, stand) as served:
        served.rows("sales")
        with dovetail.connect(str(served.http.base_url), retries=1) as client:
            with closing(client.live("sales")) as first:
                next(first)
                with pytest.raises(TooMany, match="1 streams are open"):
                    next(client.live("sales"))
            assert len(next(client.live("sales"))) == 1
