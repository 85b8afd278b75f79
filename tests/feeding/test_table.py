"""A table of a real PostgreSQL: each change of a row once, none that commits late passed over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from feed_stand import MemoryLog, fed, killed_everywhere
from postgres import Postgres, binaries, postgres

import dovetail as dv
from dovetail.feeding import table
from dovetail.feeding.table import TableReader
from dovetail.shared.errors import Mend, ServiceMissing

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(binaries() is None, reason="could: PostgreSQL's server is not installed"),
]
orders = dv.source("orders", schema="id bigint, city string, price decimal(10,2), updated_at timestamp")
MADE = """
drop table if exists orders;
create table orders (
    id bigint, city text, price numeric(20,2), updated_at timestamptz not null default now(), primary key (id, city)
);
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as found:
        yield found


@pytest.fixture
def db(server: Postgres) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url(server), autocommit=True) as found:
        found.execute(MADE)
        yield found


def url(server: Postgres, user: str = "tester") -> str:
    return f"postgresql://{user}:secret@127.0.0.1:{server.port}/postgres"


def feed(**more: Any) -> Any:
    given = {"table": "public.orders", "key": ["id", "city"], "changed": "updated_at", "lag": "0s", **more}
    return dv.feed.table("orders_db", source=orders, url="env:DATABASE", **given)


def run(log: MemoryLog, server: Postgres, given: Any = None, user: str = "tester", **more: Any) -> int:
    given = given or feed()
    return fed(log, given, TableReader(given, url(server, user)), **more).records


def test_each_change_is_fed_once_with_all_its_digits(server: Postgres, db: psycopg.Connection[Any]) -> None:
    log = MemoryLog()
    db.execute("insert into orders values (1, 'Lyon', 12345678901234567.80), (2, 'Köln', null)")
    assert [run(log, server), run(log, server)] == [2, 0]
    db.execute("update orders set price = 3, updated_at = now() where id = 2")
    db.execute("insert into orders values (3, 'Bern', 1)")
    assert [run(log, server), run(log, server)] == [2, 0]
    assert [(v["id"], v["city"]) for v in log.values] == [(1, "Lyon"), (2, "Köln"), (2, "Köln"), (3, "Bern")]
    assert b'"price":12345678901234567.80,' in log.rows[0].value
    assert log.rows[1].key == '["2","Köln"]'.encode()
    assert log.values[0]["updated_at"].endswith("+00:00")


def test_a_kill_at_any_part_loses_and_doubles_nothing_also_of_one_moment(
    server: Postgres, db: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "ROWS", 3)
    db.execute("insert into orders select n, 'x', n from generate_series(1, 10) n")  # all of one now()
    found = killed_everywhere(MemoryLog, lambda log: run(log, server))
    assert len({*found[0]}) == 10
    assert all(rows == found[0] for rows in found)


def test_rows_of_one_key_and_moment_are_not_parted(
    server: Postgres, db: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "ROWS", 2)
    db.execute("insert into orders select n, 'x', n from generate_series(1, 5) n")
    log = MemoryLog()
    assert run(log, server, feed(key="city")) == 5, "a key that names several rows costs a larger part, and no row"


def test_what_commits_late_is_not_passed_over(server: Postgres, db: psycopg.Connection[Any]) -> None:
    log = MemoryLog()
    with psycopg.connect(url(server)) as late:
        late.execute("select now()")  # the moment that its rows will be dated with
        db.execute("insert into orders values (2, 'later', 0)")
        late.execute("insert into orders values (1, 'earlier', 0)")
        assert run(log, server) == 0, "nothing from the moment on at which a transaction began that is not over"
        late.commit()
    assert run(log, server) == 2
    assert [v["city"] for v in log.values] == ["earlier", "later"]


def test_rows_wait_for_the_lag(server: Postgres, db: psycopg.Connection[Any]) -> None:
    db.execute("insert into orders values (1, 'now', 0), (2, 'then', 0, now() - interval '2 hours')".replace(
        "(1, 'now', 0)", "(1, 'now', 0, now())"))  # fmt: skip
    log = MemoryLog()
    assert run(log, server, feed(lag="1h")) == 1
    assert log.values[0]["city"] == "then"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("alter table orders drop price", "column price is gone"),
        ("alter table orders alter price type text", r"column price is text: it was numeric\(20,2\)"),
        ("alter table orders rename price to cost", "column price is gone"),
    ],
)
def test_a_table_of_another_shape_stops_the_feed(
    server: Postgres, db: psycopg.Connection[Any], change: str, says: str
) -> None:
    log = MemoryLog()
    db.execute("insert into orders values (1, 'a', 0)")
    run(log, server)
    db.execute(change)
    db.execute("insert into orders (id, city) values (2, 'b')")
    with pytest.raises(Mend, match=says):
        run(log, server)
    assert len(log.rows) == 1
    assert run(log, server, new_shape=True) == 1


@pytest.mark.parametrize(
    ("change", "given", "says"),
    [
        ("select 1", {"table": "nope"}, "table nope cannot be read"),
        ("alter table orders rename id to nr", {}, "unknown column 'id'"),
        ("select 1", {"changed": "updated"}, "unknown column 'updated': did you mean 'updated_at'"),
        ("select 1", {"changed": "price"}, r"column price is numeric\(20,2\): it has to be timestamptz"),
        ("alter table orders alter updated_at type timestamp", {}, "it has to be timestamptz"),
        ("alter table orders alter updated_at drop not null; insert into orders values (1, 'a', 0, null)", {},
         "a row has null in updated_at: it would be passed over"),
    ],
)  # fmt: skip
def test_a_table_whose_rows_could_be_passed_over_is_refused(
    server: Postgres, db: psycopg.Connection[Any], change: str, given: dict[str, Any], says: str
) -> None:
    db.execute("alter database postgres set timezone to 'Europe/Berlin'")
    db.execute(change)
    with pytest.raises(Mend, match=says):
        run(MemoryLog(), server, feed(**given))


def test_a_user_who_cannot_see_what_is_not_over_is_refused(server: Postgres, db: psycopg.Connection[Any]) -> None:
    db.execute("drop owned by feeder; drop role feeder" if _has(db, "feeder") else "select 1")
    db.execute("create role feeder login password 'secret'; grant select on orders to feeder")
    with pytest.raises(Mend, match="may not see which transactions are not over") as refused:
        run(MemoryLog(), server, user="feeder")
    db.execute(refused.value.next.replace("that user", "feeder"))
    db.execute("insert into orders values (1, 'a', 0)")
    assert run(MemoryLog(), server, user="feeder") == 1


def test_a_server_that_is_not_there_is_a_missing_service() -> None:
    with pytest.raises(ServiceMissing, match="PostgreSQL does not answer"):
        TableReader(feed(), "postgresql://127.0.0.1:1/x")


def _has(db: psycopg.Connection[Any], role: str) -> bool:
    return db.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone() is not None
