"""Statements: the rows are those that DuckDB finds with the same SQL over the records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from serving_stand import ViewSpec, event
from sql_stand import POOLS, Generated, Views, records, statements

from dovetail.serving.sql import statement
from dovetail.serving.sql_plan import fields
from dovetail.shared.dimensions import Joins, Versions
from dovetail.shared.errors import QueryError


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Views]:
    specs = [ViewSpec("typed", keys=tuple(POOLS)), ViewSpec("timeless", bucket=None)]
    views = Views(tmp_path_factory.mktemp("sql") / "data", specs, records(300))
    yield views
    views.close()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(statements([*POOLS]))
def test_rows_are_those_that_duckdb_finds_with_the_same_sql(views: Views, found: Generated) -> None:
    assert views.rows(found.asked) == views.expected(found.told, found.tz), found


def test_a_dimension_s_column_is_grouped_and_filtered_by(tmp_path: Path) -> None:
    views = Views(tmp_path / "data", [ViewSpec("sales")], [event(product=1), event(product=2), event(product=3)])
    Joins(views.stand.layout, "sales").set(["products"])
    Versions(views.stand.layout, "products").add(
        pa.table({"product": [1, 2], "line": ["Cars", "Ships"]}), key="product"
    )
    while not views.shape("sales").dimensions:
        views.store.look()
    by_line = "SELECT {} AS line, MEASURE(lines) FROM sales s WHERE {} <> 'Ships' GROUP BY 1"
    for name in ("line", "products.line", "s.line", "s.products.line"):
        assert views.rows(by_line.format(name, name)) == [("Cars", 1)]
    assert views.rows("SELECT line FROM sales GROUP BY line") == [("Cars",), ("Ships",), (None,)]
    views.close()


def test_columns_come_in_their_order_under_their_names(views: Views) -> None:
    text = (
        "SELECT MEASURE(lines), country c, MEASURE(typed.revenue), DATE_TRUNC('year', bucket) FROM typed GROUP BY 2, 4"
    )
    found = views.answered(text)
    assert found.table.column_names == [*found.kinds] == ["lines", "c", "revenue", "bucket"]
    assert str(found.kinds["bucket"]) == "timestamp[us, tz=UTC]"


@pytest.mark.parametrize(
    ("limit", "offset", "more"),
    [("LIMIT 2", 0, True), ("LIMIT 2 OFFSET 6", 6, False), ("LIMIT 2 OFFSET 5", 5, True), ("", 0, False)],
)
def test_rows_cut_off_are_told_without_the_cursor_of_another_question(
    views: Views, limit: str, offset: int, more: bool
) -> None:
    every = views.rows("SELECT country FROM typed GROUP BY country")
    found = views.answered(f"SELECT country FROM typed GROUP BY country {limit}")
    assert found.table.num_rows == len(every[offset:][: 2 if limit else None])
    assert (found.receipts[0].get("more", False), "next" in found.receipts[0]) == (more, False)


def test_only_the_measures_named_are_asked_for(views: Views) -> None:
    def asked(text: str) -> object:
        return fields(statement(text), "typed", views.shape("typed")).lists["measures"]

    assert asked("SELECT country FROM typed GROUP BY country") == ("lines",)
    assert asked("SELECT MEASURE(a), MEASURE(b.p95) FROM typed HAVING MEASURE(c) > 1 ORDER BY MEASURE(d)") == (
        "a", "b.p95", "c", "d",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "says", "next_"),
    [
        ("SELECT * FROM typed", "typed has the columns country, product, day", "country, MEASURE(lines), "),
        ("SELECT typed.* FROM typed", "ratio, bucket", "MEASURE(lines)"),
        ("SELECT contry FROM typed GROUP BY contry", "did you mean 'country'?", ""),
        ("SELECT MEASURE(revenu) FROM typed", "did you mean 'revenue'?", ""),
        ("SELECT lines FROM typed GROUP BY lines", "'lines' is a measure of typed", "MEASURE(lines)"),
        ("SELECT MEASURE(lines) FROM typed WHERE revenue > 1", "'revenue' is a measure of typed", "HAVING"),
        ("SELECT country AS product FROM typed GROUP BY product", "GROUP BY product: it is a column", "GROUP BY 1"),
        ("SELECT DATE_TRUNC('day', bucket) AS day FROM typed GROUP BY day", "GROUP BY day: it is a column", ""),
        ("SELECT MEASURE(lines) FROM typed WHERE country = 1", "'country' is of type string, 1 is a number", "'1' in"),
        ("SELECT MEASURE(lines) FROM typed WHERE country IN ('FR', 1)", "'country' is of type string", ""),
        ("SELECT MEASURE(lines) FROM typed WHERE seen < 20260301", "20260301 is a number", ""),
        ("SELECT MEASURE(lines) FROM typed WHERE country = TRUE", "true is a boolean", ""),
        ("SELECT MEASURE(lines) FROM typed WHERE country < DATE '2026-03-01'", "2026-03-01 is a time", ""),
        ("SELECT MEASURE(lines) FROM typed HAVING MEASURE(last) > 5", "'last' is of type timestamp, 5 is a number", ""),
        ("SELECT MEASURE(lines) FROM typed WHERE product = 'x'", "'x' is not of type int", ""),
        ("SELECT MEASURE(lines) FROM typed WHERE product = 1.5", "'1.5' is not of type int", ""),
        ("SELECT MEASURE(lines) FROM typed WHERE bucket >= '2026-03-01T00:30Z'", "nothing is rounded silently", ""),
        ("SELECT MEASURE(lines) FROM typed GROUP BY TIME_BUCKET('90m', bucket)", "90m", ""),
        ("SELECT MEASURE(lines) FROM timeless GROUP BY bucket", "bucket cannot be asked of timeless", ""),
    ],
)  # fmt: skip
def test_what_a_view_cannot_answer_is_refused(views: Views, text: str, says: str, next_: str) -> None:
    with pytest.raises(QueryError) as refused:
        views.answered(text)
    assert says in f"{refused.value.what}: {refused.value.why}"
    assert next_ in refused.value.next


def test_a_name_given_in_select_is_grouped_by_where_no_column_is_called_so(views: Views) -> None:
    by_day = "SELECT DATE_TRUNC('{}', bucket) AS at, MEASURE(lines) FROM typed GROUP BY {}"
    assert views.rows(by_day.format("week", "at")) == views.rows(by_day.format("week", 1)) != []


def test_null_is_neither_a_value_nor_not_that_value(views: Views) -> None:
    def lines(where: str) -> int:
        return int(views.rows(f"SELECT MEASURE(lines) FROM typed WHERE {where}")[0][0])

    parts = [lines(f"country {test}") for test in ("= 'FR'", "<> 'FR'", "IS NULL")]
    assert sum(parts) == 300
    assert 0 not in parts
    assert lines("country <> 'FR' OR country IS NULL") == parts[1] + parts[2]
    assert lines("country <> 'FR'") == lines("NOT country = 'FR'") == lines("country NOT IN ('FR')")
