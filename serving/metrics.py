"""What Prometheus sees. Labels take only declared names: routes, status classes, views and rules that exist."""

from __future__ import annotations

import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dovetail.shared.ledger import Judged
from dovetail.shared.proofs import Proved

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


PROOF = {
    "holds": "1, or 0 where the last recount of a source did not come to what is held",
    "lost_records": "Records that the last recount found missing",
    "doubled_records": "Records that the last recount found counted twice",
    "seq": "Ledger seq up to which the last recount went",
    "timestamp_seconds": "When the last recount ended, in seconds since 1970",
}


class Metrics:
    """One registry an app."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "dovetail_http_requests", "Requests answered", ["route", "status"], registry=self.registry
        )
        self.latency = Histogram(
            "dovetail_http_seconds", "Time to answer", ["route"], buckets=BUCKETS, registry=self.registry
        )
        self.seq = Gauge("dovetail_view_seq", "Ledger seq that answers include", ["view"], registry=self.registry)
        self.records = Gauge(
            "dovetail_view_behind_records",
            "Records between answers and the log's end",
            ["view"],
            registry=self.registry,
        )
        self.seconds = Gauge(
            "dovetail_view_behind_seconds", "Age of the oldest end not reached", ["view"], registry=self.registry
        )
        self.commits = Counter(
            "dovetail_view_commits", "Ledger rows that came into answers", ["view"], registry=self.registry
        )
        self.answerable = Gauge(
            "dovetail_view_answerable", "1, or 0 while a view is refused", ["view"], registry=self.registry
        )
        self.broken = Counter(
            "dovetail_rule_broken",
            "Records, or commits, that broke a rule, in all of the ledger",
            ["source", "rule", "otherwise"],
            registry=self.registry,
        )
        self.proof = {
            name: Gauge(f"dovetail_proof_{name}", meaning, ["source"], registry=self.registry)
            for name, meaning in PROOF.items()
        }
        self.streams = Gauge("dovetail_live_streams", "Streams of live answers that are open", registry=self.registry)
        self._told: dict[tuple[str, Judged], int] = {}
        self.errors = Counter("dovetail_errors", "Answers refused by a fault of ours", registry=self.registry)

    def count_broken(self, source: str, broken: Mapping[Judged, int]) -> None:
        """Brings the counters of a source up to these totals; those of a view that lags change nothing."""
        for judged, total in broken.items():
            told = self._told.get((source, judged), 0)
            if total > told:
                self.broken.labels(source, judged.rule, judged.otherwise).inc(total - told)
                self._told[source, judged] = total

    def count_proof(self, source: str, proved: Proved) -> None:
        """Sets the figures of a source's last recount."""
        figures = (proved.holds, proved.lost, proved.doubled, proved.seq, proved.at)
        for gauge, value in zip(self.proof.values(), figures, strict=True):
            gauge.labels(source).set(value)

    def text(self) -> bytes:
        return generate_latest(self.registry)


class Measured:
    """ASGI middleware that counts requests and times them, by route template."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics
        self._cells: dict[tuple[str, int], Counter] = {}
        self._timers: dict[str, Histogram] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, seconds = time.perf_counter(), 500, 0.0

        async def watched(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.perf_counter() - began  # a stream may last for days
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            self._count(getattr(scope.get("route"), "path", "other"), status, seconds or time.perf_counter() - began)

    def _count(self, route: str, status: int, seconds: float) -> None:
        cell = self._cells.get((route, status // 100))
        if cell is None:
            cell = self._metrics.requests.labels(route, f"{status // 100}xx")
            self._cells[route, status // 100] = cell
            self._timers[route] = self._metrics.latency.labels(route)
        cell.inc()
        self._timers[route].observe(seconds)
        if status >= 500:
            self._metrics.errors.inc()
