"""map_values and bin."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import pytest
from chispa import assert_df_equality

import dovetail as dv
from dovetail.shared.errors import DeclarationError
from dovetail.shared.transforms.values import MOST

from .conftest import Table, refusal

pytestmark = [pytest.mark.java, pytest.mark.long]

map_values, KEEP, bin_ = dv.transforms.map_values, dv.transforms.KEEP, dv.transforms.bin
INF = float("inf")


@pytest.mark.parametrize(("default", "other"), [(KEEP, "x"), (None, None), ("other", "other")])
def test_a_value_that_is_not_mapped_is_kept_or_null_or_another(table: Table, default: object, other: object) -> None:
    step = map_values({"V": {"a": "A", "b": None}}, default=default)
    done = step(table("id int, v string", (1, "a"), (2, "b"), (3, "x")))
    assert_df_equality(done, table("id int, v string", (1, "A"), (2, None), (3, other)), ignore_nullable=True)


def test_null_is_mapped_where_it_is_named_and_else_like_any_other(table: Table) -> None:
    rows = table("v string", (None,), ("a",))
    assert map_values({"v": {None: "none"}})(rows).collect() == [("none",), ("a",)]
    assert map_values({"v": {"a": "A"}})(rows).collect() == [(None,), ("A",)]
    assert map_values({"v": {"a": "A"}}, default="?")(rows).collect() == [("?",), ("A",)]


def test_texts_are_taken_as_they_are_written(table: Table) -> None:
    nasty = ["it's", "\\n", "${env:HOME}", "a`b", "%s", "-- x", "\n", "é\U0001f600", "\u0000", "A", ""]
    mapping = {text: f"{text}!" for text in nasty}
    done = map_values({"v": mapping})(table("v string", *[(text,) for text in [*nasty, "a", " "]]))
    assert [row.v for row in done.collect()] == [*mapping.values(), "a", " "]


@pytest.mark.parametrize(
    ("schema", "mapping", "given", "expected"),
    [
        ("int", {1: 10, -2147483648: 0}, -2147483648, 0),
        ("bigint", {1: 2**62}, 1, 2**62),
        ("int", {1: "one"}, 1, "one"),
        ("double", {float("nan"): 0.0, INF: 1e300}, float("nan"), 0.0),
        ("double", {float("nan"): 0.0, -INF: 1e300}, -INF, 1e300),
        ("decimal(10,2)", {Decimal("1.10"): Decimal("-2.50")}, Decimal("1.1"), Decimal("-2.50")),
        ("boolean", {True: False}, True, False),
        ("boolean", {True: "yes"}, True, "yes"),
        ("date", {date(1969, 12, 31): date(1970, 1, 1)}, date(1969, 12, 31), date(1970, 1, 1)),
    ],
)
def test_values_of_every_kind_are_mapped(
    table: Table, schema: str, mapping: dict[object, object], given: object, expected: object
) -> None:
    default = None if isinstance(expected, str) else KEEP
    assert map_values({"v": mapping}, default=default)(table(f"v {schema}", (given,))).collect() == [(expected,)]


def test_a_mapping_of_another_kind_than_the_column_is_refused(table: Table) -> None:
    rows = table("n int, s string")
    said = "and the mapping's values are of the kind"
    assert refusal(map_values({"n": {"1": "2"}}), rows) == f"map_values: column 'n' is int, {said} text"
    assert refusal(map_values({"s": {"a": 1}}), rows) == f"map_values: column 's' is string, {said} number"
    assert refusal(map_values({"t": {"a": "b"}}), rows) == "map_values: unknown column 't'. Known: n, s"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "nothing is given"),
        ({"v": {}}, f"v: give a mapping of 1 to {MOST} values"),
        ({"v": ["a"]}, "v: give a mapping"),
        ({"v": dict.fromkeys(range(MOST + 1), 0)}, f"v: give a mapping of 1 to {MOST} values"),
        ({"v": {"a": 1, "b": "x"}}, "the new values of v are of different kinds: number, text"),
        ({"v": {1: "a", "b": "x"}}, "the old values of v are of different kinds: number, text"),
        ({"v": {"a": [1]}}, r"\[1\] is no text, number, boolean or date"),
        ({"v": {"a": datetime(2026, 3, 1)}}, "is no text, number, boolean or date"),
        ({"v": {1: Decimal("NaN")}}, "NaN is no number of at most 38 digits"),
        ({"v": {1: 10**38}}, "is no number of at most 38 digits"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused_at_once(columns: dict[str, object], message: str) -> None:
    with pytest.raises(DeclarationError, match=f"^map_values: .*{message}"):
        map_values(columns)


def test_the_default_is_of_the_new_values_kind() -> None:
    with pytest.raises(DeclarationError, match="the new values of v are of different kinds: number, text"):
        map_values({"v": {"a": "b"}}, default=0)


SIZES = {"edges": [0, 10, 100], "labels": ["small", "it's \\ medium"]}


@pytest.mark.parametrize(
    ("given", "label"),
    [(-0.1, None), (-0.0, "small"), (0.0, "small"), (10.0, "it's \\ medium"), (99.9, "it's \\ medium"),
     (100.0, None), (INF, None), (float("nan"), None), (None, None)],
)  # fmt: skip
def test_a_range_holds_its_lower_edge_and_not_its_upper_one(
    table: Table, given: float | None, label: str | None
) -> None:
    assert bin_("v", **SIZES)(table("v double", (given,))).collect() == [(label,)]


def test_open_ends_hold_everything_but_what_is_no_number(table: Table) -> None:
    rows = table("v double", (-1e308,), (0.0,), (1e308,), (-INF,), (float("nan"),), (None,))
    done = bin_("v", edges=[-INF, 0, INF], labels=["below", "above"])(rows)
    assert [row.v for row in done.collect()] == ["below", "above", "above", "below", None, None]


def test_without_labels_it_is_the_lower_edge(table: Table) -> None:
    done = bin_("V", edges=[0, 10, 20], into="low")(table("v int, w int", (7, 1), (10, 1), (20, 1), (None, 1)))
    assert_df_equality(
        done,
        table("v int, w int, low int", (7, 1, 0), (10, 1, 10), (20, 1, None), (None, 1, None)),
        ignore_nullable=True,
    )


def test_decimals_are_compared_exactly(table: Table) -> None:
    edges = [Decimal("0.1"), Decimal("0.3"), Decimal("0.7")]
    rows = table("v decimal(3,1)", (Decimal("0.3"),), (Decimal("0.2"),), (Decimal("0.7"),))
    assert [row.v for row in bin_("v", edges=edges)(rows).collect()] == [Decimal("0.3"), Decimal("0.1"), None]


def test_what_is_no_number_lies_in_no_range(table: Table) -> None:
    assert refusal(bin_("v", edges=[0, 1]), table("v string")) == "bin: column 'v' is string: it takes number"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"edges": [0]}, "give a list of 2 numbers at least"),
        ({"edges": "01"}, "give a list of 2 numbers at least"),
        ({"edges": [0, 0]}, "the edges are not in order: 0 comes after 0"),
        ({"edges": [1, 0.5]}, "the edges are not in order: 0.5 comes after 1"),
        ({"edges": [0, float("nan")]}, "edge nan is no number"),
        ({"edges": [False, True]}, "edge False is no number"),
        ({"edges": [0, "1"]}, "edge '1' is no number"),
        ({"edges": [0, 1, 2], "labels": ["a"]}, "3 edges make 2 ranges"),
        ({"edges": [0, 1], "labels": [1]}, "are not all text"),
        ({"edges": [0, 1], "into": "_x"}, "names that begin with _"),
        ({"column": 1, "edges": [0, 1]}, "1 is not the name of a column"),
    ],
)
def test_ranges_that_cannot_be_are_refused_at_once(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(DeclarationError, match=f"^bin: .*{message}"):
        bin_(**{"column": "v", **arguments})
