"""What a container says of itself: a server by its answers, another layer by the lock that it holds."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest
from deployed import ROOT, settings_with

from dovetail.shared.locks import held

KEY = "dvt_of_a_probe"


@pytest.fixture(scope="module")
def healthy() -> ModuleType:
    spec = importlib.util.spec_from_file_location("healthy", ROOT / "docker" / "healthy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Server(BaseHTTPRequestHandler):
    """Up, and not ready; it lets in who has the key."""

    def do_GET(self) -> None:
        known = self.headers["Authorization"] == f"Bearer {KEY}"
        self.send_response(200 if self.path == "/health" else 503 if known else 401)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_without_a_key_a_server_that_is_up_is_healthy_and_with_one_it_has_to_be_ready(
    healthy: ModuleType, port: int
) -> None:
    assert healthy.answers(port, "")
    assert not healthy.answers(port, KEY)
    assert not healthy.answers(port, "dvt_of_nobody")


def test_a_server_that_is_away_is_not_healthy(healthy: ModuleType) -> None:
    closed = HTTPServer(("127.0.0.1", 0), _Server)
    closed.server_close()
    assert not healthy.answers(closed.server_port, "")


def test_a_layer_is_at_work_while_this_container_holds_its_lock(
    healthy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_with({"DOVETAIL__STORAGE__ROOT": tmp_path}, monkeypatch)
    monkeypatch.chdir(ROOT / "examples" / "shop")
    lock = tmp_path / "locks" / "speed-orders.lock"
    assert not healthy.main("speed")
    with held(lock, "the speed job of orders"):
        assert healthy.main("speed")
        assert not healthy.main("archive")
        lock.write_text(json.dumps({"host": "another", "pid": 1, "since": 0.0}))
        assert not healthy.main("speed"), "it is another container's"
    assert not healthy.main("speed")
