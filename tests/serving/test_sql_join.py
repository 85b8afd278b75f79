"""Two views in one statement: each is grouped on its own at the same seq, and the groups are joined as SQL joins."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from serving_stand import ViewSpec, event
from sql_stand import Generated, OfCancelled, Views, joins, records

from dovetail.serving import sql_join
from dovetail.serving.fields import Fields
from dovetail.serving.query import MOST
from dovetail.serving.sql import statement
from dovetail.serving.sql_plan import Part, answered
from dovetail.shared.errors import NotYet, QueryError

KEYS = ("country", "product", "vip")
BOTH = (
    "SELECT country, MEASURE(sales.lines) AS sold, MEASURE(returns.lines) AS back "
    "FROM sales {} returns USING (country) GROUP BY country"
)


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Views]:
    specs = [
        ViewSpec("sales", keys=KEYS),
        OfCancelled("returns", keys=KEYS),
        ViewSpec("ratios", keys=("ratio", "country")),
    ]
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
@pytest.mark.long
def test_rows_are_those_that_duckdb_joins(views: Views, found: Generated) -> None:
    assert views.rows(found.asked) == views.expected(found.told, found.tz), found


def test_null_joins_with_nothing_and_a_missing_group_is_null(small: Views) -> None:
    assert small.rows(BOTH.format("JOIN")) == [("FR", 3, 1)]
    assert small.rows(BOTH.format("LEFT JOIN")) == [("DE", 1, None), ("FR", 3, 1), (None, 2, None)]
    assert small.rows(BOTH.format("FULL JOIN")) == [("DE", 1, None), ("FR", 3, 1), (None, 2, None), (None, None, 1)]
    never = BOTH.format("LEFT JOIN") + " HAVING MEASURE(returns.lines) IS NULL"
    assert small.rows(never) == [("DE", 1, None), (None, 2, None)]


def test_a_measure_is_of_its_own_records_alone(small: Views) -> None:
    assert small.rows(
        "SELECT country, MEASURE(sales.revenue) FROM sales JOIN returns USING (country) GROUP BY country"
    ) == small.rows("SELECT country, MEASURE(revenue) FROM sales WHERE country = 'FR' GROUP BY country")


def test_a_view_is_joined_with_itself_by_other_names(small: Views) -> None:
    text = "SELECT country, MEASURE(a.lines) AS a, MEASURE(b.cancelled) AS b FROM sales a JOIN sales b USING (country)"
    assert small.rows(f"{text} WHERE a.product = 1 AND b.product <> 2 GROUP BY country") == [("DE", 1, 0), ("FR", 3, 1)]


def test_both_receipts_are_given_and_rows_cut_off_are_told(small: Views) -> None:
    found = small.answered(BOTH.format("LEFT JOIN") + " LIMIT 2")
    assert [(r["view"], r["seq"], r["more"]) for r in found.receipts] == [
        (v, small.stand.seq, True) for v in ("sales", "returns")
    ]
    assert not any("next" in receipt for receipt in found.receipts)
    assert "more" not in small.answered(BOTH.format("LEFT JOIN") + " LIMIT 3").receipts[0]


def test_both_are_asked_at_the_same_seq(small: Views) -> None:
    asked: list[str] = []

    def ask(view: str, fields: Fields) -> Part:
        found = small.ask(view, fields)
        asked.append(view)
        if len(asked) < 3:  # a commit comes in between
            small.stand.commit([event(country="FR", cancelled=True)])
            small.look()
        return found

    found = answered(statement(BOTH.format("JOIN")), small.shape, ask)
    assert asked == ["sales", "returns", "sales", "returns"]
    assert [r["seq"] for r in found.receipts] == [small.stand.seq] * 2
    assert [tuple(row.values()) for row in found.table.to_pylist()] == [("FR", 5, 3)]


def test_views_that_come_to_no_common_seq_are_refused(small: Views, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_join, "PATIENCE", 0.02)
    seqs = itertools.count()

    def ask(view: str, fields: Fields) -> Part:
        part = small.ask(view, fields)
        return replace(part, receipt={**part.receipt, "seq": next(seqs)})

    with pytest.raises(NotYet, match=r"do not stand at the same seq: sales at \d+, returns at \d+"):
        answered(statement(BOTH.format("JOIN")), small.shape, ask)


def test_a_side_that_is_cut_off_is_not_joined(small: Views) -> None:
    def ask(view: str, fields: Fields) -> Part:
        assert fields.scalars["limit"] == str(MOST)
        part = small.ask(view, fields)
        return replace(part, receipt={**part.receipt, "more": view == "returns"})

    with pytest.raises(QueryError, match="returns has more than 100,000 groups"):
        answered(statement(BOTH.format("JOIN") + " LIMIT 1"), small.shape, ask)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SELECT ratio FROM ratios a JOIN ratios b USING (ratio)", "joined by 'ratio'"),
        ("SELECT vip FROM sales a JOIN ratios b USING (vip)", "unknown key 'vip'"),
        ("SELECT country FROM sales a JOIN sales b USING (country) WHERE a.lines = 1", "'lines' is a measure of sales"),
        ("SELECT country, MEASURE(a.line) FROM sales a JOIN sales b USING (country)", "unknown measure"),
        ("SELECT country FROM sales a JOIN sales b USING (country) WHERE a.product = 'x'", "'x' is not of type int"),
    ],
)
def test_what_cannot_be_joined_is_refused(views: Views, text: str, says: str) -> None:
    with pytest.raises(QueryError, match=says):
        views.answered(f"{text} GROUP BY 1")


def test_views_of_different_sources_are_refused(small: Views, tmp_path: Path) -> None:
    other = Views(tmp_path / "other", [ViewSpec("visits")], [event()], source="log")
    try:
        text = BOTH.format("JOIN").replace("returns", "visits")
        with pytest.raises(QueryError, match="sales and visits are of different sources"):
            answered(statement(text), lambda view: (other if view == "visits" else small).shape(view), small.ask)
    finally:
        other.close()
