"""Two servers of one storage, whose runs one holds in memory and the other in Trino: what they must say alike."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pyarrow as pa
import pytest
from access_stand import ALL, give
from datasketches import hll_sketch, tgt_hll_type
from serving_stand import STATE_TYPES, T0, Client, Event, Stand, ViewSpec, event, serve
from serving_world import some

from dovetail.shared.dimensions import Joins, Versions
from dovetail.shared.measures import Measure, approx_distinct, count, min_, sum_, variance

LOADED = 300.0
"""Seconds: a Trino that has just begun takes its time for its first statements."""
EXACT = "lines,cancelled,revenue,pieces,least,most,average"
KINDS: dict[str, Measure] = {
    "lines": count(), "total": sum_("ratio"), "least": min_("name"), "who": approx_distinct("sketch"),
    "spread": variance("moments"), "low": min_("ratio"),
}  # fmt: skip
"""What comes over as it is stored, but for the first and the third."""
KEYS = ("country", "day", "vip", "price", "big", "raw", "ratio")
SALES: list[dict[str, Any]] = [
    {"by": "country"},
    {"by": "country,product", "bucket": "1h"},
    {"by": "product", "where__country": "FR,DE"},
    {"where__country": "null"},
    {"where__country__not": "FR,null", "by": "product"},
    {"where__country__not": "DE"},
    {"where__country__prefix": "a", "by": "country"},
    {"where__product__gte": "1", "where__country": "FR,null", "by": "product"},
    {"where__product__lt": "-2"},
    {"where__product": "77", "by": "country"},
    {"where__country": "it's", "by": "country"},
    {"where__country": "FR", "where__product": "1"},
    {"where__country": "FR", "where__product": "1", "bucket": "1d", "start": "2026-03-02", "end": "2026-03-20"},
    {"bucket": "1d", "tz": "Europe/Paris"},
    {"bucket": "1w"},
    {"bucket": "1w", "start": "2026-03-04", "end": "2026-03-25"},
    {"bucket": "1mo", "by": "product"},
    {"bucket": "1d", "window": "7d", "start": "2026-03-05", "end": "2026-03-09", "by": "country"},
    {"bucket": "1d", "fill": "zero", "start": "2026-03-01", "end": "2026-03-09", "where__product": "2"},
    {"start": "2026-03-02T05:00", "end": "2026-03-09", "by": "country"},
    {"start": "2031-01-01"},
    {"by": "product", "having__lines__gte": "20", "order_by": "-revenue"},
    {"by": "country,product", "order_by": "product", "limit": "3"},
    {"by": "vendor", "order_by": "-lines"},
    {"by": "vendor,country", "where__vendor": "Min Lin,null", "bucket": "1d"},
    {"by": "country", "layer": "batch"},
    {"by": "country", "layer": "speed"},
]
OF_KINDS: list[dict[str, Any]] = [
    {},
    {"by": "country"},
    {"by": ",".join(KEYS)},
    {"by": "ratio", "measures": "lines,least"},
    {"by": "country", "measures": "total"},
    {"measures": "total,low"},
    {"by": "country", "measures": "who.low,who"},
    {"by": "raw", "where__day__gte": "2026-03-02", "measures": "lines,least"},
    {"where__price": "1.50,2.25", "by": "vip", "measures": "lines"},
    {"where__vip": "true", "where__raw": "eA==", "by": "big"},
    {"where__ratio__gt": "0.3", "measures": "lines,least"},
    {"where__big__lt": "-1", "by": "price", "bucket": "1d", "measures": "lines,least"},
]


class Answers(NamedTuple):
    """The same question of both."""

    held: httpx.Response
    trino: httpx.Response


class Two:
    """Both servers, and the storage under them."""

    def __init__(self, stand: Stand, held: Client, trino: Client) -> None:
        self.stand, self.held, self.trino = stand, held, trino

    def asked(self, view: str, **question: Any) -> Answers:
        return Answers(self.held.answered(view, **question), self.trino.answered(view, **question))

    def agree(self) -> None:
        """All the questions, byte for byte; each server twice, the second time from what it has kept."""
        for view, questions in (("sales", SALES), ("kinds", OF_KINDS)):
            self.settled(view)
            for question in questions:
                given = question if view == "kinds" else {"measures": EXACT, **question}
                alike(self.asked(view, **given))
                alike(self.asked(view, **given))

    def settled(self, view: str) -> None:
        """Waits until both answer from the newest manifest."""
        now = self.stand.manifest(view).read()
        assert now is not None

        def there(client: Client) -> bool:
            answer = client.get(view, measures="lines")
            return answer.status_code == 200 and answer.json()["receipt"]["id"].startswith(f"s{now.generation}.")

        for client in (self.held, self.trino):
            client.until(lambda of=client: there(of), LOADED)  # type: ignore[misc]


def alike(answers: Answers) -> None:
    """They say the same but for how far behind they are."""
    assert answers.held.status_code == answers.trino.status_code == 200, answers.trino.text
    one, other = (a.text.partition('"receipt"')[0] for a in answers)
    assert one == other, str(answers.held.url)
    receipts = [a.json()["receipt"] for a in answers]
    assert [{**r, "behind": None} for r in receipts] == [{**receipts[0], "behind": None}] * 2
    assert answers.held.headers["etag"] == answers.trino.headers["etag"]


@contextmanager
def both(folder: Path, stand: Stand, trino: dict[str, Any], **sections: Any) -> Iterator[Two]:
    """The two servers; `trino` are those settings."""
    key = give(stand.layout, ALL) if "access" in sections else ""
    with (
        serve(folder, stand, key=key, **sections) as held,
        serve(folder, stand, key=key, serving={"engine": "trino"}, trino=trino, **sections) as other,
    ):
        yield Two(stand, held, other)


def attached(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """The views that are asked, and a dimension of one."""
    moments = pa.struct({"n": pa.int64(), "mean": pa.float64(), "m2": pa.float64()})
    monkeypatch.setitem(STATE_TYPES, "moments", moments)
    monkeypatch.setitem(STATE_TYPES, "sketch", pa.binary())
    stand.attach(ViewSpec("sales"))
    stand.attach(ViewSpec("kinds", keys=KEYS, measures=KINDS))
    names = pa.table({"product": ["1", "2"], "vendor": ["Min Lin", "Classic"]})
    Versions(stand.layout, "products").add(names, key="product")
    Joins(stand.layout, "sales").set(["products"])


def records(n: int, seed: int) -> list[Event]:
    """Of all kinds of values."""
    r = random.Random(seed)
    found = [{**one, **_of_kinds(r)} for one in some(n, seed)]
    return [*found, event(**{**_of_kinds(r), "country": "it's"})]


def _of_kinds(r: random.Random) -> Event:
    sketch, x = hll_sketch(12, tgt_hll_type.HLL_8), r.choice([0.1, 1e9 / 3, -2.5, 1e-7])
    sketch.update(r.randrange(50))
    return {
        "day": r.choice([None, dt.date(2026, 3, 1), dt.date(1969, 12, 31), dt.date(2026, 3, 9)]),
        "vip": r.choice([None, True, False]), "price": r.choice([None, Decimal("1.50"), Decimal("2.25")]),
        "big": r.choice([None, 1, -(2**60), 2**60]), "raw": r.choice([None, b"x", b"\x00\xff", b""]),
        "ratio": r.choice([None, 0.1, 0.2, 0.7, 1e16]), "name": r.choice([None, "", "é", "z", "𝄞"]),
        "sketch": r.choice([None, sketch.serialize_compact()]), "moments": {"n": 1, "mean": x, "m2": 0.0},
        "ordered_at": T0 + dt.timedelta(minutes=r.randrange(60 * 24 * 12)),
    }  # fmt: skip
