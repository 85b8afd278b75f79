"""Statements: the rows are those that DuckDB finds with the same SQL over the records."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from serving_stand import ViewSpec
from sql_stand import POOLS, Generated, Views, records, statements


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Views]:
    views = Views(tmp_path_factory.mktemp("sql") / "data", [ViewSpec("typed", keys=tuple(POOLS))], records(300))
    yield views
    views.close()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(statements([*POOLS]))
def test_rows_are_those_that_duckdb_finds_with_the_same_sql(views: Views, found: Generated) -> None:
    assert views.rows(found.asked) == views.expected(found.told, found.tz), found
