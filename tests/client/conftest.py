"""Fixtures over `client_double`, made importable here: pytest's importlib mode does not."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

sys.path.insert(0, str(Path(__file__).parent))

from client_double import Awaited, Clock, Double

from dovetail.client.asynchronous import AsyncClient
from dovetail.client.patience import Patience
from dovetail.client.server import Server
from dovetail.client.synchronous import Client


@pytest.fixture
def double() -> Double:
    return Double()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sync", "async"])
def client(
    request: pytest.FixtureRequest, double: Double, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """A client of the double on the double's clock; the asynchronous one is asked as if it were the other."""
    server, patience = Server("http://there:8000", "a-key"), Patience(now=clock.now)
    if request.param == "sync":
        monkeypatch.setattr("dovetail.client.synchronous.time", SimpleNamespace(sleep=clock.sleep))
        with Client(server, patience, double.transport) as found:
            yield found
    else:
        monkeypatch.setattr("dovetail.client.asynchronous.anyio", SimpleNamespace(sleep=clock.sleep_async))
        with start_blocking_portal() as portal:
            asynchronous = AsyncClient(server, patience, double.transport)
            yield Awaited(portal, asynchronous)
            portal.call(asynchronous.aclose)
