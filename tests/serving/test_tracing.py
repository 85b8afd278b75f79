"""Traces: a span a request with its parts below it, sent as OTLP, and nothing in them of what was asked."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from receiver import Receiver, receiver
from serving_stand import Stand, ViewSpec, event, serve

from dovetail.serving import tracing
from dovetail.shared.errors import SettingsError
from dovetail.shared.logs import JsonLines

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CARRIED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
CANARY = "canary5f1e"
SERVER, ERROR = 2, 2


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiver() as kept:
        yield kept


@pytest.fixture
def sales(stand: Stand) -> ViewSpec:
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event(), event(country="DE", product=2)])
    return spec


def spans(collector: Receiver) -> list[Any]:
    """Every span that came, in the order they began."""
    found = []
    for path, body in collector.posted:
        assert path == "/v1/traces"
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            found += [span for scope in resource.scope_spans for span in scope.spans]
    return sorted(found, key=lambda s: s.start_time_unix_nano)


def attributes(span: Any) -> dict[str, Any]:
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


def traced(tmp_path: Path, stand: Stand, collector: Receiver) -> Any:
    return serve(tmp_path, stand, telemetry={"traces": collector.address})


def test_a_question_is_a_span_on_the_trace_it_came_with_and_its_parts_are_below_it(
    tmp_path: Path, stand: Stand, sales: ViewSpec, collector: Receiver
) -> None:
    with traced(tmp_path, stand, collector) as serving:
        serving.rows("sales")
        url = f"/v1/views/sales/query?by=country&at_least={stand.seq}"
        assert serving.http.get(url, headers=CARRIED).status_code == 200
    found = [s for s in spans(collector) if s.trace_id.hex() == TRACE]
    request, *parts = found
    assert (request.name, request.kind) == ("GET /v1/views/{view}/query", SERVER)
    assert request.parent_span_id.hex() == PARENT
    assert attributes(request) == {
        "http.request.method": "GET", "http.route": "/v1/views/{view}/query", "http.response.status_code": 200,
    }  # fmt: skip
    assert [p.name for p in parts] == ["plan", "wait", "lookup", "render"]
    assert {p.parent_span_id for p in parts} == {request.span_id}
    assert [attributes(p) for p in parts] == [
        {"dovetail.view": "sales"},
        {"dovetail.view": "sales"},
        {"dovetail.view": "sales", "dovetail.seq": stand.seq},
        {"dovetail.view": "sales", "dovetail.seq": stand.seq},
    ]


def test_a_request_without_a_trace_begins_one_and_one_that_is_not_sampled_sends_nothing(
    tmp_path: Path, stand: Stand, collector: Receiver
) -> None:
    with traced(tmp_path, stand, collector) as serving:
        serving.http.get("/health")
        serving.http.get("/health", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
        serving.http.get("/health", headers={"traceparent": "nonsense"})
    found = [s for s in spans(collector) if s.name == "GET /health"]
    assert len(found) == 2
    assert {s.parent_span_id for s in found} == {b""}


def test_nothing_of_what_was_asked_is_in_a_span(
    tmp_path: Path, stand: Stand, sales: ViewSpec, collector: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with traced(tmp_path, stand, collector) as serving:
        serving.rows("sales", where__country=CANARY)
        serving.get(CANARY)
        serving.http.get(f"/{CANARY}", headers={"user-agent": CANARY, "authorization": CANARY})
        serving.get("sales", measures=CANARY)
        serving.http.post("/v1/views/sales/query", json={"where": {"country": CANARY}})
        serving.http.request("PROPFIND", "/health")
        monkeypatch.setattr("dovetail.serving.view.groups", lambda *_, **__: {}[CANARY])
        serving.http.get("/v1/views/sales/query?by=product", headers={"connection": "close"})
    found = spans(collector)
    failed = [s.name for s in found if s.status.code == ERROR]
    assert failed[-3:] == ["plan", "GET /v1/views/{view}/query", "lookup"]
    assert not any(s.events or s.status.message for s in found)
    assert {s.name for s in found} >= {"GET", "HTTP /health", "POST /v1/views/{view}/query"}
    for _, body in collector.posted:
        assert CANARY not in body.decode("latin-1").lower()


def test_what_is_logged_of_a_crash_has_its_trace(
    tmp_path: Path, stand: Stand, sales: ViewSpec, collector: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = list[str]()

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(JsonLines().format(record))

    with traced(tmp_path, stand, collector) as serving:
        serving.rows("sales")
        monkeypatch.setattr("dovetail.serving.view.groups", lambda *_, **__: 1 / 0)
        log, kept = logging.getLogger("dovetail.serving.problems"), Kept()
        log.addHandler(kept)
        serving.http.get("/v1/views/sales/query?by=country", headers={**CARRIED, "connection": "close"})
        log.removeHandler(kept)
    assert [json.loads(line)["trace"] for line in lines] == [TRACE]


@pytest.mark.long
def test_a_collector_that_does_not_answer_holds_nothing_up(tmp_path: Path, stand: Stand, sales: ViewSpec) -> None:
    with receiver(silent=True) as silent:
        with traced(tmp_path, stand, silent) as serving:
            began = time.monotonic()
            serving.rows("sales")
            assert time.monotonic() - began < 4
            began = time.monotonic()
        assert time.monotonic() - began < tracing.GIVE_UP + 10
        assert silent.posted


def test_without_an_address_there_are_no_spans_and_nothing_is_loaded_for_them() -> None:
    code = (
        "import sys, dovetail.serving.app; from dovetail.serving.tracing import start; "
        "print(start('').tracer, 'opentelemetry.sdk' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "None False"


def test_libraries_that_are_not_there_are_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    with pytest.raises(SettingsError) as told:
        tracing.start("http://127.0.0.1:4318")
    assert (told.value.where, told.value.next) == ("telemetry.traces", "pip install 'dovetail[otel]'")


@pytest.mark.parametrize(
    ("address", "path"), [("", "/v1/traces"), ("/", "/v1/traces"), ("/otlp/v1/traces", "/otlp/v1/traces")]
)
def test_the_path_is_that_of_otlp_where_none_is_given(collector: Receiver, address: str, path: str) -> None:
    found = tracing.start(collector.address + address)
    assert found.tracer is not None
    found.tracer.start_span("one").end()
    found.stop()
    assert [p for p, _ in collector.posted] == [path]
