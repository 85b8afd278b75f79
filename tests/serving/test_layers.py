"""What one layer alone holds of an answer: the two add up to the merged one, say which they are, and tell no more."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from access_stand import PEPPER, place, some
from serving_stand import Client, Stand, ViewSpec, event

from dovetail.shared.grants import Grant

FIXED = {"where__product": 1}
"""Leaves one group of keys, whose answers are kept in memory."""


@pytest.fixture
def sales(stand: Stand, serving: Client) -> ViewSpec:
    """Three records below the cut, two of them FR, and two FR above it."""
    spec = stand.attach(ViewSpec("sales"))
    stand.commit([event(), event(), event(country="DE")])
    stand.batch("sales")
    serving.until(lambda: serving.receipt("sales")["runs"] != ["origin"])
    stand.commit([event(amount=Decimal("0.50")), event(quantity=9)])
    serving.rows("sales")
    return spec


def by_country(serving: Client, measure: str, **asked: Any) -> dict[str, Any]:
    return {row["country"]: row[measure] for row in serving.rows("sales", by="country", measures=measure, **asked)}


def test_a_layer_answers_from_its_own_rows(sales: ViewSpec, serving: Client) -> None:
    for measure, batch, speed in (
        ("lines", {"DE": 1, "FR": 2}, {"FR": 2}),
        ("revenue", {"DE": "10.00", "FR": "20.00"}, {"FR": "10.50"}),
        ("most", {"DE": 2, "FR": 2}, {"FR": 9}),
    ):
        assert by_country(serving, measure, layer="batch") == batch
        assert by_country(serving, measure, layer="speed") == speed


def test_a_layers_answer_is_no_other_ones_before_and_after_a_commit_and_a_batch(
    sales: ViewSpec, stand: Stand, serving: Client
) -> None:
    def lines(**asked: Any) -> int:
        return int(serving.rows("sales", measures="lines", where__country="FR", **asked)[0]["lines"])

    def each(**fixed: Any) -> tuple[int, int, int]:
        return lines(**fixed), lines(**fixed, layer="batch"), lines(**fixed, layer="speed")

    assert each() == each(**FIXED) == (4, 2, 2)
    stand.commit([event()])
    assert each() == each(**FIXED) == (5, 2, 3)
    stand.batch("sales")
    serving.until(lambda: len(serving.receipt("sales")["runs"]) == 3)
    assert each() == each(**FIXED) == (5, 5, 0)


def test_the_receipt_says_the_layer_and_stands_for_its_answer(sales: ViewSpec, serving: Client) -> None:
    receipts = {layer: serving.receipt("sales", layer=layer) for layer in (None, "batch", "speed")}
    assert {layer: receipt.get("layer") for layer, receipt in receipts.items()} == {layer: layer for layer in receipts}
    assert len({receipt["id"] for receipt in receipts.values()}) == 3
    parsed = serving.http.get("/v1/views/sales/query?layer=batch", headers={"accept": "text/csv"})
    assert orjson.loads(parsed.headers["dovetail-receipt"])["layer"] == "batch"


def test_the_layers_of_an_earlier_answer_are_those_of_then(sales: ViewSpec, stand: Stand, serving: Client) -> None:
    then = serving.receipt("sales")["id"]
    stand.commit([event()] * 3)
    stand.batch("sales")
    serving.until(lambda: len(serving.receipt("sales")["runs"]) == 3)
    assert by_country(serving, "lines", layer="batch", as_of=then) == {"DE": 1, "FR": 2}
    assert by_country(serving, "lines", layer="speed", as_of=then) == {"FR": 2}


def test_before_the_first_batch_its_layer_holds_nothing(stand: Stand, serving: Client) -> None:
    stand.attach(ViewSpec("sales"))
    stand.commit([event()])
    assert serving.rows("sales", by="country", layer="batch") == []
    assert serving.rows("sales", measures="lines", layer="batch") == [{"lines": 0}]
    assert serving.rows("sales", measures="lines", layer="speed") == [{"lines": 1}]


def test_a_stream_is_of_the_layer_that_is_asked(sales: ViewSpec, serving: Client) -> None:
    with serving.http.stream("GET", "/v1/views/sales/live?measures=lines&layer=speed") as stream:
        told = next(line for line in stream.iter_lines() if line.startswith("data:"))
    assert orjson.loads(told.removeprefix("data:"))["rows"] == [{"lines": 2}]


def test_what_is_no_layer_or_has_none_is_refused(sales: ViewSpec, serving: Client) -> None:
    unknown = serving.get("sales", layer="bach")
    assert (unknown.status_code, "did you mean 'batch'" in unknown.json()["detail"]) == (422, True)
    body = {"keys": [{"country": "FR", "product": 1}], "layer": "batch"}
    lookup = serving.http.post("/v1/views/sales/lookup", json=body)
    assert (lookup.status_code, lookup.json()["detail"]) == (422, "layer is of a query, not of a lookup")
    sql = serving.http.post("/v1/sql", json={"sql": "SELECT MEASURE(lines) FROM sales", "layer": "batch"})
    assert sql.status_code == 422


def test_rows_and_masks_of_a_grant_hold_for_a_layer_and_a_floor_lets_none_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOVETAIL_TEST_PEPPER", PEPPER)
    with place(tmp_path, some()) as guarded:
        masked = Grant("masked", views=("sales",), rows={"country": ["FR", "US"]}, columns={"country": "last(1)"})
        with guarded.as_(masked) as http:
            asked = "/v1/views/sales/query?by=country&measures=lines"
            merged, batch, speed = (
                {row["country"]: row["lines"] for row in http.get(asked + layer).json()["rows"]}
                for layer in ("", "&layer=batch", "&layer=speed")
            )
            assert set(merged) == {"***R", "***S"}
            assert merged == {country: batch.get(country, 0) + speed.get(country, 0) for country in merged}
            assert 0 < sum(batch.values()) < sum(merged.values())
            assert http.get("/v1/views/sales").json()["additive"] == ["lines", "cancelled", "revenue", "pieces"]
        with guarded.as_(Grant("floored", views=("sales",), floor=3)) as http:
            refused = http.get("/v1/views/sales/query?layer=speed")
            assert refused.status_code == 422
            assert "floor" in refused.json()["detail"]
            assert http.get("/v1/views/sales").json()["additive"] == []
