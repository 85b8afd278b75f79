"""A double of shared.trino.client.Trino: the statements of a server of runs, answered by DuckDB from the Delta tables.

What is only Trino's is here by its name: where a table lies, `from_unixtime`, values as its protocol writes them.
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
from deltalake import DeltaTable

from dovetail.shared.errors import UsageError
from dovetail.shared.sections import TrinoSettings

PLACE = re.compile(r"register_table\(schema_name => '(\w+)', table_name => '(\w+)', table_location => 'local://(.*)'\)")


class TrinoServer:
    """What all connections of a test ask. `on_page` is called with each statement before a page of it is given."""

    def __init__(self) -> None:
        self.asked, self.registered = list[str](), dict[str, str]()
        self.on_page: Callable[[str], None] = lambda _: None
        self._lock = threading.Lock()
        self._duckdb = duckdb.connect(":memory:")
        for statement in ("SET TimeZone = 'UTC'", "ATTACH ':memory:' AS lake", "CREATE SCHEMA lake.dovetail_tables",
                          "CREATE MACRO from_unixtime(s) AS to_timestamp(s)"):  # fmt: skip
            self._duckdb.execute(statement)

    def connect(self, settings: TrinoSettings) -> TrinoServer:
        return self

    def rows(self, statement: str) -> list[list[Any]]:
        with self._lock:
            if found := PLACE.search(statement):
                _, name, place = found.groups()
                if name in self.registered:
                    raise UsageError("Trino refuses a statement: TABLE_ALREADY_EXISTS")
                self._duckdb.register("incoming", DeltaTable(place).to_pyarrow_table())
                self._duckdb.execute(f"CREATE TABLE lake.dovetail_tables.{name} AS FROM incoming")
                self.registered[name] = place
                return []
            if "information_schema" in statement:
                return [[name] for name in self.registered]
            if statement.startswith(("CALL", "CREATE")):
                return []
            return [list(row) for row in self._duckdb.execute(statement).fetchall()]

    def forget(self) -> None:
        """Takes every table out of it."""
        for name in [*self.registered]:
            self._duckdb.execute(f"DROP TABLE lake.dovetail_tables.{name}")
            del self.registered[name]

    def pages(self, statement: str) -> Iterator[list[list[Any]]]:
        self.asked.append(statement)
        self.on_page(statement)
        yield []
        try:
            rows = self.rows(statement)
        except duckdb.CatalogException:
            raise UsageError("Trino refuses a statement: TABLE_NOT_FOUND") from None
        for first in range(0, len(rows), 7):
            yield [[_written(value) for value in row] for row in rows[first : first + 7]]
            self.on_page(statement)


def _written(value: Any) -> Any:
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case Decimal():
            return f"{value:f}"
        case date():
            return value.isoformat()
        case dict():
            return [_written(v) for v in value.values()]
        case list():
            return [_written(v) for v in value]
        case float() if value != value or value in (float("inf"), float("-inf")):
            return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    return value
