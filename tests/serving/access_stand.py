"""A server that wants keys, two views, and who holds which grants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from serving_stand import Client, Event, Stand, ViewSpec, event, serve

from dovetail.shared import access, keys
from dovetail.shared.grants import Grant
from dovetail.shared.tables import Layout

PEPPER = "p" * 64
REQUIRED = {"required": True, "pepper": "env:DOVETAIL_TEST_PEPPER"}
COUNTRIES = ["FR", "DE", "US", None]


def give(layout: Layout, *grants: Grant, expires: float | None = None) -> str:
    """A key that holds these grants."""
    text, made = keys.made("test", tuple(g.name for g in grants), pepper=PEPPER.encode(), expires=expires)

    def change(held: access.Access) -> access.Access:
        for grant in grants:
            held = held.with_grant(grant)
        return held.with_keys(made)

    access.change(layout, change)
    return text


ALL = Grant("everything", roles=("read", "share", "operate", "promote", "admin"), views=("*",))


@dataclass
class Place:
    """A server, its storage, and a client that may do everything."""

    stand: Stand
    client: Client

    def as_(self, *grants: Grant, expires: float | None = None) -> httpx.Client:
        """A client with a key of its own."""
        key = give(self.stand.layout, *grants, expires=expires)
        return self.with_("Bearer " + key)

    def with_(self, authorization: str) -> httpx.Client:
        return httpx.Client(base_url=self.client.http.base_url, headers={"authorization": authorization}, timeout=30)


@contextmanager
def place(
    folder: Path, events: list[Event], *, sections: dict[str, Any] | None = None, **settings: Any
) -> Iterator[Place]:
    """Two views, sales and secrets, of the same records in a batch and in speed; `settings` are those of access."""
    stand = Stand(folder / "data")
    for name in ("sales", "secrets"):
        stand.attach(ViewSpec(name, keys=("country", "product", "price")))
    half = len(events) // 2
    stand.commit(events[:half])
    for name in ("sales", "secrets"):
        stand.batch(name)
    stand.commit(events[half:])
    with serve(
        folder, stand, key=give(stand.layout, ALL), access={**REQUIRED, **settings}, **(sections or {})
    ) as client:
        for name in ("sales", "secrets"):
            client.until(lambda of=name: len(client.receipt(of)["runs"]) == 2)  # type: ignore[misc]
            client.rows(name)
        yield Place(stand, client)


def some() -> list[Event]:
    return [event(country=c, product=p) for c in COUNTRIES for p in (1, 2, 13) for _ in range(p)]
