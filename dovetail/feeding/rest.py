"""Reads the pages of a REST API, one after the other, and the last one again as it grows."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx

from dovetail.client.patience import Outcome, Patience
from dovetail.client.server import HERE
from dovetail.feeding.parts import Marks, Part, Row, cut
from dovetail.feeding.shape import of_documents
from dovetail.feeding.values import key, read, written
from dovetail.shared.errors import Mend, ServiceMissing
from dovetail.shared.feed import Rest

MARK = "page"
PATIENCE = Patience(retries=60, seconds=300.0, statuses=(408, 429, *range(500, 600)))
"""How long an API may be away, or ask to be left alone."""


class RestReader:
    """Its mark is the page that is read: its address, how many of its items are fed, and a digest of those."""

    settle = 0.0

    def __init__(
        self,
        feed: Rest,
        headers: Mapping[str, str],
        *,
        sleep: Callable[[float], object] = time.sleep,
        patience: Patience = PATIENCE,
    ) -> None:
        self._feed, self._sleep, self._patience, self._due = feed, sleep, patience, 0.0
        self._first = httpx.URL(feed.url)
        here = self._first.host in HERE
        self._http = httpx.Client(headers=dict(headers), timeout=httpx.Timeout(60, connect=10), trust_env=not here)

    def parts(self, marks: Marks) -> Iterator[Part]:
        """Raises Mend for a page that is none, or of which items that were fed are others now."""
        while True:
            mark = marks.get(MARK) or {"page": str(self._first), "items": 0, "digest": _digest([])}
            page, fed = httpx.URL(mark["page"]), int(mark["items"])
            items, next_ = self._page(page)
            rows = self._rows(items, page)
            if _digest(rows[:fed]) != mark["digest"]:
                raise self._error(f"the {fed:,} items of a page that were fed are others now", page)
            shape = of_documents(item for item in items if isinstance(item, dict))
            for piece, last in cut(iter(rows[fed:])):
                fed += len(piece)
                kept = {"page": str(page), "items": fed, "digest": _digest(rows[:fed])}
                if last and next_ is not None:
                    kept = {"page": str(next_), "items": 0, "digest": _digest([])}
                if piece or kept != mark:
                    yield Part(page.raw_path.decode(), piece, {MARK: kept}, shape)
            if next_ is None or not items:  # an empty page is the end for now, whatever comes next
                return

    def close(self) -> None:
        self._http.close()

    def _rows(self, items: list[Any], page: httpx.URL) -> list[Row]:
        try:
            return [self._row(item, f"{page.raw_path.decode()}#{n}") for n, item in enumerate(items, 1)]
        except ValueError as error:
            raise self._error("an item of a page cannot be written", page, str(error)) from None

    def _row(self, item: Any, place: str) -> Row:
        if not isinstance(item, dict):
            return Row(written(item), place, bad="not a JSON object")
        return Row(written(item), place, key(item.get(self._feed.key[0])) if self._feed.key else None)

    def _page(self, page: httpx.URL) -> tuple[list[Any], httpx.URL | None]:
        """Its items, and the page after it; None where there is none yet."""
        response = self._got(page)
        try:
            document = read(response.content)
            items = _field(document, self._feed.items)
            next_ = self._next(document) if self._feed.next else response.links.get("next", {}).get("url")
        except (ValueError, LookupError) as error:
            raise self._error("a page is not what it was declared to be", page, str(error)) from None
        if not isinstance(items, list):
            raise self._error(f"'{self._feed.items}' of a page is no list", page)
        if next_ in (None, "", False):
            return items, None
        if self._feed.cursor:
            after = self._first.copy_merge_params({self._feed.cursor: str(next_)})
        else:
            after = page.join(str(next_))
        if (after.scheme, after.host, after.port) != (self._first.scheme, self._first.host, self._first.port):
            raise self._error(f"the next page is at another server, {after.host}", page)
        return items, None if after == page else after

    def _next(self, document: Any) -> Any:
        """What the page says of the one after it; many APIs leave it out on the last one."""
        try:
            return _field(document, self._feed.next)
        except LookupError:
            return None

    def _got(self, page: httpx.URL) -> httpx.Response:
        attempts = self._patience.attempts()
        while True:
            self._pace()
            try:
                outcome: Outcome = self._http.get(page)
            except httpx.TransportError as error:
                outcome = error
            if isinstance(outcome, httpx.Response) and outcome.is_success:
                return outcome
            wait = attempts.wait(outcome)
            if wait is None:
                raise self._given_up(outcome, page)
            if self._sleep(wait):  # it was told to stop
                raise self._given_up(outcome, page)

    def _pace(self) -> None:
        if self._feed.rate:
            now = time.monotonic()
            if now < self._due:
                self._sleep(self._due - now)
            self._due = max(now, self._due) + 1 / self._feed.rate

    def _given_up(self, outcome: Outcome, page: httpx.URL) -> Mend | ServiceMissing:
        if isinstance(outcome, httpx.Response):
            if outcome.status_code not in self._patience.statuses:
                return self._error(f"the API refuses a page: HTTP {outcome.status_code}", page)
            why = f"HTTP {outcome.status_code}"
        else:
            why = str(outcome) or type(outcome).__name__
        return ServiceMissing("the API does not answer", where=f"feed {self._feed.name} at {page.host}", why=why)

    def _error(self, what: str, page: httpx.URL, why: str = "") -> Mend:
        return Mend(what, where=f"feed {self._feed.name} at {page.copy_with(query=None)}", why=why)


def _field(document: Any, path: str) -> Any:
    """What stands at a dotted path; the document itself where that is empty. Raises LookupError, ValueError."""
    for name in path.split(".") if path else ():
        if not isinstance(document, dict):
            raise ValueError(f"'{path}': there is no object around {name}")
        if name not in document:
            raise LookupError(f"there is no '{path}'")
        document = document[name]
    return document


def _digest(rows: list[Row]) -> str:
    return hashlib.sha256(b"\n".join(row.value for row in rows)).hexdigest()[:32]
