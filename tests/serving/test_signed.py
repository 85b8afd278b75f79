"""Signed rows served: what batch gave and speed took back is gone, and a group of nothing says so."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from serving_stand import STATE_TYPES, Event, Stand, ViewSpec, event, serve

from dovetail.shared.measures import avg, count, ratio, sum_, variance

MEASURES = {
    "n": count(sign="sign"), "revenue": sum_("amount", sign="sign"), "mean": avg("amount", sign="sign"),
    "spread": variance("amount", population=True, sign="sign"), "share": ratio(count(sign="sign"), count()),
}  # fmt: skip
SQUARE = "(amount) * ((amount) * 1BD)"


def signed(sign: int, amount: str, country: str) -> Event:
    """A row with what Spark would make of the conditions on its sign."""
    value = Decimal(amount)
    wheres = {s.where for m in MEASURES.values() for s in m.states if s.where}
    taken = {where: f"= {sign} ELSE" in where for where in wheres}
    return event(country=country, amount=value, **{SQUARE: value * value}, **taken)


def test_what_is_taken_back_is_gone_whichever_layer_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STATE_TYPES, SQUARE, pa.decimal128(38, 4))
    stand = Stand(tmp_path / "data")
    stand.attach(ViewSpec("sales", keys=("country",), measures=MEASURES))
    stand.commit([signed(1, "10.00", "FR"), signed(1, "5.00", "DE"), signed(1, "20.00", "FR")])
    stand.batch("sales")
    stand.commit([signed(-1, "10.00", "FR"), signed(1, "21.00", "FR"), signed(-1, "5.00", "DE")])
    gone: dict[str, Any] = {"n": 0, "revenue": None, "mean": None, "spread": None, "share": 0.0}
    left = {"n": 2, "revenue": "41.00", "mean": "20.500000", "spread": 0.25, "share": 0.5}
    with serve(tmp_path, stand) as client:
        asked = {"by": "country", "order_by": "country", "measures": ",".join(MEASURES)}
        assert client.rows("sales", **asked) == [{"country": "DE", **gone}, {"country": "FR", **left}]
        assert client.rows("sales", **asked, having__n__gt=0) == [{"country": "FR", **left}]
        assert client.rows("sales", measures="n,revenue,spread") == [{k: left[k] for k in ("n", "revenue", "spread")}]
        assert client.rows("sales", layer="batch", measures="n,revenue") == [{"n": 3, "revenue": "35.00"}]
