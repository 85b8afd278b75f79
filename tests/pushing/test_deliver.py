"""How a delivery is made: tried again while the receiver is away, given up within bounds, and no secret told."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import anyio
import pytest
from push_stand import SECRET, Receiver, receiving

from dovetail.client.patience import Patience
from dovetail.pushing.changes import Change
from dovetail.pushing.deliver import PATIENCE, ToWebhook, signature
from dovetail.pushing.state import Delivery
from dovetail.shared.errors import Mend, ServiceMissing

DELIVERY = Delivery("low", "sales", "s1.2.abc", "0a1b2c3d", (Change({"country": "FR"}, None, {"lines": 1}),))
HASTY = Patience(retries=2, seconds=5.0, statuses=PATIENCE.statuses)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def deliver(url: str, patience: Patience = HASTY) -> None:
    anyio.run(ToWebhook(url, SECRET, patience), DELIVERY)


def test_the_body_says_all_and_the_key_is_of_push_and_receipt(receiver: Receiver) -> None:
    deliver(receiver.url)
    [one] = receiver.received
    assert one.body == (
        b'{"push":"low","view":"sales","receipt":"s1.2.abc",'
        b'"changes":[{"key":{"country":"FR"},"before":null,"after":{"lines":1}}]}'
    )
    assert one.headers["Idempotency-Key"] == "low.s1.2.abc.0a1b2c3d"


def test_a_signature_is_of_the_time_and_the_body() -> None:
    # printf '1700000000.{}' | openssl dgst -sha256 -hmac s3cret
    assert signature(b"s3cret", b"{}", 1_700_000_000) == (
        "t=1700000000,v1=97926816e98fbb41ccb1673225ff29a2f35369099990e1b1561651e7bd097ebf"
    )


@pytest.mark.parametrize("status", [408, 429, 500, 502, 599])
def test_what_a_receiver_may_take_later_is_tried_again(receiver: Receiver, status: int) -> None:
    receiver.statuses = [status, status]
    deliver(receiver.url)
    assert len({r.body for r in receiver.received}) == 1
    assert len(receiver.received) == 3


def test_a_receiver_that_stays_away_is_a_missing_service_and_no_address_is_told(receiver: Receiver) -> None:
    receiver.statuses = [503] * 9
    with pytest.raises(ServiceMissing, match="has not taken a delivery in") as missing:
        deliver(receiver.url + "?token=abc")
    assert len(receiver.received) == 3
    assert (missing.value.exit_code, missing.value.why) == (3, "HTTP 503")
    assert "token" not in str(missing.value)
    assert "dovetail push, once it is there" in missing.value.next


def test_where_nobody_listens_is_a_missing_service() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ServiceMissing, match="has not taken a delivery"):
            deliver(f"http://127.0.0.1:{taken.getsockname()[1]}/hook")


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410, 422])
def test_a_refusal_is_told_at_once(receiver: Receiver, status: int) -> None:
    receiver.statuses = [status]
    with pytest.raises(Mend, match=f"refuses a delivery: HTTP {status}"):
        deliver(receiver.url)
    assert len(receiver.received) == 1
