"""What failed is asked again: when, how often, and when no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from client_double import Clock, Double, answer, problem

from dovetail.client import Forbidden, NotYet, Refused, ServerFault, TooMany, Unreachable
from dovetail.client.patience import FIRST, LONGEST, Patience

BROKEN = [
    httpx.ConnectError("refused"), httpx.ReadError("reset"), httpx.RemoteProtocolError("closed"),
    httpx.ConnectTimeout("late"),
]  # fmt: skip


@pytest.mark.parametrize("failed", [lambda: problem("not-yet", 503), lambda: problem("busy", 429)])
def test_a_server_that_cannot_yet_is_asked_again_as_it_was(
    client: Any, double: Double, clock: Clock, failed: Callable[[], httpx.Response]
) -> None:
    double.tell(failed(), failed(), failed(), answer())
    assert client.query("sales", by="country").rows == [{"lines": 1}]
    assert [(str(r.url), r.content) for r in double.requests] == [
        ("http://there:8000/v1/views/sales/query", b'{"by":"country"}')
    ] * 4
    for n, slept in enumerate(clock.slept):
        assert FIRST * 2**n / 2 <= slept <= FIRST * 2**n


@pytest.mark.parametrize("error", BROKEN, ids=lambda e: type(e).__name__)
def test_a_connection_that_breaks_is_made_again(client: Any, double: Double, error: Exception) -> None:
    double.tell(error, answer())
    assert len(client.query("sales")) == 1
    assert len(double.requests) == 2


def test_after_three_retries_the_error_is_told(client: Any, double: Double) -> None:
    for told, kind in (
        (lambda: problem("not-yet", 503), NotYet),
        (lambda: problem("too-many", 429), TooMany),
        (lambda: httpx.ConnectError("refused"), Unreachable),
    ):
        double.requests.clear()
        double.tell(*(told() for _ in range(4)))
        with pytest.raises(kind):
            client.views()
        assert len(double.requests) == 4


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (lambda: problem("query", 422), Refused), (lambda: problem("key", 403), Forbidden),
        (lambda: problem("crash", 500), ServerFault), (lambda: httpx.UnsupportedProtocol("what"), Unreachable),
    ],
)  # fmt: skip
def test_what_asking_again_cannot_help_is_told_at_once(client: Any, double: Double, told: Any, kind: Any) -> None:
    double.tell(told())
    with pytest.raises(kind):
        client.views()
    assert len(double.requests) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "Sun, 01 Mar 2026 00:00:09 GMT", "date": "Sun, 01 Mar 2026 00:00:00 GMT"}, 9.0),
        # The clock of this machine says another year, and does not matter.
        ({"retry-after": "Tue, 01 Mar 2016 00:00:04 GMT", "date": "Tue, 01 Mar 2016 00:00:00 GMT"}, 4.0),
    ],
)
def test_the_server_s_word_on_when_is_kept(
    client: Any, double: Double, clock: Clock, headers: dict[str, str], seconds: float
) -> None:
    double.tell(problem("not-yet", 503, **headers), answer())
    client.query("sales")
    assert clock.slept == [seconds]


@pytest.mark.parametrize("word", ["soon", "-1", "0", "Sun, 01 Mar 2026 00:00:00 GMT"])
def test_a_word_that_says_no_time_to_come_leaves_it_to_the_client(
    client: Any, double: Double, clock: Clock, word: str
) -> None:
    headers = {"retry-after": word, "date": "Mon, 02 Mar 2026 00:00:00 GMT"}
    double.tell(problem("not-yet", 503, **headers), answer())
    client.query("sales")
    assert FIRST / 2 <= clock.slept[0] <= FIRST


def test_nothing_is_waited_for_beyond_the_patience(client: Any, double: Double, clock: Clock) -> None:
    double.tell(problem("not-yet", 503, **{"retry-after": "20"}), problem("not-yet", 503, **{"retry-after": "20"}))
    with pytest.raises(NotYet):
        client.query("sales")
    assert clock.slept == [20.0]


def test_waiting_grows_to_a_bound() -> None:
    clock = Clock()
    attempts = Patience(retries=20, seconds=1e9, now=clock.now).attempts()
    waits = [attempts.wait(httpx.ReadError("reset")) for _ in range(21)]
    assert waits[-1] is None
    assert all(LONGEST / 2 <= (w or 0) <= LONGEST for w in waits[5:20])
    assert len({*waits[5:20]}) > 10
