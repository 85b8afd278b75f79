"""Pages of an API: each item once, no faster than it may be, also where the last page grows or the feeder dies."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from feed_stand import MemoryLog, fed, killed_everywhere

import dovetail as dv
from dovetail.client.patience import Patience
from dovetail.feeding import parts, rest
from dovetail.feeding.rest import RestReader
from dovetail.shared.errors import Mend, ServiceMissing

orders = dv.source("orders", schema="id bigint, price decimal(10,2)")


class Api:
    """Answers a path with its body; with a status of `statuses` before, as long as there are any."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self.statuses: list[int] = []
        self.asked: list[str] = []
        self.sent: list[str | None] = []
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append(self.path)
                api.sent.append(self.headers["Authorization"])
                body = api.pages.get(self.path, "").encode()
                self.send_response(api.statuses.pop(0) if api.statuses else 200 if body else 404)
                if self.path in api.links:
                    self.send_header("Link", f'<{api.links[self.path]}>; rel="next"')
                self.send_header("Retry-After", "7")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def api() -> Iterator[Api]:
    found = Api()
    try:
        yield found
    finally:
        found.close()


def feed(api: Api, **more: Any) -> Any:
    return dv.feed.rest("api", source=orders, url=f"{api.url}/o", **{"items": "data", "next": "next", **more})


def run(log: MemoryLog, given: Any, **more: Any) -> int:
    return fed(log, given, RestReader(given, more.pop("headers", {}), **more)).records


def ids(log: MemoryLog) -> list[int]:
    return [value["id"] for value in log.values]


def test_each_item_is_fed_once_with_its_digits_and_the_last_page_as_it_grows(api: Api) -> None:
    api.pages = {
        "/o": '{"data":[{"id":1,"price":10.10},{"id":123456789012345678901}],"next":"/o?p=2"}',
        "/o?p=2": '{"data":[{"id":3}],"next":null}',
    }
    log, given = MemoryLog(), feed(api, key="id")
    assert run(log, given) == 3
    assert [row.value for row in log.rows] == [b'{"id":1,"price":10.10}', b'{"id":123456789012345678901}', b'{"id":3}']
    assert [row.key for row in log.rows] == [b"1", b"123456789012345678901", b"3"]
    assert run(log, given) == 0
    api.pages["/o?p=2"] = '{"data":[{"id":3},{"id":4}],"next":"/o?p=3"}'
    api.pages["/o?p=3"] = '{"data":[],"next":null}'
    assert run(log, given) == 1
    assert [row.place for row in log.rows] == ["/o#1", "/o#2", "/o?p=2#1", "/o?p=2#2"]
    assert api.asked[-2:] == ["/o?p=2", "/o?p=3"], "a page that is full is not asked for again"


def test_a_kill_at_any_part_loses_and_doubles_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "ROWS", 2)
    api.pages = {
        "/o": '{"data":[{"id":1},{"id":2},{"id":3}],"next":"/o?p=2"}',
        "/o?p=2": '{"data":[{"id":4},{"id":5},{"id":6}]' + ',"next":null}',
    }
    found = killed_everywhere(MemoryLog, lambda log: run(log, feed(api)))
    assert len(found[0]) == 6
    assert all(rows == found[0] for rows in found)


def test_pages_are_found_by_a_cursor_or_by_links(api: Api) -> None:
    api.pages = {"/o": '{"data":[{"id":1}],"meta":{"after":"a b"}}', "/o?after=a+b": '{"data":[{"id":2}],"meta":{}}'}
    log = MemoryLog()
    assert run(log, feed(api, next="meta.after", cursor="after")) == 2
    api.pages = {"/o": '[{"id":1}]', "/two": '[{"id":2}]'}
    api.links = {"/o": "/two"}
    assert run(linked := MemoryLog(), feed(api, items="", next="")) == 2
    assert (ids(log), ids(linked)) == ([1, 2], [1, 2])


def test_an_empty_page_is_the_end_for_now(api: Api) -> None:
    api.pages = {"/o": '{"data":[],"next":"/o?p=2"}', "/o?p=2": '{"data":[{"id":1}],"next":"/o?p=2"}'}
    log, given = MemoryLog(), feed(api)
    assert [run(log, given), run(log, given), run(log, given)] == [0, 1, 0]


def test_items_that_were_fed_and_are_others_now_stop_the_feed(api: Api) -> None:
    api.pages = {"/o": '{"data":[{"id":1},{"id":2}],"next":null}'}
    log, given = MemoryLog(), feed(api)
    run(log, given)
    for now in ('{"data":[{"id":0},{"id":1},{"id":2}],"next":null}', '{"data":[{"id":1}],"next":null}'):
        api.pages["/o"] = now
        with pytest.raises(Mend, match="the 2 items of a page that were fed are others now"):
            run(log, given)
    assert ids(log) == [1, 2]


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("<html>", "a page is not what it was declared to be"),
        ('{"rows":[],"next":null}', "a page is not what it was declared to be"),
        ('{"data":{},"next":null}', "'data' of a page is no list"),
        ('{"data":[{"id":1,"price":NaN}],"next":null}', "a page is not what it was declared to be"),
        ('{"data":[{"id":"\\ud800"}],"next":null}', "an item of a page cannot be written"),
        ('{"data":[{"id":1}],"next":"http://elsewhere.example/o"}', "at another server, elsewhere.example"),
    ],
)
def test_what_is_no_page_stops_the_feed(api: Api, page: str, says: str) -> None:
    api.pages = {"/o": page}
    log = MemoryLog()
    with pytest.raises(Mend, match=says):
        run(log, feed(api))
    assert log.rows == []


def test_items_of_another_shape_stop_the_feed_but_one_bad_item_does_not(api: Api) -> None:
    api.pages = {
        "/o": '{"data":[{"id":1,"price":1}],"next":"/o?p=2"}',
        "/o?p=2": '{"data":[{"id":2,"price":2},{"id":"x","price":null},7],"next":"/o?p=3"}',
        "/o?p=3": '{"data":[{"id":4}],"next":null}',
    }
    log = MemoryLog()
    with pytest.raises(Mend, match="column price is gone"):
        run(log, feed(api))
    assert [row.bad for row in log.rows] == ["", "", "", "not a JSON object"]


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ('{"id":2,"price":"2","nr":2}', "column price is text: it was number"),
        ('{"id":2,"price":2}', "column nr is gone"),
    ],
)
def test_an_api_of_another_type_or_without_its_key_stops_the_feed_and_goes_on_once_mended(
    api: Api, second: str, says: str
) -> None:
    api.pages = {"/o": '{"data":[{"id":1,"price":1,"nr":1}],"next":"/o?p=2"}', "/o?p=2": f'{{"data":[{second}]}}'}
    log, given = MemoryLog(), feed(api, key="nr")
    with pytest.raises(Mend, match=says):
        run(log, given)
    assert ids(log) == [1]
    api.pages["/o?p=2"] = '{"data":[{"id":2,"price":2,"nr":2}]}'
    assert run(log, given) == 1
    assert [row.key for row in log.rows] == [b"1", b"2"]


def test_it_asks_no_faster_than_it_may(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    api.pages = {f"/o?p={n}": f'{{"data":[{{"id":{n}}}],"next":"/o?p={n + 1}"}}' for n in range(1, 5)}
    api.pages["/o"] = '{"data":[{"id":0}],"next":"/o?p=1"}'
    api.pages["/o?p=5"] = '{"data":[{"id":5}],"next":null}'
    slept = list[float]()
    monkeypatch.setattr(rest, "time", SimpleNamespace(monotonic=lambda: 100.0 + sum(slept)))
    assert run(MemoryLog(), feed(api, rate=0.5), sleep=slept.append) == 6
    assert slept == [2.0] * 5


def test_it_waits_as_long_as_it_is_asked_to_and_no_longer_than_it_may(api: Api) -> None:
    api.pages, api.statuses, slept = {"/o": '{"data":[{"id":1}],"next":null}'}, [429, 503], list[float]()
    assert run(MemoryLog(), feed(api), sleep=slept.append) == 1
    assert slept == [7.0, 7.0]
    api.statuses = [503] * 9
    with pytest.raises(ServiceMissing, match="the API does not answer"):
        run(MemoryLog(), feed(api), sleep=slept.append, patience=Patience(retries=2, statuses=(503,)))


def test_a_refusal_is_told_at_once_without_what_is_secret(api: Api) -> None:
    api.statuses = [401]
    given = dv.feed.rest("api", source=orders, url=f"{api.url}/o?account=7", headers={"Authorization": "env:TOKEN"})
    with pytest.raises(Mend, match="HTTP 401") as refused:
        run(MemoryLog(), given, headers={"Authorization": "Bearer abc"})
    assert api.sent == ["Bearer abc"]
    assert "account" not in str(refused.value)
