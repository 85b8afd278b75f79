"""A small HTTP server that keeps what is posted to it: stands for collectors and receivers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Receiver:
    """`posted` holds path and body of each request, `headers` those of each; each is answered by `status`."""

    status: int = 200
    posted: list[tuple[str, bytes]] = field(default_factory=list)
    headers: list[Message] = field(default_factory=list)
    goes_on: threading.Event = field(default_factory=threading.Event)
    address: str = ""


@contextmanager
def receiver(*, status: int = 200, silent: bool = False, endless: bool = False) -> Iterator[Receiver]:
    """One on a free port; a `silent` one takes connections and says nothing for a minute, an `endless` one begins an
    answer for as long, and comes to no end."""
    kept = Receiver(status)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.headers.append(self.headers)
            kept.posted.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            if silent:
                kept.goes_on.wait(60)
            if endless:
                for _ in range(600):
                    self.wfile.write(b"H")
                    if kept.goes_on.wait(0.1):
                        return
            self.send_response(kept.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield kept
    finally:
        kept.goes_on.set()
        server.shutdown()
        thread.join()
        server.server_close()
