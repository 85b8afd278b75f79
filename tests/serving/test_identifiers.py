"""Names that would be something else in SQL, if they came into it: a column called so is a column, and a question
that names one that is not there is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from serving_stand import MEASURES, Client, Stand, ViewSpec, event, serve

from dovetail.shared.dimensions import Joins, Versions

NAUGHTY = [
    '"; DROP TABLE sales; --', 'a"b', "a'b", "a`b", "a\nb", "a\\", "\u202eevil", "\ufeff", "x" * 300, "select",
    "group", "null", "order by 1", "*", "?", "$1", "{x}", "%s", "_bucket", "_rows", "_n", "_key0", "_asked", "r",
    "a/**/b", "a--b", " ", "é", "\U0001f573", "of products", "count(*)", "1", "-1", "products", "key",
    *sorted({state.column for measure in MEASURES.values() for state in measure.states}),
]  # fmt: skip
"""Of columns; none has U+0000 in it, where a name ends that Arrow hands on."""
NEVER = ["a\0b", "\0", "x" * 8_000]
LINES = [event(country="FR", product=1), event(country="DE", product=2), event(country="DE", product=2)]


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A view with a dimension that has a column of each such name, which no declaration of a key would be let have."""
    folder = tmp_path_factory.mktemp("names")
    stand = Stand(folder / "data")
    stand.attach(ViewSpec("sales", measures={**MEASURES, 'a"b': MEASURES["lines"]}))
    Joins(stand.layout, "sales").set(["products"])
    columns = {name: [f"{n} one", f"{n} two"] for n, name in enumerate(NAUGHTY)}
    Versions(stand.layout, "products").add(pa.table({"product": ["1", "2"], **columns}), key="product")
    stand.commit(LINES)
    stand.batch("sales")
    stand.commit(LINES)
    with serve(folder, stand) as client:
        client.until(lambda: len(client.receipt("sales")["runs"]) == 2)
        yield client


def rows(sales: Client, **body: Any) -> list[dict[str, Any]]:
    answer = sales.http.post("/v1/views/sales/query", json={"measures": ["lines"], **body})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["rows"]
    return found


@pytest.mark.parametrize("n", range(len(NAUGHTY)), ids=lambda n: ascii(NAUGHTY[n])[:20])
def test_a_column_of_such_a_name_is_a_column(sales: Client, n: int) -> None:
    name = f"products.{NAUGHTY[n]}"
    one, two = {name: f"{n} one", "lines": 2}, {name: f"{n} two", "lines": 4}
    assert rows(sales, by=[name], order_by=[f"-{name}"]) == [two, one]
    assert [row["lines"] for row in rows(sales, by=[name], order_by=["lines"], bucket="1d")] == [2, 4]
    short = sales.http.post("/v1/views/sales/query", json={"by": [NAUGHTY[n]], "bucket": "1d", "window": "2d"})
    assert short.status_code in (200, 422), "a name that is that of something else has to be said in full"
    assert rows(sales, where={name: f"{n} two"}) == [{"lines": 4}]
    assert rows(sales, where={name: {"prefix": f"{n} o"}}, by=[name]) == [one]
    assert rows(sales, where={name: {"not": [f"{n} two", None]}}, by=[name]) == [one]


@pytest.mark.parametrize("name", [*NAUGHTY, *NEVER], ids=lambda name: ascii(name)[:20])
def test_what_is_not_there_is_refused_and_nothing_of_it_is_run(sales: Client, name: str) -> None:
    for body in ({"by": [f"no {name}"]}, {"where": {f"no {name}": 1}}, {"measures": [f"no {name}"]},
                 {"having": {f"no {name}": 1}}, {"order_by": [f"no {name}"]}, {"tz": f"no {name}"},
                 {"start": f"no {name}"}, {"bucket": f"no {name}"}):  # fmt: skip
        refused = sales.http.post("/v1/views/sales/query", json=body)
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:dovetail:query"), body
    key = {"country": name, "product": 1}
    looked = sales.http.post("/v1/views/sales/lookup", json={"keys": [key], "measures": ["lines"]})
    assert looked.json()["rows"] == [{**key, "lines": 0}]
    assert rows(sales, where={"country": name}, by=["country"]) == []
    assert rows(sales) == [{"lines": 6}], "nothing was dropped"


def test_a_measure_of_such_a_name_is_a_measure(sales: Client) -> None:
    assert rows(sales, measures=['a"b'], order_by=['-a"b'], by=["country"]) == [
        {"country": "DE", 'a"b': 4},
        {"country": "FR", 'a"b': 2},
    ]
    assert rows(sales, measures=['a"b'], having={'a"b': {"gt": 2}}, by=["country"]) == [{"country": "DE", 'a"b': 4}]
