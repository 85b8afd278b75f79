"""`dovetail sql` against a stub server: one statement, one from stdin, and the shell."""

from __future__ import annotations

import io
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from dovetail.cli.shell import Names, Offered, history

from .conftest import Run, Said
from .stub_server import RECEIPT, ROWS, StubServer

STATEMENT = "SELECT country, MEASURE(revenue) FROM sales GROUP BY country"
VIEWS = {"views": [{"view": "sales", "standing": "ready"}, {"view": "of 2", "standing": "of 2 is being loaded"}]}
SALES = {
    "keys": {"country": "string", "group": "int"}, "bucket": "1h",
    "measures": {"lines": "bigint", "revenue": "decimal(38,2)", "basket": "double"}, "parts": {"basket": ["p95"]},
    "dimensions": {"products": {"columns": {"vendor": "string"}}},
}  # fmt: skip


Typed = Callable[..., Said]


class Terminal(io.StringIO):
    """A stdin that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def views(server: StubServer) -> StubServer:
    server.paths = {"/v1/views": VIEWS, "/v1/views/sales": SALES}
    return server


@pytest.fixture
def typed(views: StubServer, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Typed]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("sys.stdin", Terminal())
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):

        def type_(text: str, *options: str) -> object:
            pipe.send_text(text)
            return run("sql", *options)

        yield type_


def test_a_statement_is_posted_and_its_answer_shown_above_the_receipt(run: Run, server: StubServer) -> None:
    said = run("sql", STATEMENT)
    assert (said.code, said.err) == (0, "")
    assert server.asked == [("/v1/sql", {"sql": STATEMENT})]
    assert [line.rstrip() for line in said.out.splitlines()][:3] == [
        "country  bucket                lines     revenue",
        "FR       2026-03-01T00:00:00Z  3,918  412,880.15",
        "null     2026-03-01T00:00:00Z      0        null",
    ]
    assert said.out.splitlines()[-1].startswith("batch run 4f0c9d1e below cut ")


def test_a_statement_is_read_from_stdin(run: Run, server: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{STATEMENT};\n"))
    assert run("sql").code == 0
    assert server.asked == [("/v1/sql", {"sql": f"{STATEMENT};\n"})]


def test_the_receipts_of_two_views_are_told_by_name(run: Run, server: StubServer) -> None:
    document = {"rows": ROWS, "receipt": RECEIPT, "receipts": [RECEIPT, RECEIPT | {"view": "returns"}]}
    server.answers = (200, orjson.dumps(document))
    last = run("sql", STATEMENT).out.splitlines()[-2:]
    assert [line.partition(" batch run ")[0] for line in last] == ["sales:", "returns:"]
    assert run("sql", STATEMENT, "--json").document == document


def test_what_is_refused_keeps_its_words(run: Run, server: StubServer) -> None:
    server.refuse(422, detail="CASE cannot be asked (line 1, column 8)", next="MEASURE(name)")
    said = run("sql", "SELECT CASE")
    assert (said.code, said.out) == (2, "")
    assert said.err == "error  CASE cannot be asked (line 1, column 8)\n next  MEASURE(name)\n"


def test_the_shell_asks_statement_after_statement_over_several_lines(typed: Typed, views: StubServer) -> None:
    said = typed("SELECT country\rFROM sales;\r;\rSELECT 2;\r\\q\r")
    assert (said.code, said.err) == (0, "")
    assert [sent["sql"] for path, sent in views.asked if path == "/v1/sql"] == [
        "SELECT country\nFROM sales;",
        "SELECT 2;",
    ]
    assert said.out.count("batch run 4f0c9d1e") == 2


def test_the_shell_goes_on_after_a_refusal_and_ends_with_its_input(typed: Typed, views: StubServer) -> None:
    views.refuse(422, detail="no such thing", next="ask another")
    said = typed("SELECT 1;\r\\x\r\x03\\d nope\r\x04")
    assert said.code == 0
    assert said.err.count("error  no such thing\n next  ask another\n") == 2
    assert "error  unknown command '\\x'" in said.err


def test_the_shell_lists_views_and_what_one_holds(typed: Typed) -> None:
    said = typed("\\d\r\\d sales\r\\?\r\\q\r")
    lines = [line.split() for line in said.out.splitlines()]
    assert ["of", "2", "of", "2", "is", "being", "loaded"] in lines
    assert ['"group"', "int", "key"] in lines
    assert ["products.vendor", "string", "dimension"] in lines
    assert ["MEASURE(basket.p95)", "part", "of", "a", "measure"] in lines
    assert said.out.count(r"\d VIEW its columns") == 2
    document = typed("\\d sales\r\\q\r", "--json").document
    assert document == SALES


def test_without_a_server_the_shell_does_not_begin(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOVETAIL__SERVING__PORT", "1")
    said = typed("")
    assert (said.code, said.out) == (3, "")
    assert said.err.startswith("error  no server answers at http://127.0.0.1:1\n")


def test_what_was_typed_is_kept_for_its_owner_alone(typed: Typed, tmp_path: Path) -> None:
    file = tmp_path / "state" / "dovetail" / "sql_history"
    file.parent.mkdir(parents=True)
    file.touch(0o644)
    typed(f"{STATEMENT};\r\\q\r")
    assert STATEMENT in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_history_that_cannot_be_written_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert isinstance(history(), InMemoryHistory)


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("SEL", ["SELECT"]),
        ("SELECT cou", ["country"]),
        ("SELECT rev", ["MEASURE(revenue)"]),
        ("SELECT MEASURE(rev", ["revenue)"]),
        ("SELECT measure(bas", ["basket)", "basket.p95)"]),
        ("SELECT products.v", ["products.vendor"]),
        ('SELECT "gr', ['"group"']),
        ("SELECT country FROM sa", ["sales"]),
        ("SELECT country FROM sales GROUP BY co", ["country"]),
        ("\\d sa", ["sales"]),
        ("\\", ["\\d", "\\q", "\\?"]),
        ("SELECT ", []),
    ],
)
def test_completion_offers_what_can_be_written_there(views: StubServer, text: str, offered: list[str]) -> None:
    names = Names(f"http://127.0.0.1:{views.server_port}")
    names.look()
    found = Offered(names).get_completions(Document(text), CompleteEvent())
    assert [completion.text for completion in found] == offered
