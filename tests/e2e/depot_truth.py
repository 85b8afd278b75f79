"""What the depot's views must answer, counted in plain Python from what was sent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from depot_scans import Record, Scan
from e2e_oracle import Oracle
from e2e_system import Example

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def flow(records: Iterable[Record]) -> dict[tuple[Any, ...], dict[str, Any]]:
    groups = _grouped(records, lambda s: [(s.depot, _tidy(s.lane), _bucket(s.scanned_at, HOUR))])
    return {
        group: {
            "scans": len(scans),
            "damaged": sum(s.damaged is True for s in scans),
            "weight": _sum(s.weight for s in scans),
            "postage": _sum(s.weight and s.weight * Decimal("1.25") for s in scans),
            "lightest": min(_there(s.weight for s in scans), default=None),
            "heaviest": max(_there(s.weight for s in scans), default=None),
            "mean": _mean(_there(s.weight for s in scans)),
            "heat": _sum(s.heat for s in scans),
        }
        for group, scans in groups.items()
    }


def promised(records: Iterable[Record]) -> dict[tuple[Any, ...], dict[str, Any]]:
    groups = _grouped(records, lambda s: [(s.due, tag) for tag in s.tags or ()])
    return {
        group: {
            "rows": len(scans),
            "weight": _sum(s.weight for s in scans),
            "first": min(s.scanned_at for s in scans),
        }
        for group, scans in groups.items()
    }


def totals(records: Iterable[Record]) -> dict[tuple[Any, ...], dict[str, Any]]:
    return _totals(records, heavy=10)


def totals_of_heavier(records: Iterable[Record]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The totals once the declaration counts only those above 20 as heavy."""
    return _totals(records, heavy=20)


def seen(records: Iterable[Record]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """How often each scan was counted: a wrong answer names the record that was lost or doubled."""
    groups = _grouped(records, lambda s: [(s.scan_id,)])
    return {group: {"times": len(scans)} for group, scans in groups.items()}


ORACLES = {
    "seen": Oracle(("scan_id",), None, seen),  # first: what it says names the record
    "flow": Oracle(("depot", "lane"), "1h", flow),
    "promised": Oracle(("due", "tag"), None, promised),
    "totals": Oracle((), "1d", totals),
}

DEPOT = Example(Path(__file__).parent / "depot", "depot.scans", ORACLES)


def _totals(records: Iterable[Record], *, heavy: int) -> dict[tuple[Any, ...], dict[str, Any]]:
    groups = _grouped(records, lambda s: [(_bucket(s.scanned_at, DAY),)])
    return {
        group: {
            "scans": len(scans),
            "heavy": sum(s.weight is not None and s.weight > heavy for s in scans),
            "weight": _sum(s.weight for s in scans),
        }
        for group, scans in groups.items()
    }


def _grouped(
    records: Iterable[Record], groups_of: Callable[[Scan], Sequence[tuple[Hashable, ...]]]
) -> dict[tuple[Any, ...], list[Scan]]:
    groups = defaultdict[tuple[Any, ...], list[Scan]](list)
    for scan in first_ones(records):
        for group in groups_of(scan):
            groups[group].append(scan)
    return groups


def first_ones(records: Iterable[Record]) -> Collection[Scan]:
    """Each scan once, however often it was sent: all that was sent lies within the horizon."""
    return {r.scan.scan_id: r.scan for r in records if r.scan}.values()


def _tidy(lane: str | None) -> str | None:
    return (lane or "").strip().upper() or None


def _bucket(moment: datetime, width: timedelta) -> datetime:
    return EPOCH + (moment - EPOCH) // width * width


def _there(values: Iterable[Any]) -> list[Any]:
    return [v for v in values if v is not None]


def _sum(values: Iterable[Any]) -> Any:
    there = _there(values)
    return sum(there) if there else None


def _mean(weights: Sequence[Decimal]) -> Decimal | None:
    """Of decimals with 3 places: 4 more, rounded half up."""
    return (sum(weights) / Decimal(len(weights))).quantize(Decimal("1e-7"), ROUND_HALF_UP) if weights else None
