"""What the shop's views must answer, counted in plain Python from the JSON that was sent."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, time
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from e2e_oracle import Oracle
from e2e_system import Example

Line = dict[str, Any]


def sales(records: Iterable[Any]) -> dict[tuple[Any, ...], dict[str, Any]]:
    groups = _grouped(records, lambda at: at.replace(minute=0, second=0, microsecond=0), "postal_code", "product_code")
    return {
        group: {
            "lines": len(lines),
            "cancelled": sum(_status(line) == "Cancelled" for line in lines),
            "revenue": sum(line["quantity"] * line["price"] for line in lines),
            "profit": sum(line["quantity"] * (line["price"] - line["buy_price"]) for line in lines),
            "biggest": max(line["quantity"] for line in lines),
            "average_price": (sum(line["price"] for line in lines) / len(lines)).quantize(
                Decimal("1e-6"), ROUND_HALF_UP
            ),
        }
        for group, lines in groups.items()
    }


def arrivals(records: Iterable[Any]) -> dict[tuple[Any, ...], dict[str, Any]]:
    groups = _grouped(records, lambda at: datetime.combine(at.date(), time(), UTC), "country", "status")
    return {
        group: {
            "lines": len(lines),
            "pieces": sum(line["quantity"] for line in lines),
            "shipped_late": sum((line["shipped_date"] or "") > line["required_date"] for line in lines),
            "cheapest": min(line["price"] for line in lines),
            "dearest": max(line["price"] for line in lines),
        }
        for group, lines in groups.items()
    }


ORACLES = {
    "sales": Oracle(("postal_code", "product_code"), "1h", sales),
    "arrivals": Oracle(("country", "status"), "1d", arrivals),
}

SHOP = Example(Path(__file__).parents[2] / "examples" / "shop", "shop.order-lines.v1", ORACLES)


def _grouped(
    records: Iterable[Any], bucket: Callable[[datetime], datetime], *keys: str
) -> dict[tuple[Any, ...], list[Line]]:
    groups = defaultdict[tuple[Any, ...], list[Line]](list)
    for record in records:
        if record.kind == "broken":
            continue
        line = json.loads(record.value, parse_float=Decimal)
        values = {key: _status(line) if key == "status" else line[key].strip() or None for key in keys}
        groups[*values.values(), bucket(datetime.fromisoformat(line["ordered_at"]))].append(line)
    return groups


def _status(line: Line) -> str | None:
    status = str(line["status"]).strip().title()
    return "Cancelled" if status == "Canceled" else status or None
