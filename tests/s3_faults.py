"""A way to a store that fails as networks do: it refuses, forgets a header, or loses the reply to what was done.

It is a process of its own: delta-rs does not let go of the interpreter while it waits.
"""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

REFUSED, LOST, CUT, FORGETFUL = "503", "lost reply", "cut off", "without its condition"
"""What may happen to a request."""
DROPPED = {"host", "connection"}
FRAMING = {"connection", "transfer-encoding", "content-length"}


@contextmanager
def through(endpoint: str, folder: Path, faults: Sequence[str], *, share: float, seed: int = 0) -> Iterator[str]:
    """The address of a proxy before `endpoint` on which one of `faults` befalls a share of the requests.

    Each is a line of `folder / "faults"`.
    """
    port = folder / "port"
    command = [sys.executable, __file__, endpoint, str(folder), str(share), str(seed), *faults]
    with subprocess.Popen(command) as process:
        try:
            while not (port.exists() and port.read_text()):
                assert process.poll() is None
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port.read_text()}"
        finally:
            process.kill()


def serve(endpoint: str, folder: Path, share: float, seed: int, faults: Sequence[str]) -> None:
    target, chance = urlsplit(endpoint), random.Random(seed)
    said, lock = (folder / "faults").open("a", buffering=1), threading.Lock()

    def fault() -> str:
        with lock:
            found = chance.choice(faults) if chance.random() < share else ""
            said.write(found + "\n" if found else "")
        return found

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):
                return self._pass
            raise AttributeError(name)

        def _pass(self) -> None:
            befallen = fault()
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if befallen == REFUSED:
                return self._answer(503, [], b"<Error><Code>SlowDown</Code></Error>")
            if befallen == CUT:
                return self._hang_up()
            dropped = DROPPED | ({"if-none-match"} if befallen == FORGETFUL else set())
            there = HTTPConnection(str(target.hostname), target.port or 80, timeout=60)
            kept = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
            there.request(self.command, self.path, body or None, kept)
            reply = there.getresponse()
            content = reply.read()
            there.close()
            if befallen == LOST:
                return self._hang_up()
            return self._answer(reply.status, reply.getheaders(), content)

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in FRAMING:
                    self.send_header(name, value)
            of_head = {name.lower(): value for name, value in headers}.get("content-length", "0")
            self.send_header("content-length", of_head if self.command == "HEAD" else str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def _hang_up(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        (folder / "port").write_text(str(server.server_address[1]))
        server.serve_forever()


if __name__ == "__main__":
    where, room, part, start, *which = sys.argv[1:]
    serve(where, Path(room), float(part), int(start), which)
