"""What there is little of is shared out: whoever takes all that they may have leaves the others theirs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from access_stand import PEPPER, Place, place, some
from live_stream import LIVE, open_streams

from dovetail.serving.past import Past
from dovetail.shared.grants import Grant

SALES = Grant("sales", views=("sales",))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
        limits = {"live_streams": 8}
        with place(tmp_path_factory.mktemp("shared"), some(), sections={"limits": limits}) as found:
            yield found


def test_answers_of_the_past_take_no_place_of_others(server: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    url, receipt = "/v1/views/sales/query?by=country", server.client.receipt("sales", by="country")["id"]
    made, may = Past._made, threading.Event()

    def slow(*given: Any) -> Any:
        assert may.wait(60)
        return made(*given)

    monkeypatch.setattr(Past, "_made", slow)
    with server.as_(SALES) as one, server.as_(SALES) as two, server.as_(SALES) as other, ThreadPoolExecutor() as at:
        waiting = [at.submit(http.get, f"{url}&as_of={receipt}") for http in (one, two) for _ in range(2)]
        time.sleep(0.3)
        try:
            assert other.get(url, timeout=5).status_code == 200
        finally:
            may.set()
        assert [answer.result().status_code for answer in waiting] == [200] * 4


def test_one_key_has_a_quarter_of_the_streams(server: Place) -> None:
    with server.as_(SALES) as loud, server.as_(SALES) as quiet:
        with ExitStack() as opened:

            def status(http: httpx.Client) -> int:
                return opened.enter_context(http.stream("GET", LIVE)).status_code

            assert [status(loud) for _ in range(4)] == [200, 200, 429, 429]
            assert status(quiet) == 200
            assert open_streams(server.client) == 3
        server.client.until(lambda: open_streams(server.client) == 0)
        with loud.stream("GET", LIVE) as again:  # who leaves has room again
            assert again.status_code == 200
