"""What each kind of problem looks like to a client, word for word; of the inside nothing is in any of them."""

from __future__ import annotations

from typing import Any, get_args

import orjson
import pytest

from dovetail.serving.door import ELSEWHERE, UNKNOWABLE, UNKNOWN
from dovetail.serving.limits import HEADERS_TOO_LARGE, URL_TOO_LONG
from dovetail.serving.problems import (
    LONGEST,
    Forbidden,
    Gone,
    Incomplete,
    Kind,
    NotAcceptable,
    NotFound,
    Problem,
    TooLarge,
    TooMany,
    TooMuch,
    of,
)  # fmt: skip
from dovetail.shared.errors import (
    Busy,
    IntegrityError,
    NotYet,
    QueryError,
    ServiceMissing,
    SettingsError,
    UserCodeError,
)

INSIDE = "SELECT secret FROM '/data/root' at 10.0.0.7"
BODIES: list[tuple[Problem, tuple[str, int, str, str, str], str]] = [
    (of(NotFound("no x", next="n")), ("not-found", 404, "There is nothing of that name", "no x", "n"), ""),
    (of(Forbidden("no")), ("forbidden", 403, "That is not for you", "no", ""), ""),
    (of(Gone("no")), ("gone", 410, "That answer is not kept any more", "no", ""), ""),
    (of(Incomplete("no")), ("incomplete", 409, "There is no answer without gaps", "no", ""), ""),
    (of(NotAcceptable("no")), ("not-acceptable", 406, "There is no such form of an answer", "no", ""), ""),
    (of(TooMuch("no")), ("too-much", 422, "The answer would cost more than is allowed", "no", ""), ""),
    (of(TooMany("no", after=2)), ("too-many", 429, "More is asked than is allowed", "no", "ask again after 2 s"), "2"),
    (of(TooLarge("no")), ("too-large", 413, "More was sent than is read", "no", ""), ""),
    (of(QueryError("no", why="so", where=INSIDE)),
     ("query", 422, "The question cannot be answered as asked", "no: so", ""), ""),
    (of(IntegrityError("no", where=INSIDE, why=INSIDE)),
     ("integrity", 503, "No answer rather than a wrong one", "no", ""), "1"),
    (of(NotYet("no", where=INSIDE, why=INSIDE)), ("not-yet", 503, "The answer does not exist yet", "no", ""), "1"),
    (of(Busy("no")), ("not-yet", 503, "The answer does not exist yet", "no", ""), "1"),
    (UNKNOWN, ("unauthorized", 401, "Who asks is not known", "no key or token that is good came with the request",
               "send Authorization: Bearer KEY; dovetail access key makes one"), ""),
    (of(ServiceMissing("no", where=INSIDE, why=INSIDE)),
     ("unavailable", 503, "What answers need is not there now", "no", ""), "1"),
    (UNKNOWABLE, ("unavailable", 503, "What answers need is not there now",
                  "keys and grants, or an issuer's keys, cannot be read", "the server's log has more"), "1"),
    (ELSEWHERE, ("http", 400, "That is no name of this server", "the Host header names no host that is served here",
                 "ask by another name, or list this one in serving.names of dovetail.toml"), ""),
    (URL_TOO_LONG, ("too-large", 414, "More was sent than is read",
                    "the path and its query are longer than 8192 bytes", "POST the question as JSON"), ""),
    (HEADERS_TOO_LARGE, ("too-large", 431, "More was sent than is read", "the headers are larger than 16384 bytes", ""),
     ""),
    *((of(error), ("crash", 500, "Dovetail failed", "an error of Dovetail itself; its log has more", "dovetail doctor"),
       "") for error in (ValueError(INSIDE), KeyError(INSIDE), UserCodeError(INSIDE), SettingsError(INSIDE))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("told", "body", "retry"), BODIES, ids=lambda value: str(value[:2]) if isinstance(value, tuple) else ""
)
def test_a_problem_is_word_for_word(told: Problem, body: tuple[str, int, str, str, str], retry: str) -> None:
    kind, status, title, detail, next_ = body
    expected: dict[str, Any] = {
        "type": f"urn:dovetail:{kind}", "title": title, "status": status, "detail": detail, "next": next_,
    }  # fmt: skip
    assert orjson.loads(bytes(told.body)) == expected
    assert (told.status_code, told.kind, told.headers.get("retry-after", "")) == (status, kind, retry)
    assert told.headers["content-type"] == "application/problem+json"


def test_every_kind_is_in_it() -> None:
    assert {body[0] for _, body, _ in BODIES} == {*get_args(Kind)}


def test_what_is_told_of_what_was_given_is_bounded_and_keeps_both_ends() -> None:
    detail = orjson.loads(bytes(of(QueryError(f"by={'x' * 1_000_000}: unknown key")).body))["detail"]
    assert (detail[:4], detail[-11:], len(detail)) == ("by=x", "unknown key", LONGEST + 3)
