"""Reads the rows of a PostgreSQL table in the order in which they changed, up to where none can appear any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from dovetail.feeding.parts import ROWS, Marks, Part, Row
from dovetail.feeding.values import key
from dovetail.shared.errors import Mend, ServiceMissing, unknown
from dovetail.shared.feed import Table

MARK = "row"
UTC = ("UTC", "Etc/UTC", "GMT", "Etc/GMT")
COLUMNS = sql.SQL("""
    select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute
    where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum
""")
MAY = sql.SQL("""
    select pg_is_in_recovery(), pg_has_role(current_user, 'pg_read_all_stats', 'usage'), current_setting('TimeZone')
""")
SAFE = sql.SQL("""
    select least(clock_timestamp(), min(xact_start)) - make_interval(secs => %s),
           case when min(xact_start) < clock_timestamp() - interval '1 minute' then min(xact_start) end,
           (select count(*) from pg_prepared_xacts where database = current_database())
    from pg_stat_activity
    where pid <> pg_backend_pid() and datname = current_database()
      and backend_type not in ('autovacuum worker', 'walsender')
""")
"""A transaction that is not over has begun after this moment, and what it sets to now() is that or later."""
PAGE = sql.SQL("""
    select row_to_json(r)::text, r.{changed}::text, {texts} from {table} r
    where r.{changed} < %s::{type} {after} order by {order} fetch first {most} rows with ties
""")
"""`with ties`, so that no two rows of one moment and key are parted, whatever `key` promises."""


class TableReader:
    """Its mark is the last row that was fed: when it changed, and its key, as PostgreSQL writes them."""

    settle = 0.0

    def __init__(self, feed: Table, url: str, waiting: Callable[[str], None] = lambda _: None) -> None:
        self._feed, self._waiting, self._where = feed, waiting, f"feed {feed.name}"
        with self._asked():
            self._server: psycopg.Connection[Any] = psycopg.connect(
                url, autocommit=True, connect_timeout=10, application_name="dovetail feed", options="-c datestyle=ISO"
            )
            standby, sees, self._zone = self._row_of(MAY)
            self._server.execute("set timezone to 'UTC'")
        if standby or not sees:
            self.close()
        if standby:
            raise Mend("this is a standby: what its primary has not committed cannot be seen here", where=self._where)
        if not sees:
            raise Mend(
                "the user may not see which transactions are not over", where=self._where,
                why="their rows are dated before they appear, and would be passed over",
                next="GRANT pg_read_all_stats TO that user",
            )  # fmt: skip

    def parts(self, marks: Marks) -> Iterator[Part]:
        """Raises Mend for a table of which a row could be passed over."""
        with self._asked():
            types, safe = self._types(), self._safe()
            while safe is not None:
                query, given = self._page(types, safe, marks.get(MARK))
                found = self._server.execute(query, given).fetchall()
                if not found:
                    return
                if self._types() != types:  # changed since: another look says how
                    return
                _, changed, *keys = found[-1]
                rows = [self._row(document, texts) for document, _, *texts in found]
                shape = {name: [kind] for name, kind in types.items()}
                yield Part(self._feed.table, rows, {MARK: {"changed": changed, "key": keys}}, shape)
                if len(found) < ROWS:
                    return

    def close(self) -> None:
        self._server.close()

    def _row(self, document: str, keys: list[str]) -> Row:
        return Row(document.encode(), f"{self._feed.table}:{','.join(keys)}", key(keys[0] if len(keys) == 1 else keys))

    def _page(self, types: dict[str, str], safe: Any, after: Any) -> tuple[sql.Composed, list[Any]]:
        order = (self._feed.changed, *self._feed.key)
        names, beyond, given = _listed(sql.SQL("r.{}"), order), sql.SQL(""), [safe]
        if after:
            casts = sql.SQL(", ").join(sql.SQL("%s::") + _type(types[name]) for name in order)
            beyond = sql.SQL("and ({}) > ({})").format(names, casts)  # type: ignore[assignment]
            given += [after["changed"], *after["key"]]
        query = PAGE.format(
            changed=sql.Identifier(self._feed.changed), type=_type(types[self._feed.changed]), order=names,
            texts=_listed(sql.SQL("r.{}::text"), self._feed.key), table=self._table, after=beyond,
            most=sql.Literal(ROWS),
        )  # fmt: skip
        return query, given

    @property
    def _table(self) -> sql.Identifier:
        return sql.Identifier(*self._feed.table.split("."))

    def _safe(self) -> Any:
        """The moment below which no row can appear any more; None while that is not known."""
        safe, oldest, prepared = self._row_of(SAFE, self._feed.lag_seconds)
        if prepared:
            self._waiting(f"{self._feed.name} waits for a prepared transaction")
            return None
        if oldest:
            self._waiting(f"{self._feed.name} waits for a transaction that began at {oldest:%Y-%m-%d %H:%M:%S} UTC")
        return safe

    def _types(self) -> dict[str, str]:
        """The table's columns with their types; raises Mend where they do not tell what has changed."""
        feed = self._feed
        found = self._server.execute(COLUMNS, [self._table.as_string()]).fetchall()
        types = {name: kind for name, kind, _ in found}
        for name in (*feed.key, feed.changed):
            if name not in types:
                raise Mend(unknown("column", name, types), where=f"{self._where}, table {feed.table}")
        kind = types[feed.changed]
        if not (kind.endswith("with time zone") or (kind.startswith("timestamp") and self._zone in UTC)):
            raise Mend(
                f"column {feed.changed} is {kind}: it has to be timestamptz",
                where=f"{self._where}, table {feed.table}",
                why=f"the time zone of the database is {self._zone}" if kind.startswith("timestamp") else "",
            )  # fmt: skip
        self._refuse_nulls([name for name, _, never in found if not never and name in (*feed.key, feed.changed)])
        return types

    def _refuse_nulls(self, nullable: list[str]) -> None:
        if not nullable:
            return
        tests = sql.SQL(" or ").join(sql.SQL("{} is null").format(sql.Identifier(name)) for name in nullable)
        if self._server.execute(sql.SQL("select 1 from {} where {} limit 1").format(self._table, tests)).fetchone():
            raise Mend(
                f"a row has null in {' or '.join(nullable)}: it would be passed over",
                where=f"{self._where}, table {self._feed.table}", next="mend it, and SET NOT NULL",
            )  # fmt: skip

    def _row_of(self, query: sql.SQL, *given: object) -> tuple[Any, ...]:
        found: tuple[Any, ...] | None = self._server.execute(query, given).fetchone()
        return found or ()

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except psycopg.OperationalError as error:
            raise ServiceMissing("PostgreSQL does not answer", where=self._where, why=_first(error)) from None
        except psycopg.Error as error:
            what = f"table {self._feed.table} cannot be read"
            raise Mend(what, where=self._where, why=_first(error)) from None


def _listed(form: sql.SQL, names: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(form.format(sql.Identifier(name)) for name in names)


def _type(name: str) -> sql.Composable:
    return sql.SQL(name)  # as format_type wrote it


def _first(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
