"""Two tables of answers, compared group by group."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from dovetail.batch.diff import Groups, compared, tolerance
from dovetail.shared.errors import UsageError
from dovetail.shared.grants import Mask

TYPE = pa.schema([("country", pa.string()), ("revenue", pa.decimal128(12, 2)), ("names", pa.list_(pa.string()))])


def table(*rows: tuple[str | None, str | None, list[str]]) -> pa.Table:
    made = [{"country": c, "revenue": None if r is None else Decimal(r), "names": n} for c, r, n in rows]
    return pa.Table.from_pylist(made, schema=TYPE)


def between(before: pa.Table, after: pa.Table, *, within: float = 0.0, by: tuple[str, ...] = ("country",)) -> Groups:
    return compared(before, after, by, ["revenue", "names"], within=within)


BEFORE = table(("FR", "100.00", ["x"]), ("DE", "50.00", []), (None, "1.00", ["y"]))


def test_equal_answers_are_the_same_also_of_null() -> None:
    found = between(BEFORE, BEFORE)
    assert (found.same, found.groups) == (True, 3)
    assert [m.differing for m in found.measures] == [0, 0]


def test_what_differs_is_named_worst_first_with_totals() -> None:
    found = between(BEFORE, table(("FR", "101.00", ["x"]), ("DE", "50.00", ["z"]), (None, "9.00", ["y"])))
    revenue, names = found.measures
    assert (revenue.differing, revenue.before, revenue.after) == (2, Decimal("151.00"), Decimal("160.00"))
    assert [g["country"] for g in revenue.worst] == [None, "FR"]
    assert (names.differing, names.before, names.worst) == (1, None, ({"country": "DE", "before": [], "after": ["z"]},))
    assert (found.gone, found.new, found.same) == (0, 0, False)


def test_what_is_shown_names_groups_without_what_is_sensitive() -> None:
    found = between(BEFORE, table(("FR", "101.00", ["x"]), ("DE", "50.00", []), (None, "1.00", ["y"])))
    assert found.shown({}) == found
    [worst] = found.shown({"country": Mask("hash")}).measures[0].worst
    assert worst == {"country": "***", "before": Decimal("100.00"), "after": Decimal("101.00")}


def test_groups_that_only_one_has_differ() -> None:
    found = between(BEFORE, table(("FR", "100.00", ["x"]), ("IT", "7.00", []), (None, "1.00", ["y"])), within=0.5)
    assert (found.groups, found.gone, found.new, found.same) == (4, 1, 1, False)
    assert {(g["country"], g["before"], g["after"]) for g in found.measures[0].worst} == {
        ("DE", Decimal("50.00"), None), ("IT", None, Decimal("7.00")),
    }  # fmt: skip


@pytest.mark.parametrize(("after", "same"), [("101.00", True), ("99.00", True), ("101.01", False), (None, False)])
def test_numbers_may_differ_by_what_is_let_pass(after: str | None, same: bool) -> None:
    rows = table(("FR", after, ["x"]), ("DE", "50.00", []), (None, "1.00", ["y"]))
    assert between(BEFORE, rows, within=0.01).same is same


def test_without_keys_the_one_group_is_compared() -> None:
    found = between(BEFORE.slice(0, 1), BEFORE.slice(1, 1), by=())
    assert (found.groups, found.gone, found.measures[0].differing) == (1, 0, 1)


@pytest.mark.parametrize("text", ["1", "x%", "101%", "-1%", ""])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no percentage"):
        tolerance(text)
    assert tolerance("1.5%") == pytest.approx(0.015)
