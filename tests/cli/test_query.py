"""`dovetail query` against a stub server: what it asks, how it shows the answer, and what each refusal becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from dovetail.cli.ask import receipt_line

from .conftest import Run
from .stub_server import RECEIPT, ROWS, StubServer


def test_every_option_is_asked_in_the_words_of_the_http_interface(run: Run, server: StubServer) -> None:
    options = "--by country,status --measures lines --start 2026-03-01 --end 2026-03-02 --bucket 1d --tz Europe/Paris"
    options += " --window 7d --fill zero --layer batch"
    wheres = "--where country=FR,DE --where status=Shipped --where country=US --where status.null=true"
    assert run("query", "sales", *options.split(), *wheres.split(), "--order-by", "-lines", "--limit", "10",
               "--at-least", "2@3141").code == 0  # fmt: skip
    assert server.asked == [
        (
            "/v1/views/sales/query",
            {
                "by": "country,status", "measures": "lines", "start": "2026-03-01", "end": "2026-03-02", "bucket": "1d",
                "tz": "Europe/Paris", "order_by": "-lines", "limit": "10", "at_least": "2@3141", "window": "7d",
                "fill": "zero", "layer": "batch",
                "where.country": "FR,DE,US", "where.status": "Shipped", "where.status.null": "true",
            },
        )
    ]  # fmt: skip


def test_what_is_not_asked_is_not_sent(run: Run, server: StubServer) -> None:
    run("query", "sales")
    assert server.asked == [("/v1/views/sales/query", {})]


def test_figures_end_on_one_line_above_the_receipt_in_words(run: Run, server: StubServer) -> None:
    said = run("query", "sales", "--by", "country", "--bucket", "1d")
    assert (said.code, said.err) == (0, "")
    assert [line.rstrip() for line in said.out.splitlines()] == [
        "country  bucket                lines     revenue",
        "FR       2026-03-01T00:00:00Z  3,918  412,880.15",
        "null     2026-03-01T00:00:00Z      0        null",
        "1000     2026-03-02T00:00:00Z     12   -1,204.40",
        "batch run 4f0c9d1e below cut 900·905·871·880, speed above it (up to seq 37); 0.4 s behind,"
        " 1,100 quarantined; receipt s1.37.9c2f",
    ]


def test_what_is_of_one_layer_says_so_first() -> None:
    assert receipt_line({**RECEIPT, "layer": "speed"}).startswith("OF SPEED ALONE: batch run 4f0c9d1e below cut ")


def test_json_is_the_answer_as_it_came(run: Run, server: StubServer) -> None:
    assert run("query", "sales", "--json").document == {"rows": ROWS, "receipt": RECEIPT}


def test_no_rows_are_said_with_the_receipt(run: Run, server: StubServer) -> None:
    server.answers = (200, orjson.dumps({"rows": [], "receipt": RECEIPT}))
    assert run("query", "sales").out.startswith("no rows\nbatch run 4f0c9d1e below cut ")


def test_rows_that_the_limit_cut_off_are_told_of(run: Run, server: StubServer) -> None:
    server.answers = (200, orjson.dumps({"rows": ROWS, "receipt": RECEIPT | {"more": True}}))
    assert "there are more rows than these 3: --limit shows them\n" in run("query", "sales").out


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            {"runs": ["origin"], "behind": {"records": 0, "seconds": 0.0}, "quarantined": 0},
            "all from speed (up to seq 37); nothing behind; receipt s1.37.9c2f",
        ),
        (
            {"runs": ["origin", "a", "b"], "behind": {"records": None, "seconds": None}, "quarantined": 0,
             "approximate": ["orders"]},
            "2 batch runs below cut 900·905·871·880, speed above it (up to seq 37);"
            " how far behind is not known, approximate; receipt s1.37.9c2f",
        ),
        (
            {"quarantined": 0, "failed": 2},
            "batch run 4f0c9d1e below cut 900·905·871·880, speed above it (up to seq 37); 0.4 s behind,"
            " 2 records that the view raises for; receipt s1.37.9c2f",
        ),
        (
            {"gaps": [{"seq": 3}], "complete": False, "quarantined": 0},
            "batch run 4f0c9d1e below cut 900·905·871·880, speed above it (up to seq 37); 0.4 s behind,"
            " 1 gap passed as lost, not complete; receipt s1.37.9c2f",
        ),
    ],
)  # fmt: skip
def test_a_receipt_says_what_an_answer_is_made_of(change: dict[str, Any], line: str) -> None:
    assert receipt_line(RECEIPT | change) == line


@pytest.mark.parametrize(
    ("status", "detail", "next_", "code"),
    [
        (404, "unknown view 'salse': did you mean 'sales'? Known: sales", "GET /v1/views", 2),
        (422, "unknown measure 'revenu': did you mean 'revenue'? Known: lines, revenue", "", 2),
        (422, "unknown key 'contry': did you mean 'country'? Known: country", "", 2),
        (422, "unknown time zone 'Europe/Pari': did you mean 'Europe/Paris'?", "tz=Europe/Paris", 2),
        (400, "the body is not JSON", "", 2),
        (410, "the receipt's rows were pruned", "ask again", 1),
        (500, "an error of Dovetail itself", "dovetail doctor", 1),
        (503, "sales has not reached 2@3141", "ask again, or dovetail status", 1),
    ],
)
def test_a_refusal_keeps_its_words_and_gets_its_exit_code(
    run: Run, server: StubServer, status: int, detail: str, next_: str, code: int
) -> None:
    server.refuse(status, detail=detail, next=next_)
    said = run("query", "sales")
    assert (said.code, said.out) == (code, "")
    assert said.err == f"error  {detail}\n" + (f" next  {next_}\n" if next_ else "")


@pytest.mark.parametrize(("status", "kind"), [(422, "QueryError"), (503, "NotYet"), (500, "DovetailError")])
def test_a_refusal_is_one_document_with_json(run: Run, server: StubServer, status: int, kind: str) -> None:
    server.refuse(status, detail="no such thing", next="ask another")
    said = run("query", "sales", "--json")
    assert said.out == ""
    assert orjson.loads(said.err) == {"error": {"what": "no such thing", "next": "ask another"}, "kind": kind}


def test_without_a_server_the_next_command_starts_one(run: Run, project: Path) -> None:
    (project / "dovetail.toml").write_text("[serving]\nport = 1\n")
    said = run("query", "sales")
    assert (said.code, said.out) == (3, "")
    first, *_, last = said.err.splitlines()
    assert first == "error  no server answers at http://127.0.0.1:1"
    assert last == " next  dovetail serve (or dovetail dev)"


@pytest.mark.parametrize("answer", [(200, b"<html>"), (200, b"[]"), (404, b'{"detail":"Not Found"}'), (200, b"{}")])
def test_another_server_on_that_port_is_recognised(run: Run, server: StubServer, answer: tuple[int, bytes]) -> None:
    server.answers = answer
    said = run("query", "sales")
    assert said.code == 1
    assert said.err.startswith(f"error  what answers at http://127.0.0.1:{server.server_port} is not Dovetail: HTTP ")


def test_a_proxy_of_the_environment_is_not_asked(run: Run, server: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert run("query", "sales").code == 0
