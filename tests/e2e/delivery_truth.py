"""What the views of the delivery must answer, counted in plain Python from the files that were fed."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from e2e_oracle import Oracle
from e2e_system import Example

FOLDER = Path(__file__).parents[2] / "examples" / "delivery"
SLOWEST = 60
Groups = dict[tuple[Any, ...], dict[str, Any]]


def told(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """The positions of lines, each once; those that are broken left out."""
    found = dict[tuple[str, str], dict[str, Any]]()
    for line in lines:
        try:
            position = json.loads(line, parse_float=Decimal)
        except ValueError:
            continue
        found.setdefault((position["courier"], position["at"]), position)
    return [{**p, "at": datetime.fromisoformat(p["at"])} for p in found.values()]


def eta(lines: Iterable[bytes]) -> Groups:
    groups = defaultdict[tuple[Any, ...], list[dict[str, Any]]](list)
    for p in told(lines):
        bucket = p["at"] - timedelta(minutes=p["at"].minute % 5, seconds=p["at"].second)
        groups[p["zone"], bucket].append(p)
    return {group: _waits(positions) for group, positions in groups.items()}


def couriers(lines: Iterable[bytes]) -> Groups:
    groups = defaultdict[tuple[Any, ...], list[dict[str, Any]]](list)
    for p in told(lines):
        groups[(p["courier"],)].append(p)
    last = {group: max(positions, key=lambda p: p["at"]) for group, positions in groups.items()}
    return {
        group: {"lat": _six(p["lat"]), "lon": _six(p["lon"]), "seen": p["at"], "positions": len(groups[group])}
        for group, p in last.items()
    }


def _waits(positions: list[dict[str, Any]]) -> dict[str, Any]:
    going = [p for p in positions if p["order_number"] is not None]
    seconds = [p["metres_left"] * 60 // max(p["speed"], SLOWEST) for p in going]
    return {
        "average": sum(seconds) / len(seconds) if seconds else None,
        "longest": max(seconds, default=None),
        "couriers": len({p["courier"] for p in positions}),
        "positions": len(going),
    }


def _six(value: Decimal) -> Decimal:
    return Decimal(value).quantize(Decimal("1e-6"), ROUND_HALF_UP)


DELIVERY = Example(
    FOLDER,
    "delivery.positions.v1",
    {"eta": Oracle(("zone",), "5m", eta), "couriers": Oracle(("courier",), None, couriers)},
)
