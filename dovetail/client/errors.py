"""Every error the client raises, in one tree.

ClientError          what, why, the next step; the status and the type that the server gave, if it answered
├── Unreachable      nobody answers there, or the connection breaks, also after every retry
├── Forbidden        401, 403: no key, or one that may not ask this
├── NotFound         404: no view or receipt of that name
├── Incomplete       409: an answer without gaps is asked for, and there is none
├── Gone             410: what an older receipt stands for is not kept any more
├── Refused          400, 413, 422: the question cannot be answered as asked
├── TooMany          429: more is asked than the key may, also after every retry
├── NotYet           503: the answer does not exist yet, also after every retry
└── ServerFault      the server failed, has no answer rather than a wrong one, or is no Dovetail
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import orjson

from dovetail.shared.errors import DovetailError

INTEGRITY = "urn:dovetail:integrity"


class ClientError(DovetailError):
    """A question that got no answer. `status` is None where no server answered."""

    def __init__(
        self, what: str, *, why: str = "", next: str = "", status: int | None = None, type: str = ""  # noqa: A002
    ) -> None:  # fmt: skip
        super().__init__(what, why=why, next=next)
        self.status, self.type = status, type


class Unreachable(ClientError):
    """Nobody answers there, or the connection breaks, also after every retry."""


class Forbidden(ClientError):
    """There is no key, or it may not ask this."""


class NotFound(ClientError):
    """There is no view or receipt of that name."""


class Incomplete(ClientError):
    """An answer without gaps is asked for, and there is none."""


class Gone(ClientError):
    """What an older receipt stands for is not kept any more."""


class Refused(ClientError):
    """The question cannot be answered as asked."""


class TooMany(ClientError):
    """More is asked than the key may, also after every retry."""


class NotYet(ClientError):
    """The answer does not exist yet, also after every retry."""


class ServerFault(ClientError):
    """The server failed, has no answer rather than a wrong one, or is no Dovetail."""


KINDS: Mapping[int, type[ClientError]] = {
    401: Forbidden, 403: Forbidden, 404: NotFound, 409: Incomplete, 410: Gone, 429: TooMany, 503: NotYet,
}  # fmt: skip


def of_outcome(outcome: httpx.Response | httpx.TransportError, server: str) -> ClientError:
    """The error that a refusal or a broken connection tells."""
    if isinstance(outcome, httpx.Response):
        return _refused(outcome, server)
    why = str(outcome) or type(outcome).__name__
    return Unreachable(f"no answer from {server}", why=why, next="dovetail serve, or another url in dovetail.connect")


def no_dovetail(server: str, why: str, status: int) -> ServerFault:
    return ServerFault(
        f"what answers at {server} is no Dovetail of this release: HTTP {status}",
        why=why,
        next="correct the url, or install the release of dovetail that the server has",
        status=status,
    )


@contextmanager
def understood(server: str) -> Iterator[None]:
    """Turns what reading an unexpected document raises into a ServerFault."""
    try:
        yield
    except (KeyError, OSError, TypeError, ValueError) as error:  # Arrow reads what it is given as if from a file
        raise no_dovetail(server, f"{type(error).__name__}: {error}", 200) from None


def of_problem(problem: Any, status: int) -> ClientError:
    """The error that a problem document (RFC 9457) tells; raises KeyError or TypeError for what is none."""
    kind = ServerFault if problem["type"] == INTEGRITY else _kind(status)
    what, next_ = problem.get("detail") or problem["title"], problem.get("next") or ""
    return kind(str(what), next=str(next_), status=status, type=str(problem["type"]))


def _refused(response: httpx.Response, server: str) -> ClientError:
    # Not all come from Dovetail: a proxy before it has no problem document, and the status must do.
    try:
        return of_problem(orjson.loads(response.content), response.status_code)
    except (KeyError, TypeError, ValueError):
        found = no_dovetail(server, "an error without a problem document", response.status_code)
        return _kind(response.status_code)(found.what, why=found.why, next=found.next, status=found.status)


def _kind(status: int) -> type[ClientError]:
    return KINDS.get(status, Refused if 400 <= status < 500 else ServerFault)
