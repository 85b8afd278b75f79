"""Two views in one statement: each is grouped on its own at the same seq, and the groups are joined as SQL joins."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from serving_stand import Stand, ViewSpec, event
from sql_stand import Generated, OfCancelled, Views, joins, records

from dovetail.serving import sql_join
from dovetail.serving.fields import Fields
from dovetail.serving.query import MOST
from dovetail.serving.sql import statement
from dovetail.serving.sql_plan import Receipt, answered
from dovetail.shared.errors import NotYet, QueryError

KEYS = ("country", "product", "vip")
BOTH = "SELECT country, MEASURE(sales.lines) AS sold, MEASURE(returns.lines) AS back FROM sales {} returns USING (country) {} GROUP BY country"


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Views]:
    specs = [ViewSpec("sales", keys=KEYS), OfCancelled("returns", keys=KEYS), ViewSpec("ratios", keys=("ratio", "country"))]
    views = Views(tmp_path_factory.mktemp("join") / "data", specs, records(120))
    yield views
    views.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Views]:
    sold = [event(country=c) for c in ("FR", "FR", "DE", None)]
    back = [event(country=c, cancelled=True) for c in ("FR", None)]
    views = Views(tmp_path / "data", [ViewSpec("sales"), OfCancelled("returns")], [*sold, *back])
    yield views
    views.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(joins())
def test_rows_are_those_that_duckdb_joins(views: Views, found: Generated) -> None:
    assert views.rows(found.asked) == views.expected(found.told, found.tz), found
