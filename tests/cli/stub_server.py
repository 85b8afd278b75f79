"""A server that answers as it is told to, and remembers what it was asked."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

RECEIPT = {
    "id": "s1.37.9c2f", "view": "sales", "version": "sales@3f2a9c0d41e7b652", "runs": ["4f0c9d1e22334455"],
    "cut": {"0": 900, "1": 905, "10": 880, "2": 871}, "position": {"0": 910, "1": 907, "2": 873, "10": 881}, "seq": 37,
    "quarantined": 1100, "gaps": [], "complete": True, "approximate": [], "behind": {"records": 3, "seconds": 0.42},
}  # fmt: skip
ROWS = [
    {"country": "FR", "bucket": "2026-03-01T00:00:00Z", "lines": 3918, "revenue": "412880.15"},
    {"country": None, "bucket": "2026-03-01T00:00:00Z", "lines": 0, "revenue": None},
    {"country": "1000", "bucket": "2026-03-02T00:00:00Z", "lines": 12, "revenue": "-1204.40"},
]


class StubServer(ThreadingHTTPServer):
    """Answers every question with what it was told to, some paths in a way of their own."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.answers: tuple[int, bytes] = (200, orjson.dumps({"rows": ROWS, "receipt": RECEIPT}))
        self.paths: dict[str, Any] = {}
        """The documents that are at paths of their own."""

    def refuse(self, status: int, **problem: Any) -> None:
        body = {"type": "urn:dovetail:query", "title": "a title", "status": status, "detail": "", "next": ""} | problem
        self.answers = (status, orjson.dumps(body))


class _Handler(BaseHTTPRequestHandler):
    server: StubServer

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self._answer(unquote(url.path), dict(parse_qsl(url.query)))

    def do_POST(self) -> None:
        self._answer(self.path, orjson.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, path: str, sent: dict[str, str]) -> None:
        self.server.asked.append((path, sent))
        own = self.server.paths.get(path)
        status, body = (200, orjson.dumps(own)) if own is not None else self.server.answers
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...
