"""Who comes in: every request but those to a few open paths names itself by a key or a token, or is turned away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from hashlib import sha256

import anyio
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dovetail.serving import links, page
from dovetail.serving.links import Link
from dovetail.serving.problems import UNAVAILABLE, Kind, problem
from dovetail.serving.tokens import Tokens
from dovetail.shared import access as kept
from dovetail.shared.errors import DovetailError
from dovetail.shared.grants import ANYBODY, Principal
from dovetail.shared.keys import PREFIX
from dovetail.shared.settings import Settings
from dovetail.shared.tables import Layout

OPEN = frozenset({*page.FILES, "/health"})
"""Paths that say nothing of any view: whether the process is up, and the page before anybody has given it a key."""
LOOK_S = 1.0
"""Seconds between two looks whether grants or keys have changed: so long may a revoked key go on."""
SCHEME = "bearer "
GOOD, REMEMBERED = "dovetail.named", 100
"""What a scope is marked by whose Host header is good, and how many such headers are remembered."""
NOBODY = Principal("nobody", ())
UNKNOWN = problem(
    "unauthorized", "Who asks is not known", 401, "no key or token that is good came with the request",
    "send Authorization: Bearer KEY; dovetail access key makes one",
)  # fmt: skip
UNKNOWN.headers["WWW-Authenticate"] = "Bearer"
UNKNOWABLE = problem(
    *UNAVAILABLE, "keys and grants, or an issuer's keys, cannot be read", "the server's log has more", retry=1
)
ELSEWHERE = problem(
    "http", "That is no name of this server", 400, "the Host header names no host that is served here",
    "ask by another name, or list this one in serving.names of dovetail.toml",
)  # fmt: skip

log = logging.getLogger(__name__)


class Door:
    """Knows keys and tokens. Asked by any thread."""

    def __init__(self, settings: Settings) -> None:
        self.required = settings.access.required
        self._layout = Layout.of(settings)
        self._tokens = Tokens(settings.access)
        self._pepper = kept.pepper(settings.access.pepper, settings.folder, make=True) if self.required else b""
        self.salt = sha256(b"mask" + self._pepper).hexdigest()
        """What hashes of masked values are keyed by."""
        self._access, self._stamp = kept.Access(), tuple[int, ...]()
        self._looked = -LOOK_S
        self._lock = threading.Lock()
        if self.required:
            self._newest()

    async def who(self, authorization: str) -> Principal | None:
        """Who gives this Authorization header; None where it opens nothing."""
        text = authorization[len(SCHEME) :].strip() if authorization[: len(SCHEME)].lower() == SCHEME else ""
        if text.startswith(f"{PREFIX}_"):
            # One that is not known may have been made this second.
            return self._holder(text) or self._holder(text, within=0.0)
        if text.count(".") != 2:
            return None
        return await anyio.to_thread.run_sync(self._tokens.holder, text, self._newest())

    def sharer(self, path: str) -> tuple[Principal, Link] | None:
        """Whose link is at this path, and the link; None where it opens nothing now."""
        link = Link.opened(path.removeprefix(links.PATH), self._pepper) if self.required else None
        who = link and self._newest().sharer(link.key, link.grant, link.view, time.time())
        return (who, link) if who and link else None

    def link(self, who: Principal, view: str, question: str, *, seconds: float) -> Link | None:
        """A link that shows a question of a view for so long as somebody sees it; None for who may make none."""
        grant = who.shares(view)
        return Link(view, question, who.key, grant.name, int(time.time() + seconds)) if grant else None

    def signed(self, link: Link) -> str:
        """Where a link is."""
        return links.PATH + link.signed(self._pepper)

    def _holder(self, key: str, *, within: float = LOOK_S) -> Principal | None:
        return self._newest(within=within).holder(key, self._pepper, time.time())

    def _newest(self, *, within: float = LOOK_S) -> kept.Access:
        with self._lock:
            if time.monotonic() - self._looked >= within:
                self._looked = time.monotonic()
                stamp = kept.stamp(self._layout)
                if stamp != self._stamp or not stamp:
                    self._access, self._stamp = kept.read(self._layout), stamp
            return self._access


class Guarded:
    """ASGI middleware: sets `who` in the scope's state, or answers 401. It goes by the raw path and by nothing else."""

    def __init__(self, app: ASGIApp, door: Door, on_problem: Callable[[Kind], None] = lambda _: None) -> None:
        self._app, self._door, self._on_problem = app, door, on_problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            who = await self._who(scope)
        except DovetailError as error:
            log.error("nobody can come in: %s", error)
            self._on_problem(UNKNOWABLE.kind)
            await UNKNOWABLE(scope, receive, send)
            return
        if who is None:
            self._on_problem(UNKNOWN.kind)
            await UNKNOWN(scope, receive, send)
            return
        scope.setdefault("state", {})["who"] = who
        await self._app(scope, receive, send)

    async def _who(self, scope: Scope) -> Principal | None:
        if scope["path"].startswith(links.PATH):  # whatever else the request shows: a link opens this and no more
            who, scope.setdefault("state", {})["link"] = self._door.sharer(scope["path"]) or (None, None)
            return who
        if not self._door.required:
            return ANYBODY
        return NOBODY if scope["path"] in OPEN else await self._door.who(_authorization(scope))


class Named:
    """ASGI middleware: answers only what is asked by a name of this server. The library judges, the answer is ours."""

    def __init__(self, app: ASGIApp, names: Sequence[str], on_problem: Callable[[Kind], None] = lambda _: None) -> None:
        self._app, self._on_problem = app, on_problem
        self._judge = TrustedHostMiddleware(_good, names, www_redirect=False)
        self._known = set[str]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or await self._named(scope, receive):
            await self._app(scope, receive, send)
            return
        self._on_problem(ELSEWHERE.kind)
        await ELSEWHERE(scope, receive, send)

    async def _named(self, scope: Scope, receive: Receive) -> bool:
        """What the library says of the Host header, remembered where it is good."""
        if (host := _header(scope, b"host")) in self._known:
            return True
        judged = dict(scope)

        async def unsaid(_: Message) -> None: ...

        await self._judge(judged, receive, unsaid)
        if GOOD not in judged:
            return False
        if len(self._known) < REMEMBERED:
            self._known.add(host)
        return True


async def _good(scope: Scope, _receive: Receive, _send: Send) -> None:
    scope[GOOD] = True


def _authorization(scope: Scope) -> str:
    return _header(scope, b"authorization")


def _header(scope: Scope, name: bytes) -> str:
    return next((v.decode("latin-1") for n, v in scope["headers"] if n == name), "")
