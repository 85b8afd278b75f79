"""What Prometheus sees. Labels take only what is there: routes, status classes, views, rules, partitions; and words
of fixed sets. Never a key, a path, a value of a question or a position: the number of series is bounded by the project.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dovetail.serving.depth import Depth
from dovetail.serving.edition import Edition
from dovetail.serving.problems import REQUEST_ID, Kind, request_id
from dovetail.serving.tail import Account
from dovetail.shared.ledger import Judged
from dovetail.shared.proofs import Proved

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
VISIBLE = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0)
"""Seconds: micro-batches take parts of one, a layer that was down for a night makes up for hours."""

Part = Literal["wait", "lookup", "render"]
"""What the time of a question goes to: waiting for what it asks for, the database, putting the answer together."""
Reason = Literal["unreadable", "rule"]
"""Why records are in quarantine: they could not be decoded, or broke a rule that says so."""

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
        self.lag = Gauge(
            "dovetail_view_partition_behind_records",
            "The same of one partition: its consumer lag",
            ["view", "partition"],
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
        self.errors = Counter("dovetail_errors", "Answers refused by a fault of ours", registry=self.registry)
        self.cut_age = Gauge(
            "dovetail_view_cut_age_seconds",
            "Since the ledger's row of the cut was appended: no run holds anything newer",
            ["view"],
            registry=self.registry,
        )
        self.visible = Histogram(
            "dovetail_view_visible_seconds",
            "From the newest Kafka timestamp of a commit until answers show it",
            ["view"],
            buckets=VISIBLE,
            registry=self.registry,
        )
        self.above = {
            "commits": Gauge("dovetail_view_speed_commits", "Commits above the cut", ["view"], registry=self.registry),
            "state_rows": Gauge(
                "dovetail_view_speed_state_rows", "State rows of those commits", ["view"], registry=self.registry
            ),
        }
        self.parts = Histogram(
            "dovetail_query_part_seconds",
            "What the time of a question goes to; an answer at hand has no lookup",
            ["part"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.consumed = Counter(
            "dovetail_source_records", "Records consumed, in all of the ledger", ["source"], registry=self.registry
        )
        self.quarantined = Counter(
            "dovetail_source_quarantined",
            "Records put in quarantine, in all of the ledger",
            ["source", "reason"],
            registry=self.registry,
        )
        self.repeats = Counter(
            "dovetail_source_repeats",
            "Records that came again and count once, in all of the ledger",
            ["source"],
            registry=self.registry,
        )
        self.refused = Counter("dovetail_refused", "Requests answered by a problem", ["kind"], registry=self.registry)
        self.part: Mapping[Part, Histogram] = {part: self.parts.labels(part) for part in get_args(Part)}
        for kind in get_args(Kind):  # there from the start, so that the first one is an increase
            self.refused.labels(kind)
        self._told: dict[tuple[Counter, tuple[str, ...]], int] = {}
        self._seqs: dict[str, int] = {}

    def published(self, edition: Edition) -> None:
        """Tells of an edition from which answers are given from now on."""
        view, source, depth = edition.shape.view, edition.shape.source, edition.depth
        before = self._seqs.get(view, edition.seq)
        self._seqs[view] = edition.seq
        self.commits.labels(view).inc(max(edition.seq - before, 0))
        self._above(view, depth, before)
        self._account(source, edition.account, edition.broken)
        self.seq.labels(view).set(edition.seq)

    def count_refused(self, kind: Kind) -> None:
        self.refused.labels(kind).inc()

    def count_proof(self, source: str, proved: Proved) -> None:
        """Sets the figures of a source's last recount."""
        figures = (proved.holds, proved.lost, proved.doubled, proved.seq, proved.at)
        for gauge, value in zip(self.proof.values(), figures, strict=True):
            gauge.labels(source).set(value)

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def _above(self, view: str, depth: Depth, before: int) -> None:
        """`before` is the seq told last: a new cut or a dimension read anew publishes the same commits again."""
        self.cut_age.labels(view).set_function(lambda: max(time.time() - depth.cut_at, 0.0))
        for name, gauge in self.above.items():
            gauge.labels(view).set(getattr(depth, name))
        visible, now = self.visible.labels(view), time.time()
        for seq, newest in depth.newest:
            if seq > before:
                visible.observe(max(now - newest / 1000, 0.0))  # a producer's clock may be ahead

    def _account(self, source: str, account: Account, broken: Mapping[Judged, int]) -> None:
        for judged, total in broken.items():
            self._bring(self.broken, (source, *judged), total)
        by_rule = sum(total for judged, total in broken.items() if judged.otherwise == "quarantine")
        reasons: dict[Reason, int] = {"rule": by_rule, "unreadable": account.quarantined - by_rule}
        for reason, total in reasons.items():
            self._bring(self.quarantined, (source, reason), total)
        self._bring(self.consumed, (source,), account.consumed)
        self._bring(self.repeats, (source,), account.repeats)

    def _bring(self, counter: Counter, labels: tuple[str, ...], total: int) -> None:
        """Brings a counter up to a total of a ledger; a smaller one, of a view that lags, changes nothing."""
        told = self._told.get((counter, labels), 0)
        counter.labels(*labels).inc(max(total - told, 0))
        self._told[counter, labels] = max(total, told)


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
                if status >= 400:
                    MutableHeaders(scope=message)[REQUEST_ID] = request_id(scope)
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
