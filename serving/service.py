"""What the routes share: finds a view, waits for what is asked for, answers and says so."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any, TypeVar

import anyio
from fastapi import Response

from dovetail.serving import embed, figures, links, live, query, status, tracing
from dovetail.serving.answer import Rows, Shown
from dovetail.serving.behind import Behind, LogEnd, kafka_of
from dovetail.serving.changes import Changes
from dovetail.serving.door import Door
from dovetail.serving.edition import Edition, tag
from dovetail.serving.fields import Fields, about, from_url
from dovetail.serving.figures import Figures
from dovetail.serving.formats import JSON, RECEIPT, WRITERS, body_of, header_of
from dovetail.serving.gone import ASKER, unless_gone
from dovetail.serving.limits import CORES, Fair, Lane
from dovetail.serving.links import Link
from dovetail.serving.live import Live, Told
from dovetail.serving.metrics import Metrics
from dovetail.serving.parts import Parts
from dovetail.serving.past import Receipt
from dovetail.serving.problems import Forbidden, Incomplete, NotFound, TooLarge, TooMuch
from dovetail.serving.query import Asked, Cursor
from dovetail.serving.seen import ALL, Seen, seen_by
from dovetail.serving.shape import Shape
from dovetail.serving.sql import statement
from dovetail.serving.sql_plan import Part, answered
from dovetail.serving.store import Store
from dovetail.serving.view import View
from dovetail.shared import audit, proofs
from dovetail.shared.errors import NotYet, QueryError, ServiceMissing, unknown
from dovetail.shared.grants import Principal
from dovetail.shared.position import RecordId
from dovetail.shared.settings import Settings
from dovetail.shared.tables import Layout

P = TypeVar("P")
T = TypeVar("T")

OF_ONE = {"Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}
"""The headers that keep an answer from being given to another, or in another form."""
AT_ONCE = 4
"""Answers looked up in the database at the same time; more would only share the same cores."""
LONG = 1.0
"""Seconds after which a look about more than named keys holds up no other such look: until then a core is left free."""
PAST_AT_ONCE = 1
"""Of an answer of the past: its rows are loaded, and looked up, for one at a time, and hold no place of those above."""
LIFE = 55.0
"""Seconds that a stream lasts where keys are needed: the client comes back, and has to show its key again."""
SHARE = 4
"""So many keys may have all streams that there are, where keys are needed."""
WAIT = 0.005
"""Seconds between two looks while an answer is waited for."""

log = logging.getLogger(__name__)


class Serving:
    """What the routes share: the store, the log's end, the metrics."""

    def __init__(self, settings: Settings, log_end: LogEnd | None, figures: Figures | None = None) -> None:
        limits = settings.limits.share(settings.serving.workers)
        self.metrics, self._figures = Metrics(), figures
        self.tracing = tracing.start(settings.telemetry.traces)
        self.parts = Parts(self.metrics.part, self.tracing.tracer)
        self.behind = Behind(log_end or kafka_of(settings))
        self.limits, self._fair = limits, Fair(limits)
        most = limits.live_streams
        share = max(most // SHARE, 1) if settings.access.required else most
        self.live = Live(self.told, most, share)
        self.metrics.streams.set_function(lambda: self.live.streams)
        self.store = Store(
            settings.storage.path, on_publish=self._published, on_fail=self.live.ring, seconds=limits.seconds,
            workers=settings.serving.workers, trino=settings.trino if settings.serving.engine == "trino" else None,
        )  # fmt: skip
        self.door = Door(settings)
        self._layout = Layout.of(settings)
        self._changes = Changes(self._layout)
        self.lookups, self.past = anyio.CapacityLimiter(AT_ONCE), anyio.CapacityLimiter(PAST_AT_ONCE)
        elsewhere = settings.serving.engine == "trino"  # which takes no core of this machine
        self.broad = Lane(AT_ONCE if elsewhere else max((CORES - 1) // settings.serving.workers, 1), LONG)

    def views(self, who: Principal) -> dict[str, View]:
        """The views that somebody may ask, by name."""
        return {name: view for name, view in sorted(self.store.views.items()) if who.grant(name)}

    def view(self, name: str, who: Principal) -> View:
        """A view that somebody may ask; to whom may not, it is not there."""
        view = self.store.view(name) if who.grant(name) else None
        if view is None and not self.store.looked:
            raise NotYet("the server has just started and is still looking for its views", next="ask again")
        if view is None:
            raise self._not_there(name, who)
        return view

    def seen(self, view: View, who: Principal, shape: Shape | None = None) -> Seen:
        """What of a view somebody may see."""
        grant = who.grant(view.name)
        if grant is None:
            raise self._not_there(view.name, who)
        if grant.whole and not view.sensitive:
            return ALL
        return seen_by(grant, shape or view.edition.shape, self.door.salt, view.sensitive)

    def admitted(self, who: Principal) -> AbstractContextManager[None]:
        """Counts a request of somebody while the block runs; raises TooMany. Where nobody is known all are let in."""
        return self._fair.admitted(who) if self.door.required else nullcontext()

    def note(self, who: Principal, what: str, response: Response, **fields: str) -> Response:
        """Writes into the audit log who asked what, where it is known who asks; gives the response on.

        Raises:
            ServiceMissing: it cannot be written, so that nobody is answered.
        """
        if self.door.required:
            of = {"receipt": response.headers.get("etag", "").removeprefix('W/"').removesuffix('"'), **fields}
            try:
                audit.write(self._layout, who.name, what, status=response.status_code, **of)
            except OSError as error:
                log.error("the audit log cannot be written, nobody is answered: %s", error)
                why = error.strerror or type(error).__name__
                raise ServiceMissing(f"the audit log cannot be written: {why}", next="dovetail doctor") from error
        return response

    async def answer(self, view: View, asked: Asked, kind: str, none_match: str, who: Principal) -> Response:
        """The answer to a checked question as it stands now, in the form that `kind` names."""
        if asked.at_least is not None or asked.max_age is not None:
            with self.parts("wait", view.name):
                await reached(view, asked, self.behind)
        found = view.at_hand(asked.plan) if kind == JSON else None
        edition = found[0] if found else view.edition
        _refuse_gaps(asked, edition)  # also of who has the answer already, asked for without that
        if none_match and edition.id(asked.plan) in none_match:
            return Response(status_code=304, headers=_headers(edition.id(asked.plan)))
        if kind != JSON:
            edition, shown = await self._looked_up(who, view.shown, asked.plan, view.name, edition.seq)
            return await self._shown(asked, edition, shown, kind, who)
        if found is None:
            found = await self._rows(who, view, asked.plan, edition.seq)
        edition, rows = found
        return self._said(asked, edition, rows)

    async def embedded(self, link: Link, none_match: str, who: Principal) -> Response:
        """The answer to the question of a link, as a document that others may have in theirs."""
        view = self.view(link.view, who)
        asked = view.asked(link.question, lambda: from_url(link.question), self.seen(view, who))
        edition = view.edition
        _refuse_gaps(asked, edition)
        if none_match and edition.id(asked.plan) in none_match:
            return Response(status_code=304, headers={**_headers(edition.id(asked.plan)), **embed.HEADERS})
        edition, shown = await self._looked_up(who, view.shown, asked.plan, view.name, edition.seq)
        receipt = self._receipt(asked, edition, shown)
        body = embed.document(shown, asked.plan, receipt)
        return self._sent(body, "text/html", {**_headers(receipt["id"]), **embed.HEADERS})

    def link(self, name: str, question: str, expires: str, who: Principal) -> dict[str, Any]:
        """A signed link to a question, and when it ends."""
        view, seconds = self.view(name, who), query.seconds("expires", expires)
        query.plan(view.edition.shape, live.checked(from_url(question)), self.seen(view, who))
        link = self.door.link(who, name, question, seconds=seconds)
        if link is None:
            raise Forbidden(
                f"you may make no link to {name}: that needs a key, and a grant of the view with the role share",
                next=f"dovetail access grant NAME --view {name} --role read --role share",
            )
        if len(question) > links.LONGEST:
            raise TooLarge(f"the question is longer than {links.LONGEST} characters", next="ask for less")
        return {"path": self.door.signed(link), "expires": link.exp}

    async def follow(self, view: View, who: Principal, fields: Fields, last: str) -> Response:
        """A stream of the answers to a question, from the one after the receipt `last` on, noted as asked for."""
        edition = view.published
        if edition is not None:  # also where the view is refused now
            query.plan(edition.shape, fields, self.seen(view, who, edition.shape))
        stream = await self.live.open(view, who, fields, last, life=LIFE if self.door.required else None)
        try:
            return self.note(who, "live", stream, view=view.name)
        except ServiceMissing:
            stream.leave()
            raise

    async def told(self, view: View, who: Principal, raw: str, fields: Fields) -> Told:
        """The answer to a question as streams send it."""
        ASKER.set(None)  # several streams may wait for it
        asked = view.asked(raw, lambda: fields, self.seen(view, who))
        found = view.at_hand(asked.plan)
        if found is None:
            found = await self._rows(who, view, asked.plan)
        edition, rows = found
        _refuse_gaps(asked, edition)
        receipt = self._receipt(asked, edition, rows)
        return Told.answer(receipt["id"], rows.json, body_of(rows.json, receipt), edition.token)

    async def answer_of_then(
        self, view: View, fields: Fields, kind: str, read: Callable[[Shape], Asked], who: Principal
    ) -> Response:
        """The answer that an earlier receipt stands for, or the page of it that a cursor names."""
        cursor = Cursor.parse(fields.scalars["cursor"]) if "cursor" in fields.scalars else None
        named = "cursor" if cursor else "as_of"
        with about(named, fields.scalars[named]):
            receipt = Receipt.parse(cursor.receipt if cursor else fields.scalars["as_of"])

        def look(edition: Edition) -> tuple[Asked, Edition, Shown]:
            asked = read(edition.shape)
            if cursor and edition.id(asked.plan.first) != cursor.receipt:
                raise QueryError(
                    f"cursor={cursor} is of another question", next="ask as for the page before, and give its cursor"
                )
            return asked, edition, view.shown_in(edition, asked.plan)

        asked, edition, shown = await self._of_then(view, receipt, look, who)
        return await self._shown(asked, edition, shown, kind, who)

    async def statement(self, text: str, who: Principal, kind: str) -> tuple[tuple[str, ...], Response]:
        """The answer to a statement in SQL, and the views that it asks, each on the way that every question goes."""
        asked = statement(text)
        look = partial(answered, shape_of=partial(self._shape, who), ask=partial(self._part, who))
        found = await self._looked_up(who, look, asked)
        shown = Shown(found.table, found.kinds, more=False)
        views = tuple(receipt["view"] for receipt in found.receipts)
        first, several = found.receipts[0], found.receipts if len(found.receipts) > 1 else ()
        if kind == JSON:
            rows = await self._in_turn(who, shown.as_json)
            return views, self._sent(body_of(rows.json, first, several), kind, OF_ONE)
        body = await self._in_turn(who, partial(WRITERS[kind], shown, first))
        return views, self._sent(body, kind, {**OF_ONE, RECEIPT: header_of(first)})

    async def receipt(self, id_: str, who: Principal) -> dict[str, Any]:
        """What an answer with this receipt was made of, whatever was asked."""
        receipt = Receipt.parse(id_)
        named = [view for name, view in self.views(who).items() if tag(name) == receipt.view]
        if len(named) != 1:
            raise NotFound(f"there is no receipt {id_}", next="give `receipt.id` of an earlier answer")
        return await self._of_then(named[0], receipt, lambda edition: {"id": id_, **edition.account_of()}, who)

    async def status(self, who: Principal) -> dict[str, Any]:
        """How the views stand that somebody may ask."""
        views = [*self.views(who).values()]
        sources = {view.name: view.published.shape.source for view in views if view.published}

        def change(view: str) -> dict[str, Any] | None:
            return self._changes.of(view, sources[view]) if view in sources and who.operates(view) else None

        return await anyio.to_thread.run_sync(status.whole, views, self.behind, self._layout, change, who.operates)

    async def metrics_text(self) -> bytes:
        """The figures of all workers."""
        self._tell_how_it_stands()
        if self._figures is None:
            return self.metrics.text()
        return await anyio.to_thread.run_sync(self._figures.of_all, self.metrics.registry)

    async def leave_figures(self) -> None:
        """Leaves them again and again, where there are other workers, for whichever of them is asked."""
        while self._figures is not None:
            self._tell_how_it_stands()
            with suppress(OSError):  # which whoever asks for them is told
                await anyio.to_thread.run_sync(self._figures.leave, self.metrics.registry)
            await asyncio.sleep(figures.EVERY)

    def _tell_how_it_stands(self) -> None:
        sources = {view.published.shape.source for view in self.store.views.values() if view.published}
        for source in sources:
            if proved := proofs.last(self._layout, source):
                self.metrics.count_proof(source, proved)
        for name, view in self.store.views.items():
            edition = view.published
            self.metrics.answerable.labels(name).set(0 if view.problem or edition is None else 1)
            if edition is not None:
                behind = self.behind.of(edition.shape.topic, edition.position)
                for gauge, value in (
                    (self.metrics.records, behind["records"]),
                    (self.metrics.seconds, behind["seconds"]),
                ):
                    gauge.labels(name).set(float("nan") if value is None else value)
                end = self.behind.end(edition.shape.topic)
                for p in end or edition.position:
                    lag = max(end[p] - edition.position[p], 0) if end else float("nan")
                    self.metrics.lag.labels(name, str(p)).set(lag)

    async def _rows(self, who: Principal, view: View, plan: query.Plan, seq: int | None = None) -> tuple[Edition, Rows]:
        """What is not at hand. Named keys are found soon, however many there are, and wait for nothing broader."""
        few = plan.keys is not None or plan.key(view.edition.shape) is not None
        return await self._looked_up(who, view.looked_up, plan, view.name, seq, few=few)

    async def _looked_up(
        self, who: Principal, look: Callable[[P], T], asked: P, view: str = "", seq: int | None = None, *,
        few: bool = False,
    ) -> T:  # fmt: skip
        with self.parts("lookup", view, seq):
            return await self._in_turn(who, partial(look, asked), few=few)

    async def _in_turn(
        self, who: Principal, work: Callable[[], T], limiter: anyio.CapacityLimiter | None = None, *, few: bool = False
    ) -> T:
        """What takes long is done beside the event loop, by turns, and for nobody who has gone."""

        async def run() -> T:
            async with self._turn(who), nullcontext() if few or limiter else self.broad.place():
                spread = work if few or limiter else partial(self._spread, work, wide=not self.broad.crowded)
                return await anyio.to_thread.run_sync(spread, limiter=limiter or self.lookups)

        return await unless_gone(run)

    async def _of_then(self, view: View, receipt: Receipt, look: Callable[[Edition], T], who: Principal) -> T:
        with self.parts("lookup", view.name, receipt.seq):
            past = partial(self.store.past.asked, view.name, receipt, look)
            return await self._in_turn(who, past, self.past)

    def _spread(self, work: Callable[[], T], *, wide: bool) -> T:
        """On all cores, or on one, which leaves another to who asks about named keys where many ask for more."""
        self.store.spread(wide=wide)
        return work()

    def _turn(self, who: Principal) -> AbstractAsyncContextManager[object, bool | None]:
        return self._fair.turn(who) if self.door.required else nullcontext()

    def _not_there(self, name: str, who: Principal) -> NotFound:
        return NotFound(unknown("view", name, self.views(who)), next="GET /v1/views")

    def _said(self, asked: Asked, edition: Edition, rows: Rows) -> Response:
        _refuse_gaps(asked, edition)
        with self.parts("render", edition.shape.view, edition.seq):
            receipt = self._receipt(asked, edition, rows)
            body = body_of(rows.json, receipt)
        return self._sent(body, JSON, _headers(receipt["id"]))

    async def _shown(self, asked: Asked, edition: Edition, shown: Shown, kind: str, who: Principal) -> Response:
        if kind == JSON:
            return self._said(asked, edition, await self._in_turn(who, shown.as_json))
        _refuse_gaps(asked, edition)
        with self.parts("render", edition.shape.view, edition.seq):
            receipt = self._receipt(asked, edition, shown)
            body = await self._in_turn(who, partial(WRITERS[kind], shown, receipt))
        return self._sent(body, kind, {**_headers(receipt["id"]), RECEIPT: header_of(receipt)})

    def _sent(self, body: bytes, kind: str, headers: dict[str, str]) -> Response:
        if len(body) > self.limits.megabytes * 1_000_000:
            raise TooMuch(
                f"the answer has {len(body) // 1_000_000} MB: limits.megabytes",
                next="ask for fewer rows or measures, page by page with limit",
            )
        return Response(body, media_type=kind, headers=headers)

    def _shape(self, who: Principal, name: str) -> Shape:
        return self.view(name, who).edition.shape

    def _part(self, who: Principal, name: str, fields: Fields) -> Part:
        """The answer of one view to its part of a statement."""
        view = self.view(name, who)
        asked = query.plan(view.edition.shape, fields, self.seen(view, who))
        edition, shown = view.shown(asked.plan)
        return Part(shown.table, shown.kinds, self._receipt(asked, edition, shown))

    def _receipt(self, asked: Asked, edition: Edition, rows: Rows | Shown) -> dict[str, Any]:
        behind = self.behind.of(edition.shape.topic, edition.position)
        return edition.receipt(asked.plan, behind=behind, more=rows.more, unmatched=rows.unmatched)

    def _published(self, view: View) -> None:
        edition = view.published
        if edition is not None:
            self.behind.watch(edition.shape.topic)
            self.behind.reached(edition.shape.topic, edition.position)
            self.metrics.published(edition)
        self.live.ring(view)


async def understood(read: Callable[[], Asked], fields: Callable[[], Fields]) -> Asked:
    """What `read` gives, a checked question; one with `at_least` waits for a view that is still being loaded."""
    until: float | None = None
    while True:
        try:
            return read()
        except NotYet:
            until = until or time.monotonic() + query.patience(fields())
            if time.monotonic() >= until:
                raise
        await asyncio.sleep(WAIT)


async def reached(view: View, asked: Asked, behind: Behind) -> None:
    """Waits until the view's answers include what `at_least` names and are as fresh as `max_age` says.

    Raises:
        NotYet: they are not, after the timeout.
    """
    until = time.monotonic() + asked.timeout
    while lacking := _lacking(view.edition, asked, behind):
        if time.monotonic() >= until:
            raise NotYet(f"{view.name} {lacking}", next="ask again, or dovetail status")
        await asyncio.sleep(WAIT)


def _refuse_gaps(asked: Asked, edition: Edition) -> None:
    """Raises Incomplete where a whole answer is asked for and there is none."""
    if asked.whole and edition.gaps_known:
        raise Incomplete(
            f"{edition.shape.view} has passed records that are gone: {edition.gaps_known[0]}",
            next="leave out complete=required to have the answer without them",
        )


def _lacking(edition: Edition, asked: Asked, behind: Behind) -> str:
    """Why an edition is not yet what is asked for; empty where it is."""
    wanted = asked.at_least
    if isinstance(wanted, RecordId):
        there = edition.position.includes(wanted.partition, wanted.offset)
    else:
        there = wanted is None or edition.seq >= wanted
    if not there:
        return f"has not reached {wanted}: it stands at seq {edition.seq}, {edition.position!r}"
    if asked.max_age is None:
        return ""
    seconds = behind.of(edition.shape.topic, edition.position)["seconds"]
    if seconds is None:
        return "may be of any age: the broker does not say where the log ends"
    return f"is {seconds:.1f} s behind, {asked.max_age:g} s are asked for" if seconds > asked.max_age else ""


def _headers(receipt_id: str) -> dict[str, str]:
    # Weak: `behind` may differ while the rows are the same.
    return {"ETag": f'W/"{receipt_id}"', **OF_ONE}
