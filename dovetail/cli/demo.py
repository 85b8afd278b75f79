"""`dovetail demo`: the joint at work on the shop example, each step with the answer before and after it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from dovetail.cli import dev, generate
from dovetail.cli.kill import in_mid_write
from dovetail.cli.output import Output, shown
from dovetail.cli.run import wait_for_stop
from dovetail.cli.session import start_spark
from dovetail.cli.stack import Stack, stack
from dovetail.shared import project as projects
from dovetail.shared import settings, template
from dovetail.shared.errors import IntegrityError
from dovetail.shared.ledger_table import DeltaLedger
from dovetail.shared.log import Log
from dovetail.shared.project import Project

SOURCE, VIEW = "fact_orders", "sales"
SHOWN = "lines,revenue,margin"
LATE_DAYS = 51


def run(folder: Path, output: Output, *, seconds: float) -> None:
    """Makes the project in `folder` (emptied), runs every step, and proves.

    Raises:
        IntegrityError: an answer changed where it must not, or the proof does not hold.
    """
    shutil.rmtree(folder, ignore_errors=True)
    template.create(folder, "shop")
    project = projects.load(settings.load(folder))
    with stack(folder, project.settings.storage.here / "logs") as (processes, outer):
        log = dev.start_layers(project, processes, outer, output)
        Demo(project, processes, outer, log, output, time.monotonic() + seconds if seconds else None).run()


@dataclass
class Demo:
    """The steps, in order. Every number shown is asked over HTTP."""

    project: Project
    processes: Stack
    outer: ExitStack
    log: Log
    output: Output
    until: float | None

    def run(self) -> None:
        source = self.project.source(SOURCE)
        dev_settings = self.project.settings.dev
        records = generate.load(self.project.settings.folder / dev_settings.generator, seed=dev_settings.seed)
        generator = generate.Generator(self.log, source.topic, records, dev_settings.rate).start()
        self.outer.callback(generator.stop)
        self.output.note(f"sending  {dev_settings.rate} order lines/s: some late, future-dated, repeated, broken")
        dev.first_answer(self.project, self.processes, self.output)
        self.processes.wait("the first record", lambda: self._lines(self._total()) > 0, seconds=dev.START_S)
        self._title("1 · the first merged answer")
        self._show(
            "  by product, the largest three", self._ask(by="productCode", limit=3, order_by="-revenue", measures=SHOWN)
        )
        dev.start_archives(self.project, self.processes, self.output)
        spark = start_spark(self.project.settings, "demo")
        self._batch(spark)
        self._kill(source.name)
        self._late()
        while self.until is not None and time.monotonic() < self.until - 20:
            time.sleep(0.5)
        if self.until is None:
            self._serve_on()
        generator.stop()
        self._prove(spark)

    def _batch(self, spark: Any) -> None:
        from dovetail.batch import job

        self._title("2 · a batch while events flow: the cut slides, the answer stays")
        archive = self.processes.children[f"archive-{SOURCE}"]
        self.processes.wait("a claim of the archive", lambda: "claim" in archive.last, seconds=120)
        before = self._total()
        self._show("  before", before)
        for name in self.project.views:
            manifest = job.run(self.project, self.project.view(name), self.log, spark)
            if manifest is not None:
                ran = manifest.runs[-1]
                self.output.line(f"  batch {name}: a run of {ran.records:,} records below cut {ran.cut}")
        self.processes.wait(
            "the new run in serving", lambda: self._total()["receipt"]["runs"][-1] != "origin", seconds=60
        )
        self._only_grown(before)
        lines = self._ask(by="productLine", limit=3, order_by="-revenue", measures=SHOWN)
        self._show("  by product line, which a dimension says: no record has it", lines)

    def _kill(self, source: str) -> None:
        self._title("3 · kill -9 of the speed job in mid write, then a new one")
        name = f"speed-{source}"
        before = self._total()
        self._show("  before", before)
        orphans = in_mid_write(self.project.layout, source, self.processes.children.pop(name).kill)
        self.output.line(f"  killed: {orphans:,} state rows were written that no ledger row names, so nobody sees them")
        self.processes.start(name, "speed", source, "--json")
        self.processes.wait("the new speed job", self.processes.children[name].ready.is_set, seconds=dev.START_S)
        commits = lambda: "seq" in self.processes.children[name].last  # noqa: E731
        self.processes.wait("a commit after the kill", commits, seconds=120)
        seq = self.processes.children[name].last["seq"]
        self._ask(at_least=seq, timeout=30)
        self._only_grown(before)

    def _late(self) -> None:
        self._title(f"4 · an order line {LATE_DAYS} days late, sent by hand")
        when = (datetime.now(UTC) - timedelta(days=LATE_DAYS)).replace(minute=0, second=0, microsecond=0)
        line = {
            "orderNumber": time.time_ns(), "orderLineNumber": 1, "customerNumber": 90001, "orderDate": when.isoformat(),
            "postalCode": "94217", "productCode": "S18_3232", "status": "Shipped",
            "quantityOrdered": 5, "priceEach": "100.00", "buyPrice": "60.00",
        }  # fmt: skip
        hour = {
            "where.postalCode": "94217", "where.productCode": "S18_3232",
            "start": when.isoformat(), "end": (when + timedelta(hours=1)).isoformat(), "measures": "lines,revenue",
        }  # fmt: skip
        before = self._ask(**hour)
        sent = subprocess.run(
            [sys.executable, "-m", "dovetail", "send", SOURCE, json.dumps(line), "--json"],
            cwd=self.project.settings.folder, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        record = json.loads(sent.stdout)
        self.output.line(f"  sent as {record['record']}, dated {when:%Y-%m-%d %H:%M}")
        after = self._ask(**hour, at_least=record["record"], timeout=30)
        self._show("  before", before)
        self._show("  after", after)
        if self._lines(after) != self._lines(before) + 1:
            raise IntegrityError(f"the late record was not counted once: {before['rows']} then {after['rows']}")

    def _prove(self, spark: Any) -> None:
        from dovetail.batch.prove import prove
        from dovetail.cli.prove import tell_proof

        source = self.project.source(SOURCE)
        end = self.log.extent(source.topic).end
        self.processes.wait("the last record", lambda: self._position_reaches(end.as_json()), seconds=120)
        self._title("5 · the proof: every record recounted from the log, by a path of its own")
        proof = prove(self.project, source, self.log, spark)
        if proof is None or not tell_proof(self.output, proof):
            raise IntegrityError("the proof does not hold", where=str(self.project.settings.folder))

    def _serve_on(self) -> None:
        address = f"http://{self.project.settings.serving.host}:{self.project.settings.serving.port}"
        self.output.line("")
        self.output.line(f"serving goes on at {address}/docs; Ctrl-C stops it and proves what came in")
        wait_for_stop(self.processes.check)

    def _ask(self, **question: Any) -> dict[str, Any]:
        host = self.project.settings.serving
        response = httpx.get(f"http://{host.host}:{host.port}/v1/views/{VIEW}/query", params=question, timeout=60)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def _lines(self, answer: dict[str, Any]) -> int:
        return sum(row["lines"] for row in answer["rows"])

    def _position_reaches(self, end: dict[str, int]) -> bool:
        position = self._ask()["receipt"]["position"]
        return all(position.get(p, 0) >= o for p, o in end.items())

    def _total(self) -> dict[str, Any]:
        return self._ask(measures="lines,revenue")

    def _only_grown(self, before: dict[str, Any]) -> None:
        """Shows the total; raises where it grew by other than the records of the ledger rows in between."""
        after = self._total()
        rows = DeltaLedger(self.project.layout.ledger(SOURCE)).rows(after=before["receipt"]["seq"])
        since = sum(r.books.offered for r in rows if r.seq <= after["receipt"]["seq"])
        self._show(f"  after, {since:,} records later", after)
        if self._lines(after) != self._lines(before) + since:
            raise IntegrityError(f"{self._lines(before):,} lines and {since:,} since make {self._lines(after):,}")

    def _title(self, text: str) -> None:
        self.output.line("")
        self.output.line(text, style="bold")

    def _show(self, title: str, answer: dict[str, Any]) -> None:
        self.output.line(title)
        for row in answer["rows"]:
            self.output.line("    " + "  ".join(f"{name} {shown(value)}" for name, value in row.items()))
        self._show_receipt(answer)

    def _show_receipt(self, answer: dict[str, Any]) -> None:
        from dovetail.cli.ask import receipt_line

        self.output.line("    " + receipt_line(answer["receipt"]), style="dim")
