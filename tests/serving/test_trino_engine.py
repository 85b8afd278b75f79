"""A server whose runs are in Trino says what one says that holds them. A double stands for Trino: see `tests/trino`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from access_stand import PEPPER, REQUIRED, give
from serving_stand import Stand, serving_process
from trino_double import TrinoServer
from two_engines import EXACT, Two, alike, attached, both, records

from dovetail.serving import trino_runs
from dovetail.shared.errors import ServiceMissing, SettingsError, UsageError
from dovetail.shared.grants import Grant
from dovetail.shared.sections import TrinoSettings
from dovetail.shared.settings import load
from dovetail.shared.trino.tables import Tables

TRINO = {"url": "http://127.0.0.1:9", "catalog": "lake"}


@contextmanager
def world(folder: Path, server: TrinoServer, **sections: Any) -> Iterator[Two]:
    """Both servers over a run of each view, and commits above its cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trino_runs, "Trino", server.connect)
        patch.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
        stand = Stand(folder / "data")
        attached(stand, patch)
        stand.commit(records(60, seed=1))
        for view in stand.views:
            stand.batch(view)
        stand.commit(records(20, seed=2))
        with both(folder, stand, TRINO, **sections) as found:
            yield found


@pytest.fixture(scope="module")
def server() -> TrinoServer:
    return TrinoServer()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, server: TrinoServer) -> Iterator[Two]:
    with world(tmp_path_factory.mktemp("two"), server) as found:
        yield found


@pytest.fixture(autouse=True)
def _paged(server: TrinoServer) -> Iterator[None]:
    yield
    server.on_page = lambda _: None


@pytest.mark.long
def test_both_engines_give_the_same_bytes_across_a_cut_and_over_a_batch(two: Two, server: TrinoServer) -> None:
    two.agree()
    two.stand.commit(records(20, seed=3))
    for view in two.stand.views:
        two.stand.batch(view)
    two.stand.commit(records(5, seed=4))
    two.agree()
    assert any("UNION ALL" in sql for sql in server.asked)


def test_an_answer_of_then_a_lookup_a_page_and_a_statement_are_the_same(two: Two) -> None:
    first = two.held.receipt("sales", by="country", measures=EXACT)["id"]
    two.stand.batch("sales")
    two.stand.commit(records(1, seed=9))
    two.settled("sales")
    alike(two.asked("sales", by="country", measures=EXACT, as_of=first, at_least=None))
    page = {"by": "country,product", "measures": EXACT, "limit": 2}
    more = two.held.receipt("sales", **page)["next"]
    alike(two.asked("sales", **page, cursor=more, at_least=None))
    keys = [{"country": c, "product": p} for c, p in (("FR", 1), (None, 2), ("nowhere", 3), ("DE", None))]
    posted("views/sales/lookup", two, {"keys": keys, "measures": EXACT.split(",")})
    posted("sql", two, {"sql": "SELECT country, MEASURE(revenue) AS r FROM sales GROUP BY country ORDER BY r"})


def posted(path: str, two: Two, body: Any) -> None:
    one, other = (c.http.post(f"/v1/{path}", json=body) for c in (two.held, two.trino))
    assert one.status_code == 200
    assert one.json()["rows"] == other.json()["rows"]


@pytest.mark.long
def test_who_sees_less_sees_the_same_of_both(tmp_path: Path) -> None:
    grants = [
        Grant("rows", views=("sales",), rows={"country": ["FR", "DE"], "vendor": ["Min Lin"]}),
        Grant("masks", views=("sales",), columns={"country": "last(1)", "product": "bucket(2)", "revenue": "null"}),
        Grant("same", views=("sales",), rows={"country": ["FR", "DE"]}, columns={"country": "hash"}),
        Grant("floor", views=("sales",), floor=2),
    ]
    questions: list[dict[str, Any]] = [
        {"by": "country"}, {"by": "product", "where__country": "FR,DE"}, {"where__country": "***R", "by": "country"},
        {"by": "product,country", "bucket": "1d", "start": "2026-03-02"}, {"where__product": "2"},
    ]  # fmt: skip
    server = TrinoServer()
    with world(tmp_path, server, access=REQUIRED) as two:
        for grant in grants:
            key = {"authorization": f"Bearer {give(two.stand.layout, grant)}"}
            for client in (two.held, two.trino):
                client.http.headers.update(key)
            two.settled("sales")
            before = len(server.asked)
            for question in questions:
                alike(two.asked("sales", measures=EXACT, **question))
            told = [sql for sql in server.asked[before:] if "***R" in sql]
            assert bool(told) is ("country" not in grant.columns)


def test_what_was_fetched_of_a_manifest_is_not_fetched_again_for_a_commit(two: Two, server: TrinoServer) -> None:
    two.trino.rows("sales", by="country", measures=EXACT)
    before = len(server.asked)
    two.stand.commit(records(5, seed=5))
    alike(two.asked("sales", by="country", measures=EXACT))
    assert len(server.asked) == before


def test_a_question_with_a_time_in_its_answer_is_refused_with_what_may_be_asked(two: Two) -> None:
    answer = two.trino.answered("sales", by="country")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:dovetail:query")
    assert answer.json()["detail"].startswith("measure last of sales cannot be asked here")
    assert answer.json()["next"] == f"measures={EXACT}"


def test_trino_that_ends_in_the_middle_is_told_and_found_again(two: Two, server: TrinoServer) -> None:
    two.settled("sales")
    pages = list[str]()

    def end(statement: str) -> None:
        pages.append(statement)
        if len(pages) > 1:
            raise ServiceMissing("Trino does not answer", where="[trino] url = http://secret:8080")

    server.on_page = end
    answer = two.trino.get("sales", by="country,product", measures="lines")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json() == {
        "type": "urn:dovetail:unavailable", "title": "What answers need is not there now", "status": 503,
        "detail": "Trino does not answer", "next": "ask again, or dovetail status",
    }  # fmt: skip
    server.on_page = lambda _: None
    alike(two.asked("sales", by="country,product", measures="lines"))


@pytest.mark.long
def test_a_query_is_ended_after_the_seconds_that_are_allowed(tmp_path: Path) -> None:
    closed = list[str]()

    class Slow(TrinoServer):
        def pages(self, statement: str) -> Iterator[list[list[Any]]]:
            try:
                while True:
                    time.sleep(0.02)
                    yield []
            finally:
                closed.append(statement)

    with world(tmp_path, Slow(), limits={"seconds": 0.2}) as two:
        answer = two.trino.answered("sales", by="country", measures="lines")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:dovetail:too-much")
    assert "limits.seconds" in answer.json()["detail"]
    assert len(closed) == 1


def test_more_than_a_question_may_need_is_refused(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trino_runs, "MOST_BYTES", 500)
    answer = two.trino.answered("kinds", by="country,big", measures="who")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:dovetail:too-much")


def test_a_table_that_a_sync_took_away_is_registered_again(two: Two, server: TrinoServer) -> None:
    server.forget()
    alike(two.asked("sales", by="product", measures="lines,pieces"))


def test_a_table_that_another_registers_meanwhile_is_no_trouble(two: Two, server: TrinoServer) -> None:
    path, to = two.stand.layout.ledger(two.stand.source), TrinoSettings(catalog="lake")
    one, other = (Tables(to, two.stand.layout.root, server.rows) for _ in range(2))
    one.prepare()
    other.prepare()
    assert one.register("ledger", path)
    assert other.register("ledger", path)
    assert server.registered[one.name("ledger", path)] == str(path)


@pytest.mark.long
def test_a_run_of_which_trino_sees_another_number_of_rows_gives_no_answer(tmp_path: Path) -> None:
    with world(tmp_path, TrinoServer()) as two:
        two.settled("sales")
        two.stand.batch("sales", full=True, rows_off=1)
        two.trino.until(lambda: "the manifest says" in two.trino.get("sales", measures="lines").text)
        assert two.trino.get("sales", measures="lines").status_code == 503


def test_of_a_sum_beyond_its_type_both_say_the_same(two: Two, server: TrinoServer) -> None:
    def beyond(_: str) -> None:
        raise UsageError("Trino refuses a statement: NUMERIC_VALUE_OUT_OF_RANGE")

    server.on_page = beyond
    answer = two.trino.answered("sales", measures="revenue", by="product")
    assert (answer.status_code, answer.json()["detail"].split(":")[0]) == (
        422, "a sum in this answer is too large for its type",
    )  # fmt: skip


@pytest.mark.long
def test_no_server_begins_without_its_trino(tmp_path: Path) -> None:
    (tmp_path / "dovetail.toml").write_text('[serving]\nengine = "trino"\n')
    with pytest.raises(SettingsError, match=r"trino\.url is not set"):
        load(tmp_path)
    with serving_process(tmp_path, serving={"engine": "trino"}, trino=TRINO) as (process, address):
        _, said = process.communicate(timeout=30)
    assert address == ""
    assert "ServiceMissing: Trino does not answer" in said
    assert '[serving] engine = "duckdb"' in said
