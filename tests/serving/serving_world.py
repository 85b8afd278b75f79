"""A history that grows step by step, and the ways to ask about it that must agree."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
from serving_stand import T0, Event, Stand, ViewSpec, event

from dovetail.serving.answer import finished, groups
from dovetail.serving.query import Asked
from dovetail.serving.store import Store
from dovetail.serving.view import View

COUNTRIES, PRODUCTS = ["FR", "DE", "", "a,b", None], [1, 2, -3, None]


def some(n: int, seed: int) -> list[Event]:
    r = random.Random(seed)
    return [
        event(
            country=r.choice(COUNTRIES),
            product=r.choice(PRODUCTS),
            quantity=r.choice([1, 2, 30, -4, None]),
            amount=r.choice([Decimal("0.01"), Decimal("99.90"), Decimal("-3.33"), None]),
            cancelled=r.random() < 0.2,
            ordered_at=r.choice([None, *[T0 + dt.timedelta(minutes=r.randrange(60 * 24 * 40)) for _ in range(9)]]),
        )
        for _ in range(n)
    ]


class World:
    """A history that grows by a commit, and now and then a batch, each time it is asked to."""

    def __init__(self, folder: Path) -> None:
        self.stand, self.store, self.steps = Stand(folder), Store(folder), 0
        self.stand.attach(ViewSpec("sales"))
        self.stand.attach(ViewSpec("totals", keys=()))
        self.stand.attach(ViewSpec("fine", bucket=900))
        self.step(60)

    def step(self, n: int = 12) -> None:
        self.steps += 1
        self.stand.commit(some(n, self.steps))
        if self.steps % 7 == 3:
            for name in self.stand.views:
                self.stand.batch(name, full=self.steps % 2 == 0)
        while not all(self.current(name) for name in self.stand.views):
            self.store.look()

    def view(self, name: str) -> View:
        found = self.store.view(name)
        assert found is not None
        return found

    def current(self, name: str) -> bool:
        view, manifest = self.store.view(name), self.stand.manifest(name).read()
        edition = view.published if view else None
        assert view is None or not view.problem, view.problem
        generation = manifest.generation if manifest else None
        return edition is not None and (edition.seq, edition.manifest.generation) == (self.stand.seq, generation)


def by_database(view: View, asked: Asked) -> list[dict[str, Any]]:
    with view._database.reading(view.name) as (cursor, _):
        edition = view.edition
        merged = groups(edition.shape, asked.plan, edition.tables, cursor)
    return list(orjson.loads(finished(edition.shape, asked.plan, merged).as_json().json))


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(",", "\\,")


def url(fields: dict[str, Any]) -> str:
    return urlencode(fields, doseq=True)
