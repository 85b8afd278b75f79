"""What the shop's views must answer, counted in plain Python from the JSON that was sent and the dimensions' files."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from e2e_oracle import Between, Oracle
from e2e_system import Example

Line = dict[str, Any]
Groups = dict[tuple[Any, ...], dict[str, Any]]

FOLDER = Path(__file__).parents[2] / "examples" / "shop"


def told(records: Iterable[Any]) -> list[Line]:
    """The order lines of records, each once and cleaned, with what the dimensions say; null where they say nothing."""
    products, places = _dimension("dim_products", "productCode"), _dimension("dim_locations", "postalCode")
    lines = dict[tuple[int, int], Line]()
    for record in records:
        if record.kind != "broken":
            line = json.loads(record.value, parse_float=Decimal)
            lines[line["orderNumber"], line["orderLineNumber"]] = line | {
                "postalCode": line["postalCode"] or None,
                "status": line["status"].strip().title(),
                "orderAmount": line.get("orderAmount", line["quantityOrdered"] * line["priceEach"]),
                "orderDate": datetime.fromisoformat(line["orderDate"]),
                "productLine": products.get(line["productCode"], {}).get("productLine"),
                "country": places.get(line["postalCode"], {}).get("country"),
            }
    return [*lines.values()]


def sales(lines: Iterable[Line]) -> dict[str, Any]:
    """The measures of the view `sales`."""
    lines = list(lines)
    prices = [line["priceEach"] for line in lines]
    orders = len({line["orderNumber"] for line in lines})
    return {
        "lines": len(lines),
        "cancelled": sum(line["status"] == "Cancelled" for line in lines),
        "shipped_late": sum((line["shippedDate"] or "") > line["requiredDate"] for line in lines),
        "orders": orders,  # a sketch: exact for the few of a group; of many, the bounds are promised, and near
        "orders.low": Between(0.9 * orders, orders),
        "orders.high": Between(orders, 1.1 * orders + 1),
        "revenue": sum(line["orderAmount"] for line in lines),
        "margin": sum(line["orderAmount"] - line["quantityOrdered"] * line["buyPrice"] for line in lines),
        "average_price": (sum(prices) / len(prices)).quantize(Decimal("1e-6"), ROUND_HALF_UP),
        "largest": sorted((line["quantityOrdered"] for line in lines), reverse=True)[:3],
    }


def buyers(lines: Iterable[Line]) -> dict[str, Any]:
    """The measures of the view `buyers`."""
    lines = list(lines)
    orders = sorted({line["orderNumber"] for line in lines})
    return {
        "orders": {"values": orders[:1], "overflowed": len(orders) > 1},
        "orders.overflowed": len(orders) > 1,
        "revenue": sum(line["orderAmount"] for line in lines),
    }


def asked(
    view: str, *, by: tuple[str, ...] = (), bucket: str | None = None, measures: str = "", countries: str = ""
) -> Oracle:
    """A question and what is true; all measures where none is named, all countries likewise."""

    def truth(records: Iterable[Any]) -> Groups:
        groups = defaultdict[tuple[Any, ...], list[Line]](list)
        for line in told(records):
            if not countries or line["country"] in countries.split(","):
                groups[(*(line[key] for key in by), *([BUCKETS[bucket](line)] if bucket else []))].append(line)
        return {group: named(MEASURES[view](lines)) for group, lines in groups.items()}

    def named(true: dict[str, Any]) -> dict[str, Any]:
        names = measures.split(",") if measures else [name for name in true if "." not in name]
        return {name: true[name] for name in names}

    question = {"measures": measures, "where.country": countries}
    return Oracle(by, bucket, truth, {name: text for name, text in question.items() if text})


MEASURES = {"sales": sales, "buyers": buyers}
BUCKETS: dict[str, Callable[[Line], datetime]] = {
    "1h": lambda line: line["orderDate"].replace(minute=0, second=0, microsecond=0),
    "1d": lambda line: datetime.combine(line["orderDate"].date(), time(), UTC),
    "1mo": lambda line: datetime.combine(line["orderDate"].date().replace(day=1), time(), UTC),
}

QUESTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "which product lines are more successful": (
        "sales",
        {"by": ("productLine",), "measures": "revenue,margin,orders.low,orders.high"},
    ),
    "how sales are distributed across countries": ("sales", {"by": ("country",), "measures": "revenue,lines"}),
    "what total sales are": ("sales", {"measures": "revenue,lines,cancelled"}),
    "what the average price is": ("sales", {"measures": "average_price"}),
    "what the largest quantities of each product line are": ("sales", {"by": ("productLine",), "measures": "largest"}),
    "what two countries buy in each month": (
        "sales",
        {"by": ("country", "productLine"), "bucket": "1mo", "measures": "revenue,margin", "countries": "FR,DE"},
    ),
    "who buys again in the same month": (
        "buyers",
        {"by": ("customerNumber",), "bucket": "1mo", "measures": "orders.overflowed"},
    ),
}

ORACLES = {
    "sales": asked("sales", by=("postalCode", "productCode"), bucket="1h"),
    "buyers": asked("buyers", by=("customerNumber",), bucket="1d"),
}

SHOP = Example(FOLDER, "shop.fact-orders.v1", ORACLES)


def _dimension(name: str, key: str) -> dict[str, dict[str, str]]:
    with (FOLDER / "dims" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return {row[key]: row for row in csv.DictReader(file)}
