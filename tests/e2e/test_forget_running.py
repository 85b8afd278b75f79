"""Somebody is forgotten while archive, speed and readers run and records come, and the forgetting is killed once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from e2e_system import START_S, beside, free_port
from test_forget import files_with

from dovetail.cli.stack import Stack
from dovetail.shared.locks import holder
from dovetail.shared.log import Log
from dovetail.shared.tables import Layout

pytestmark = [pytest.mark.java, pytest.mark.long, pytest.mark.timeout(1200)]
GONE, STAYS = "alice-of-wonderland", "other-customer"
TOPIC = "orders_of_running"
QUESTION = "by_customer/query?by=customer&measures=total"
VIEWS = f"""
import dovetail as dv

orders = dv.source("{TOPIC}", schema="customer string, n bigint", subject="customer", event_id="n")
by_customer = dv.view("by_customer", source=orders, keys=["customer"], measures={{"total": dv.sum("n")}})
"""


class Shop:
    """The project's processes; `sent` are the numbers of each customer's orders, by offset."""

    def __init__(self, folder: Path, log: Log) -> None:
        self.folder, self.log, self.port = folder, log, free_port()
        (folder / "views.py").write_text(VIEWS)
        (folder / "dovetail.toml").write_text(
            f'views = ["views.py"]\n[kafka]\nbootstrap = "{log.bootstrap}"\n[serving]\nport = {self.port}\n'
        )
        log.create(TOPIC, partitions=1)
        self.layout = Layout(folder / "data")
        self.stack = Stack(folder, folder / "logs")
        self.sent = list[tuple[str, int]]()
        self.wrong = list[str]()

    def sending(self, stop: threading.Event) -> None:
        producer = self.log.producer()
        while not stop.wait(0.1):
            for customer in (GONE, STAYS, STAYS):
                n = len(self.sent) + 1
                producer.produce(TOPIC, value=json.dumps({"customer": customer, "n": n}), partition=0)
                self.sent.append((customer, n))
            assert producer.flush(60) == 0

    def asking(self, stop: threading.Event) -> None:
        """Asks on and on: every answer must hold what the other customer ordered, up to the position that it states."""
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}/v1/views/", timeout=60) as http:
            while not stop.wait(0.1):
                answer = http.get(QUESTION)
                if answer.status_code != httpx.codes.OK:
                    self.wrong.append(answer.text)
                    continue
                said = answer.json()
                end = said["receipt"]["position"].get("0", 0)
                found = {row["customer"]: row["total"] for row in said["rows"]}
                if found.get(STAYS, 0) != sum(n for customer, n in self.sent[:end] if customer == STAYS):
                    self.wrong.append(answer.text)

    def run(self, *command: str, failpoint: str = "") -> int:
        armed = {"DOVETAIL_TEST_MODE": "1", "DOVETAIL_FAILPOINT": failpoint} if failpoint else {}
        line = [sys.executable, "-m", "dovetail", *command]
        done = subprocess.run(line, cwd=self.folder, env={**os.environ, **armed}, timeout=400, check=False)
        return done.returncode

    def answer(self) -> tuple[int, dict[str, int]]:
        """The position of the answer now, and what it says; nothing before there is one."""
        answer = httpx.get(f"http://127.0.0.1:{self.port}/v1/views/{QUESTION}", timeout=60)
        if answer.status_code != httpx.codes.OK:
            return -1, {}
        said = answer.json()
        return said["receipt"]["position"].get("0", 0), {row["customer"]: row["total"] for row in said["rows"]}

    def goes_on(self) -> None:
        """Waits until what is sent from now on is answered."""
        end = len(self.sent) + 1
        self.stack.wait(f"an answer up to {end}", lambda: self.answer()[0] >= end, seconds=START_S)

    def served(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


def test_layers_that_run_stand_aside_and_go_on(tmp_path: Path, log: Log) -> None:
    shop = Shop(tmp_path, log)
    try:
        with beside(shop.sending):
            for layer in ("archive", "speed", "serve"):
                shop.stack.start(layer, layer, "--json")
            shop.stack.wait("serving", shop.served, seconds=START_S)
            shop.goes_on()
            assert shop.run("batch") == 0
            layers = [holder(shop.layout.lock(f"{layer}-{TOPIC}")) for layer in ("speed", "archive")]
            assert None not in layers
            with beside(shop.asking):
                killed = ["forget", TOPIC, f"customer={GONE}", "--readers", "2s"]
                assert shop.run(*killed, failpoint="forget.master_blanked:crash") == -signal.SIGKILL
                shop.goes_on()
                assert [*files_with(shop.layout.root, GONE)], "it was killed before its end"
                assert shop.run(*killed) == 0
                assert shop.answer()[1].keys() == {STAYS}
                shop.goes_on()
                assert shop.run("reprocess", "by_customer", "--from-scratch") == 0
                assert shop.run("promote", "by_customer") == 0
                shop.goes_on()
        end = len(shop.sent)
        shop.stack.wait("all that was sent", lambda: shop.answer()[0] >= end, seconds=START_S)
        assert shop.answer()[1] == {STAYS: sum(n for customer, n in shop.sent if customer == STAYS)}
        assert shop.wrong == []
        assert layers == [holder(shop.layout.lock(f"{layer}-{TOPIC}")) for layer in ("speed", "archive")]
        assert [*files_with(shop.layout.root, GONE)] == []
        assert shop.run("prove", TOPIC) == 0
    finally:
        shop.stack.close()
