"""A storage root that a Trino server reads, asked there and over HTTP, and the truth worked out from its records."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from serving_stand import Client, Event, Stand, ViewSpec, serve

from dovetail.shared.sections import Settings
from dovetail.shared.trino.client import Trino
from dovetail.shared.trino.sync import Synced, sync

Key = tuple[Any, ...]
Row = tuple[Any, ...]
MEASURES = ("lines", "cancelled", "revenue", "pieces", "least", "most", "average", "last")


class Lake:
    """One project's storage, in a schema of its own of the server's catalog `lake`."""

    def __init__(self, folder: Path, url: str, **trino: Any) -> None:
        self.stand, self.folder = Stand(folder / "data"), folder
        self.settings = Settings(
            folder=folder, trino={"url": url, "catalog": "lake", "schema_name": folder.name.replace("-", "_"), **trino}
        )

    def sync(self, *views: str) -> list[Synced]:
        return sync(self.settings, views or [*self.stand.views])

    def rows(self, statement: str) -> list[list[Any]]:
        """What Trino answers; `{s}` in the statement stands for the schema of the views."""
        trino = self.settings.trino
        return Trino(trino).rows(statement.replace("{s}", f'"lake"."{trino.schema_name}"'))

    def sales(self, measures: Sequence[str] = MEASURES) -> dict[Key, Row]:
        named = ", ".join(f'"{m}"' for m in measures)
        found = self.rows(f"SELECT country, product, bucket, {named} FROM {{s}}.sales")
        assert len({tuple(row[:3]) for row in found}) == len(found)
        return {tuple(row[:3]): tuple(row[3:]) for row in found}

    @contextmanager
    def served(self) -> Iterator[Client]:
        with serve(self.folder, self.stand) as client:
            yield client


def asked(client: Client) -> dict[Key, Row]:
    """All of sales as the API answers it."""
    rows = client.rows("sales", by="country,product", bucket="1h", measures=",".join(MEASURES), limit=10_000)
    return {
        (r["country"], r["product"], _time(r["bucket"])): tuple(
            Decimal(v) if name in ("revenue", "average") and v is not None else _time(v) if name == "last" else v
            for name, v in ((m, r[m]) for m in MEASURES)
        )
        for r in rows
    }


def truth(events: Sequence[Event], spec: ViewSpec) -> dict[Key, Row]:
    """All of sales, in plain Python."""
    groups = defaultdict[Key, list[Event]](list)
    for event in events:
        groups[event["country"], event["product"], spec.bucket_of(event)].append(event)
    return {key: _measured(members) for key, members in groups.items()}


def _measured(members: list[Event]) -> Row:
    amounts, pieces = _known(members, "amount"), _known(members, "quantity")
    mean = (sum(amounts) / len(amounts)).quantize(Decimal("0.000001"), ROUND_HALF_UP) if amounts else None
    return (
        len(members),
        sum(bool(e["cancelled"]) for e in members),
        sum(amounts) if amounts else None,
        sum(pieces) if pieces else None,
        min(pieces, default=None),
        max(pieces, default=None),
        mean,
        max(_known(members, "ordered_at"), default=None),
    )


def _known(members: list[Event], column: str) -> list[Any]:
    return [e[column] for e in members if e[column] is not None]


def _time(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
