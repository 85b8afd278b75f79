"""A schema registry by its HTTP contract, on loopback: what is registered, a way to be down, and what was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class RegistryDouble:
    """Answers `/schemas/ids/N` and `/subjects/S/versions/V` as Confluent's does; `down` makes every answer a 503."""

    def __init__(self) -> None:
        self.ids: dict[int, dict[str, Any]] = {}
        self.versions: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.down = False
        self.password = ""
        self.stray: tuple[int, bytes] | None = None
        """Answered in place of all else."""

    def register(self, number: int, schema: object, **more: Any) -> None:
        self.ids[number] = {"schema": schema if isinstance(schema, str) else json.dumps(schema), **more}

    def answer(self, path: str, header: str | None) -> tuple[int, bytes]:
        self.asked.append(path)
        if self.down:
            return 503, b"down"
        if self.stray is not None:
            return self.stray
        if self.password and header is None:
            return 401, b'{"error_code": 40101}'
        match path.strip("/").split("/"):
            case ["schemas", "ids", number] if int(number) in self.ids:
                return 200, json.dumps(self.ids[int(number)]).encode()
            case ["subjects", subject, "versions", version] if f"{subject}/{version}" in self.versions:
                return 200, json.dumps(self.versions[f"{subject}/{version}"]).encode()
        return 404, b'{"error_code": 40403, "message": "Schema not found"}'

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def served(self) -> Iterator[RegistryDouble]:
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = double.answer(self.path, self.headers.get("Authorization"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as self._server:
            thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
            thread.start()
            try:
                yield self
            finally:
                self._server.shutdown()
                thread.join()
