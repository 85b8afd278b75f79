"""A server of several processes: who they are, and a client that asks each of them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families
from serving_stand import Client, Stand, serving_process

START_S = 60


@dataclass
class Server:
    """A server with `count` workers over `stand`, in processes of its own."""

    process: subprocess.Popen[str]
    address: str
    stand: Stand
    count: int
    key: str = ""

    @property
    def pids(self) -> list[int]:
        """Of the workers that run, the youngest last."""
        children = psutil.Process(self.process.pid).children()
        return [child.pid for child in children if "spawn_main" in " ".join(_command(child))]

    def client(self) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        return httpx.Client(base_url=self.address, timeout=30, headers=headers)

    @contextmanager
    def each(self) -> Iterator[dict[int, Client]]:
        """A client of each worker by its pid, on a connection that stays with it; once all of them answer."""
        with ExitStack() as stack:
            found: dict[int, Client] = {}
            end = time.monotonic() + START_S
            while len(found) < self.count:
                assert time.monotonic() < end, f"only {[*found]} of {self.pids} let anybody in"
                http = stack.enter_context(self.client())
                answer = http.get("/health")
                port = answer.extensions["network_stream"].get_extra_info("client_addr")[1]
                for pid in self.pids:
                    if port in _asked_from(pid):
                        found.setdefault(pid, Client(http, self.stand))
                time.sleep(0.005)
            for client in found.values():
                client.until(lambda of=client: of.http.get("/ready").status_code == 200, START_S)  # type: ignore[misc]
            yield found


@contextmanager
def server(folder: Path, stand: Stand, count: int = 2, *, key: str = "", **sections: Any) -> Iterator[Server]:
    sections["serving"] = {**sections.get("serving", {}), "workers": count}
    with serving_process(folder, **sections) as (process, address):
        try:
            yield Server(process, address, stand, count, key)
        finally:
            process.terminate()
            process.wait(30)


def figures(http: httpx.Client) -> dict[str, float]:
    """By name and labels, as they are written."""
    families = text_string_to_metric_families(http.get("/metrics").text)
    return {f"{s.name}{s.labels or ''}": s.value for family in families for s in family.samples}


def gone(pids: list[int], seconds: float = 20) -> bool:
    """Whether none of them runs any more, after so many seconds at most."""
    return until(lambda: not any(psutil.pid_exists(pid) for pid in pids), seconds)


def until(holds: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _asked_from(pid: int) -> set[int]:
    try:
        return {c.raddr.port for c in psutil.Process(pid).net_connections("tcp") if c.raddr}
    except psutil.Error:
        return set()
