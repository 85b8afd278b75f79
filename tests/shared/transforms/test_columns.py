"""rename, cast and derive."""

from __future__ import annotations

from decimal import Decimal

import pytest
from chispa import assert_df_equality

import dovetail as dv
from dovetail.shared.errors import DeclarationError

from .conftest import Table, refusal

pytestmark = pytest.mark.java

rename, cast, derive = dv.transforms.rename, dv.transforms.cast, dv.transforms.derive


def test_renaming_changes_names_and_nothing_else(table: Table) -> None:
    rows = table("id int, `who is it` string, n int", (1, "Ada", None))
    assert_df_equality(
        rename({"who is it": "customer"})(rows), table("id int, customer string, n int", (1, "Ada", None))
    )


def test_two_columns_may_swap_their_names(table: Table) -> None:
    swapped = rename({"a": "b", "b": "a"})(table("a int, b string", (1, "x")))
    assert_df_equality(swapped, table("b int, a string", (1, "x")))


def test_a_column_is_found_without_regard_to_case_as_spark_does(table: Table) -> None:
    assert rename({"ORDERNUMBER": "order_number"})(table("orderNumber int")).columns == ["order_number"]


@pytest.mark.parametrize("taken", ["id", "ID"])
def test_renaming_to_a_name_that_is_taken_is_refused(table: Table, taken: str) -> None:
    said = refusal(rename({"name": taken}), table("id int, name string"))
    assert said.lower() == "rename: two columns would be called 'id'"


def test_a_column_that_is_not_there_is_told_with_those_that_are(table: Table) -> None:
    said = refusal(rename({"nmae": "x"}), table("id int, name string"))
    assert said == "rename: unknown column 'nmae': did you mean 'name'? Known: id, name"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, r"rename: nothing is given: write \{'old': 'new'\}"),
        (["a", "b"], r"rename: \['a', 'b'\] is no mapping"),
        ({"a": "x", "b": "X"}, "rename: column 'X' is named twice"),
        ({"a": "x", "A": "y"}, "rename: column 'A' is named twice"),
        ({"a": " "}, "rename: ' ' is not the name of a column"),
        ({"a": "_offset"}, "rename: column '_offset': names that begin with _ are Dovetail's own"),
        ({1: "a"}, "rename: 1 is not the name of a column"),
    ],
)
def test_a_renaming_that_cannot_be_is_refused_at_once(columns: dict[str, str], message: str) -> None:
    with pytest.raises(DeclarationError, match=message) as caught:
        rename(columns)
    assert caught.value.where.startswith("test_columns.py:")


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("12", "int", 12),
        (" 12\t", "int", 12),
        ("1.5", "int", None),
        ("2147483648", "int", None),
        ("2147483648", "bigint", 2147483648),
        ("", "int", None),
        (None, "int", None),
        ("٣", "int", None),  # a digit, but not one of Spark's
        ("9.995", "decimal(10,2)", Decimal("10.00")),
        ("-9.995", "decimal(10,2)", Decimal("-10.00")),
        ("100000000", "decimal(10,2)", None),
        ("yes", "boolean", True),
        ("maybe", "boolean", None),
        ("1e3", "double", 1000.0),
    ],
)
def test_a_value_that_does_not_fit_becomes_null(table: Table, text: str | None, kind: str, value: object) -> None:
    assert cast({"v": kind})(table("v string", (text,))).collect() == [(value,)]


def test_a_cast_leaves_the_other_columns_where_they_are(table: Table) -> None:
    done = cast({"B": "int"})(table("a string, b string, c string", ("1", "2", "3")))
    assert_df_equality(done, table("a string, b int, c string", ("1", 2, "3")), ignore_nullable=True)


def test_a_strict_cast_raises_at_what_does_not_fit(table: Table) -> None:
    strict = cast({"v": "int"}, strict=True)
    assert strict(table("v string", ("7",), (None,))).collect() == [(7,), (None,)]
    with pytest.raises(Exception, match=r"CAST_INVALID_INPUT.*'seven'"):
        strict(table("v string", ("seven",))).collect()


def test_a_cast_that_no_value_could_pass_is_told_with_the_line(table: Table) -> None:
    assert refusal(cast({"v": "int"}), table("v array<int>")).startswith("cast: [DATATYPE_MISMATCH.CAST_")


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ({"a": "money"}, "cast: a: unknown type 'money'. Known: bigint"),
        ({"a": "int foo"}, "cast: a: unknown type 'int foo'"),
        ({"a": "int(3)"}, r"cast: a: unknown type 'int\(3\)'"),
        ({"a": "decimal(39,2)"}, "has more than 38 digits"),
        ({"a": "decimal(2,3)"}, "or more after its point"),
        ({"a": int}, "cast: a: <class 'int'> is no type: write it as text"),
        ({}, "cast: nothing is given"),
    ],
)
def test_a_type_that_is_none_is_refused_at_once(types: dict[str, str], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        cast(types)


def test_columns_are_derived_in_order_and_see_what_came_before(table: Table) -> None:
    done = derive({"b": "a + 1", "a": "a * 10", "c": "a + b", "d": "'a'"})(table("a int", (1,), (None,)))
    assert_df_equality(
        done, table("a int, b int, c int, d string", (10, 2, 12, "a"), (None, None, None, "a")), ignore_nullable=True
    )


def test_expressions_that_do_not_name_each_other_go_to_the_engine_together() -> None:
    step = derive({"b": "a + 1", "bb": "bc + 1", "c": "`B` + 1", "d": "1"})
    assert step._stages() == [{"b": "a + 1", "bb": "bc + 1"}, {"c": "`B` + 1", "d": "1"}]


def test_a_comment_at_the_end_of_an_expression_ends_with_it(table: Table) -> None:
    assert derive({"b": "a + 1 -- one more"})(table("a int", (1,))).collect() == [(1, 2)]


def test_an_expression_cannot_make_other_columns(table: Table) -> None:
    assert refusal(derive({"b": "a AS x"}), table("a int")).startswith("derive: [PARSE_SYNTAX_ERROR]")


def test_an_unknown_column_in_an_expression_is_told_with_those_that_are(table: Table) -> None:
    said = refusal(derive({"amount": "quantity * prise"}), table("quantity int, price int"))
    assert said == "derive: unknown column 'prise': did you mean 'price'? Known: price, quantity"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, "derive: nothing is given"),
        ({"a": ""}, "derive: a: '' is no SQL expression"),
        ({"a": 1}, "derive: a: 1 is no SQL expression"),
        ({"_rows": "1"}, "names that begin with _ are Dovetail's own"),
    ],
)
def test_a_derivation_that_cannot_be_is_refused_at_once(columns: dict[str, str], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        derive(columns)
