"""Questions by the columns of dimensions, and receipts that keep giving what a dimension said then."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest
from serving_stand import T0, Client, Stand, ViewSpec, event

from dovetail.serving.dimensions import KEPT
from dovetail.serving.edition import tag
from dovetail.shared.dimensions import Joins, Versions

PRODUCTS = {"product": ["1", "2"], "line": ["Cars", "Ships"], "country": ["made in FR", None]}
LINES = [
    event(country="FR", product=1, quantity=1),
    event(country="DE", product=1, quantity=2),
    event(country="FR", product=2, quantity=4),
    event(country="FR", product=3, quantity=8),
    event(country="FR", product=None, quantity=16),
]


@pytest.fixture
def sales(stand: Stand) -> ViewSpec:
    return stand.attach(ViewSpec("sales"))


@pytest.fixture
def products(stand: Stand, sales: ViewSpec) -> Versions:
    """The dimension of products, as a CSV gives it: all text, and one key that the view has is not in it."""
    Joins(stand.layout, sales.name).set(["products"])
    versions = Versions(stand.layout, "products")
    versions.add(pa.table(PRODUCTS), key="product")
    stand.commit(LINES)
    return versions


def correct(versions: Versions, line: str) -> None:
    versions.add(pa.table({**PRODUCTS, "line": ["Cars", line]}), key="product")


def pieces(client: Client, **params: Any) -> list[tuple[Any, ...]]:
    rows = client.rows("sales", measures="pieces", **params)
    return [tuple(row.values()) for row in rows]


@pytest.mark.usefixtures("products")
def test_states_are_grouped_by_a_column_of_a_dimension_and_unmatched_keys_are_null(
    stand: Stand, serving: Client
) -> None:
    expected = [("Cars", 3), ("Ships", 4), (None, 24)]
    assert pieces(serving, by="line") == expected
    stand.batch("sales")
    stand.commit(LINES)
    serving.until(lambda: len(serving.receipt("sales")["runs"]) == 2)
    assert pieces(serving, by="line") == [(line, 2 * n) for line, n in expected]
    assert pieces(serving, by="line", order_by="-pieces", limit=1) == [(None, 48)]
    assert pieces(serving, by="line", where__product="2") == [("Ships", 8)]
    receipt = serving.receipt("sales", by="line")
    assert receipt["dimensions"] == {"products": {"version": 1, "unmatched": 1}}
    assert serving.receipt("sales")["dimensions"] == {}


def test_keys_that_a_dimension_lacks_are_counted_once_wherever_they_are(
    stand: Stand, products: Versions, serving: Client
) -> None:
    def unmatched() -> int:
        return int(serving.receipt("sales", by="line")["dimensions"]["products"]["unmatched"])

    stand.batch("sales")
    serving.until(lambda: len(serving.receipt("sales")["runs"]) == 1)
    assert [unmatched(), unmatched()] == [1, 1]
    for product, expected in ((3, 1), (None, 1), (4, 2), (4, 2), (1, 2)):  # in the run, no key, new, again, known
        stand.commit([event(product=product)])
        assert unmatched() == expected
    products.add(pa.table({"product": ["1", "3"], "line": ["Cars", "Kites"], "country": [None, None]}), key="product")
    serving.until(lambda: serving.receipt("sales", by="line")["dimensions"]["products"]["version"] == 2)
    assert unmatched() == 2  # 2 and 4 now


@pytest.mark.usefixtures("products")
def test_states_are_filtered_by_a_column_of_a_dimension(serving: Client) -> None:
    assert pieces(serving, where__line="Cars") == [(3,)]
    assert pieces(serving, where__line__null="true", by="product") == [(3, 8), (None, 16)]
    assert pieces(serving, by="country,line", where__line="Ships,Cars") == [
        ("DE", "Cars", 2), ("FR", "Cars", 1), ("FR", "Ships", 4),
    ]  # fmt: skip


@pytest.mark.usefixtures("products")
def test_columns_of_dimensions_have_windows_and_filled_buckets(stand: Stand, serving: Client) -> None:
    stand.commit([event(product=1, quantity=32, ordered_at=T0 + dt.timedelta(days=2))])
    first, second, third = (f"2026-03-0{d}T00:00:00+01:00" for d in (1, 2, 3))
    days = {"bucket": "1d", "window": "2d", "tz": "Europe/Paris"}
    found = [
        ("Cars", first, 3), ("Cars", second, 3), ("Cars", third, 32),
        ("Ships", first, 4), ("Ships", second, 4),
        (None, first, 24), (None, second, 24),
    ]  # fmt: skip
    assert pieces(serving, by="line", **days) == found
    assert pieces(serving, by="line", **days, where__line="Ships", fill="zero", end="2026-03-04") == [
        *found[3:5], ("Ships", third, 0),
    ]  # fmt: skip
    by_country = pieces(serving, by="products.country", **days, fill="null")
    assert by_country[-3:] == [(None, first, 28), (None, second, 28), (None, third, None)]


def test_a_column_of_lists_or_maps_is_refused_to_group_by(products: Versions, serving: Client) -> None:
    names = pa.array([[("fr", "Auto")], None], pa.map_(pa.string(), pa.string()))
    products.add(pa.table({**PRODUCTS, "tags": [["old"], []], "names": names}), key="product")
    serving.until(lambda: serving.receipt("sales", by="line")["dimensions"]["products"]["version"] == 2)
    filled = {"bucket": "1d", "fill": "zero"}
    for name, more in (("tags", {}), ("products.names", {}), ("tags", filled)):
        refused = serving.get("sales", by=name, **more)
        assert refused.status_code == 422
        assert f"by={name}: lists, maps and structs cannot be grouped by" in refused.json()["detail"]


@pytest.mark.usefixtures("products")
def test_a_column_that_is_called_like_a_key_is_asked_for_by_its_dimension(serving: Client) -> None:
    assert pieces(serving, by="products.country") == [("made in FR", 3), (None, 28)]
    assert pieces(serving, by="products.line", where__products__line="Cars") == [("Cars", 3)]
    refused = serving.answered("sales", by="vendor")
    assert refused.status_code == 422
    assert "unknown key 'vendor'" in refused.json()["detail"]


def test_a_corrected_row_shows_in_the_next_answer_and_the_older_receipt_still_gives_the_older_name(
    products: Versions, stand: Stand, serving: Client
) -> None:
    question = {"by": "line", "measures": "pieces"}
    before = serving.answered("sales", **question)
    old = before.json()["receipt"]["id"]
    correct(products, "Boats")
    serving.until(lambda: serving.receipt("sales", by="line")["dimensions"]["products"]["version"] == 2)
    assert [row["line"] for row in serving.rows("sales", **question)] == ["Boats", "Cars", None]
    stand.commit([event(product=2, quantity=100)])
    stand.batch("sales")
    serving.until(lambda: len(serving.receipt("sales")["runs"]) == 2)
    then = serving.get("sales", as_of=old, **question)
    assert then.json()["rows"] == before.json()["rows"]
    assert then.headers["etag"] == before.headers["etag"]
    assert then.json()["receipt"]["dimensions"] == {"products": {"version": 1, "unmatched": 1}}
    assert serving.rows("sales", **question)[0] == {"line": "Boats", "pieces": 104}


@pytest.mark.long
def test_an_older_receipt_gives_the_older_name_however_many_versions_came_after(
    products: Versions, serving: Client
) -> None:
    def newest() -> int:
        version: int = serving.receipt("sales", by="line")["dimensions"]["products"]["version"]
        return version

    answers = []
    for n in range(1, KEPT + 4):
        answers.append(serving.answered("sales", by="line", measures="pieces").json())
        correct(products, f"Boats {n}")
        serving.until(lambda n=n: newest() == n + 1)
    for then in [*answers, *answers]:
        again = serving.get("sales", as_of=then["receipt"]["id"], by="line", measures="pieces")
        assert again.status_code == 200, again.text
        assert again.json()["rows"] == then["rows"]
    assert newest() == KEPT + 4
    assert pieces(serving, by="line")[0] == (f"Boats {KEPT + 3}", 4)


def test_a_receipt_whose_parts_are_pruned_is_gone_and_one_that_never_was_is_unknown(
    products: Versions, stand: Stand, serving: Client
) -> None:
    old = serving.receipt("sales", by="line")["id"]
    stand.batch("sales")
    stand.prune("sales")
    serving.until(lambda: len(serving.receipt("sales")["runs"]) == 2)
    gone = serving.get("sales", as_of=old, by="line")
    assert (gone.status_code, gone.json()["title"]) == (410, "That answer is not kept any more")
    assert "has been pruned" in gone.json()["detail"]
    places = ((9, 9, "sales"), (9, stand.seq, "sales"), (1, stand.seq + 1, "sales"), (1, stand.seq, "other"))
    unknown = [f"s{generation}.{seq}.d1.{tag(view)}00000000" for generation, seq, view in places]
    too_large = f"s1.{stand.seq}.d{10**20}.{tag('sales')}00000000"
    malformed = [(each, "is no receipt's id") for each in ("s1", too_large)]
    for wrong, says in (*malformed, *((each, "has no such receipt") for each in unknown)):
        refused = serving.get("sales", as_of=wrong)
        assert refused.status_code == 422
        assert says in refused.json()["detail"]


def test_a_dimension_that_was_never_read_is_said_and_totals_go_on(
    stand: Stand, sales: ViewSpec, serving: Client
) -> None:
    Joins(stand.layout, sales.name).set(["products"])
    stand.commit(LINES)
    serving.until(lambda: serving.answered("sales").status_code == 200)
    serving.until(lambda: serving.get("sales", by="line").status_code == 503)
    said = serving.get("sales", by="line").json()
    assert "dimension products has never been read" in said["detail"]
    assert pieces(serving) == [(31,)]


def test_a_view_says_which_dimensions_it_has_and_since_when(products: Versions, serving: Client) -> None:
    products.checked()
    products.checked(problem="the database does not answer")
    serving.until(lambda: bool(serving.http.get("/v1/views/sales").json().get("dimensions")))
    told = serving.http.get("/v1/views/sales").json()["dimensions"]["products"]
    assert (told["key"], told["version"], told["columns"]) == ("product", 1, {"line": "string", "country": "string"})
    assert told["problem"] == "the database does not answer"
    assert told["at"] > 0


def test_what_is_the_same_makes_no_new_version(products: Versions) -> None:
    assert products.add(pa.table(PRODUCTS).take([1, 0]), key="product") is None
    version = products.add(pa.table({**PRODUCTS, "line": ["Cars", "Boats"]}), key="product")
    assert version is not None
    assert version.n == 2
    assert products.read(version)["line"].to_pylist() == ["Cars", "Boats"]
