"""Columns in the form of their masks, rows of a grant, groups large enough: before anything else is done with them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from access_stand import PEPPER, Place, place
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving_stand import Event, event

from dovetail.shared.grants import Grant

MASKS = {"country": "last(2)", "product": "bucket(10)", "price": "null", "most": "null", "least": "null",
         "pieces": "null"}  # fmt: skip
ONE = [("alice-FR", 11, "1.50", 3), ("bob-FR", 14, "2.50", 3), ("carol-DE", 22, "9.00", 4), (None, None, None, 1)]
OTHER = [("zoe-FR", 19, "7.77", 8), ("yan-FR", 10, "0.01", 1), ("x-DE", 29, "3.00", 9), (None, None, "5.00", 2)]
"""As ONE, but for what the masks hide."""
FIELDS = {
    "by": ["country", "product", "price"], "measures": ["lines", "revenue", "most", "average"], "bucket": ["1d"],
    "order_by": ["country", "-product", "price", "-most", "lines", "-revenue"], "limit": ["1", "2", "9"],
    "where.country": ["alice-FR", "***FR", "zoe-FR", "FR", "***DE"], "where.product": ["11", "10", "19", "20"],
    "where.product.gt": ["10", "12"], "where.country.prefix": ["a", "*", "z"], "where.price": ["1.50", "7.77"],
    "where.price.null": ["true"], "where.country.not": ["alice-FR", "***FR"], "where.price.lt": ["5"],
    "having.most.gte": ["4"], "having.lines": ["3", "1"], "start": ["2026-03-01"], "fill": ["zero"], "as_of": ["x"],
}  # fmt: skip


def events(of: list[tuple[Any, ...]]) -> list[Event]:
    return [event(country=c, product=p, price=price and Decimal(price), quantity=q)
            for c, p, price, q in of for _ in range(2)]  # fmt: skip


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Place]]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
        one, other = (tmp_path_factory.mktemp(name) for name in ("one", "other"))
        with place(one, events(ONE)) as first, place(other, events(OTHER)) as second:
            yield first, second


@pytest.fixture(scope="module")
def masked(two: tuple[Place, Place]) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    grant = Grant("masked", views=("sales",), columns=MASKS)
    with two[0].as_(grant) as one, two[1].as_(grant) as other:
        yield one, other


questions = st.fixed_dictionaries({}, optional={
    name: st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True).map(",".join)
    if name in ("by", "measures", "order_by") else st.sampled_from(values)
    for name, values in FIELDS.items()
})  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=questions)
def test_what_differs_under_a_mask_alone_is_answered_alike(
    masked: tuple[httpx.Client, httpx.Client], asked: dict[str, str]
) -> None:
    one, other = (http.get("/v1/views/sales/query", params=asked) for http in masked)
    assert one.text == other.text


@pytest.mark.parametrize("path", ["/v1/views", "/v1/views/sales", "lookup"])
def test_so_is_every_other_path(masked: tuple[httpx.Client, httpx.Client], path: str) -> None:
    keys = [{"country": c, "product": p, "price": None} for c in ("alice-FR", "***FR", None) for p in (11, 10, None)]
    one, other = (
        http.post("/v1/views/sales/lookup", json={"keys": keys}) if path == "lookup" else http.get(path)
        for http in masked
    )
    assert (one.status_code, one.text) == (200, other.text)


def rows(http: httpx.Client, **asked: str) -> list[dict[str, Any]]:
    answer = http.get("/v1/views/sales/query", params={name.replace("__", "."): v for name, v in asked.items()})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["rows"])


def test_a_mask_comes_before_filter_group_and_order(masked: tuple[httpx.Client, httpx.Client]) -> None:
    http = masked[0]
    assert rows(http, by="country", measures="lines") == [
        {"country": "***DE", "lines": 2}, {"country": "***FR", "lines": 4}, {"country": None, "lines": 2},
    ]  # fmt: skip
    assert rows(http, by="product", measures="lines", order_by="-product") == [
        {"product": 20, "lines": 2}, {"product": 10, "lines": 4}, {"product": None, "lines": 2},
    ]  # fmt: skip
    assert rows(http, by="price", measures="lines,most") == [{"price": None, "lines": 8, "most": None}]
    assert rows(http, where__country="alice-FR", measures="lines") == [{"lines": 0}]
    assert rows(http, where__country="***FR", measures="lines") == [{"lines": 4}]
    assert rows(http, where__product__gt="10", measures="lines") == [{"lines": 2}]
    assert rows(http, having__most__gte="0", by="country") == []
    key = {"country": "***FR", "product": 10, "price": None}
    looked = http.post("/v1/views/sales/lookup", json={"keys": [key], "measures": ["lines"]})
    assert looked.json()["rows"] == [{**key, "lines": 4}]


def test_a_hash_is_the_same_for_the_same_value_and_needs_the_secret(two: tuple[Place, Place]) -> None:
    grant = Grant("hashed", views=("sales",), columns={"country": "hash", "product": "hash"})
    with two[0].as_(grant) as http:
        found = rows(http, by="country,product", measures="lines")
        hashes = {row["country"] for row in found}
        assert len(hashes) == 4
        assert None in hashes
        assert all(len(h) == 16 for h in hashes if h)
        one = found[0]["country"]
        assert rows(http, where__country=one, measures="lines") == [{"lines": 2}]
        assert rows(http, where__country="alice-FR", measures="lines") == [{"lines": 0}]
        assert http.get("/v1/views/sales").json()["keys"]["product"] == "string"
    assert not {hashlib.sha256(v.encode()).hexdigest()[:16] for v, *_ in ONE if v} & hashes


def test_rows_of_a_grant_are_all_there_is(two: tuple[Place, Place]) -> None:
    grant = Grant("some", views=("sales",), rows={"country": ["alice-FR", None], "product": {"lt": [20], "not": [14]}})
    with two[0].as_(grant) as http:
        assert rows(http, measures="lines") == [{"lines": 2}]
        assert rows(http, by="country", measures="lines") == [{"country": "alice-FR", "lines": 2}]
        fixed = {"where__country": "carol-DE", "where__product": "22", "where__price": "9", "measures": "lines"}
        for _ in range(2):
            assert rows(http, **fixed) == [{"lines": 0}]
            assert rows(http, **{**fixed, "where__country": "alice-FR", "where__product": "11",
                                 "where__price": "1.5"}) == [{"lines": 2}]  # fmt: skip


def test_groups_below_the_floor_are_in_no_answer_not_even_in_a_total(two: tuple[Place, Place]) -> None:
    with two[0].as_(Grant("floor3", views=("sales",), floor=3)) as http:
        assert rows(http, measures="lines") == [{"lines": 0}]
        assert rows(http, by="country", measures="lines") == []
    masked = Grant("floor4", views=("sales",), columns=MASKS, floor=3)
    with two[0].as_(masked) as http:  # of both people of FR together there are enough
        assert rows(http, by="country", measures="lines") == [{"country": "***FR", "lines": 4}]
        parts = [rows(http, where__country=c, measures="lines")[0]["lines"] for c in ("***FR", "***DE")]
        assert rows(http, measures="lines") == [{"lines": sum(parts)}]


def test_a_grant_of_then_is_that_of_now(two: tuple[Place, Place], tmp_path: Path) -> None:
    receipt = two[0].client.receipt("sales", by="country")["id"]
    with two[0].as_(Grant("then", views=("sales",), columns={"country": "null"})) as http:
        assert rows(http, by="country", measures="lines", as_of=receipt) == [{"country": None, "lines": 8}]
