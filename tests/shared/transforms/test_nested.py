"""flatten and explode_items."""

from __future__ import annotations

import pytest
from chispa import assert_df_equality

import dovetail as dv
from dovetail.shared.errors import DeclarationError

from .conftest import Table, refusal

pytestmark = pytest.mark.java

flatten, explode_items = dv.transforms.flatten, dv.transforms.explode_items

ADDRESS = "id int, address struct<city: string, country: struct<code: string, `zip code`: string>>, tags array<string>"
ORDERS = "id int, items array<struct<product: string, n: int>>, note string"


def test_structs_inside_structs_become_columns_in_their_place(table: Table) -> None:
    rows = table(ADDRESS, (1, ("Nantes", ("FR", "44000")), ["a"]), (2, ("Paris", None), None), (3, None, []))
    flat = table(
        "id int, address_city string, address_country_code string, `address_country_zip code` string, "
        "tags array<string>",
        (1, "Nantes", "FR", "44000", ["a"]),
        (2, "Paris", None, None, None),
        (3, None, None, None, []),
    )
    assert_df_equality(flatten()(rows), flat, ignore_nullable=True)


def test_the_separator_may_be_a_dot(table: Table) -> None:
    flat = flatten(separator=".")(table("a struct<b: struct<c: int>>", (((1,),),)))
    assert flat.columns == ["a.b.c"]
    assert flat.collect() == [(1,)]


def test_only_the_named_structs_are_flattened(table: Table) -> None:
    flat = flatten("B")(table("a struct<x: int>, b struct<x: int>", ((1,), (2,))))
    assert flat.columns == ["a", "b_x"]


def test_rows_without_structs_stay_as_they_are(table: Table) -> None:
    rows = table("id int, tags array<struct<x: int>>", (1, [(2,)]))
    assert_df_equality(flatten()(rows), rows)


@pytest.mark.parametrize(
    "schema", ["a struct<b: int>, a_b int", "a_b int, a struct<B: int>", "a struct<b: int, B: int>"]
)
def test_flattening_into_a_name_that_is_taken_is_refused(table: Table, schema: str) -> None:
    assert refusal(flatten(), table(schema)).lower() == "flatten: two columns would be called 'a_b'"


def test_what_is_no_struct_is_not_flattened(table: Table) -> None:
    assert (
        refusal(flatten("a"), table("a map<string, int>")) == "flatten: column 'a' is map<string,int>: it takes struct"
    )
    assert refusal(flatten("b"), table("a int")) == "flatten: unknown column 'b'. Known: a"


@pytest.mark.parametrize("arguments", [{"columns": []}, {"columns": 3}, {"separator": ""}, {"columns": ["a", "A"]}])
def test_a_flattening_that_cannot_be_is_refused_at_once(arguments: dict[str, object]) -> None:
    with pytest.raises(DeclarationError, match=r"^flatten: "):
        flatten(**arguments)


def test_each_item_of_an_array_becomes_a_row(table: Table) -> None:
    rows = table(ORDERS, (1, [("S18", 2), ("S24", None), None], "x"), (2, [], "y"), (3, None, None))
    items = [(1, "S18", 2, "x"), (1, "S24", None, "x"), (1, None, None, "x")]
    schema = "id int, product string, n int, note string"
    assert_df_equality(explode_items("items")(rows), table(schema, *items), ignore_nullable=True)
    kept = [*items, (2, None, None, "y"), (3, None, None, None)]
    assert_df_equality(explode_items("items", keep_empty=True)(rows), table(schema, *kept), ignore_nullable=True)


def test_items_that_are_no_structs_keep_the_arrays_name(table: Table) -> None:
    rows = table("tags array<string>, id int", (["a", None, "a"], 1), ([], 2), (None, 3))
    exploded = table("tags string, id int", ("a", 1), (None, 1), ("a", 1))
    assert_df_equality(explode_items("TAGS")(rows), exploded, ignore_nullable=True)
    assert explode_items("tags", keep_empty=True)(rows).count() == 5


def test_a_prefix_keeps_fields_apart_from_columns(table: Table) -> None:
    rows = table("id int, items array<struct<id: int>>", (1, [(7,)]))
    assert refusal(explode_items("items"), rows) == "explode_items: two columns would be called 'id'"
    assert_df_equality(
        explode_items("items", prefix="item_")(rows), table("id int, item_id int", (1, 7)), ignore_nullable=True
    )


def test_items_of_items_are_exploded_one_after_the_other(table: Table) -> None:
    rows = table("o array<struct<k: int, i: array<struct<v: int>>>>", ([(1, [(2,), (3,)]), (4, [])],))
    done = rows.transform(explode_items("o")).transform(explode_items("i"))
    assert done.collect() == [(1, 2), (1, 3)]


def test_what_is_no_array_is_not_exploded(table: Table) -> None:
    assert refusal(explode_items("a"), table("a string")) == "explode_items: column 'a' is string: it takes array"


@pytest.mark.parametrize(
    "arguments", [{"column": ""}, {"column": "a", "prefix": 1}, {"column": "a", "keep_empty": "no"}]
)
def test_an_explosion_that_cannot_be_is_refused_at_once(arguments: dict[str, object]) -> None:
    with pytest.raises(DeclarationError, match=r"^explode_items: "):
        explode_items(**arguments)
