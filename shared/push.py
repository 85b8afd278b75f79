"""What a user declares to be sent on: the changes of an answer, or its alerts, to a webhook or a topic."""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from dovetail.shared.caller import caller
from dovetail.shared.declare import TOPIC, View
from dovetail.shared.duration import bucket_span, pace
from dovetail.shared.errors import DeclarationError, UsageError, unknown
from dovetail.shared.options import REFERENCE

COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "!=": operator.ne,
}  # fmt: skip
TERM = re.compile(r"\s*([a-z][a-z0-9_]*(?:\.\w+)*)\s*(<=|>=|!=|<|>|=)\s*(-?\d+(?:\.\d+)?)\s*")
EXAMPLE = 'when="revenue < 100 and lines >= 3"'


@dataclass(frozen=True)
class Webhook:
    """An address that changes are posted to; made by `webhook`."""

    url: str = field(repr=False)  # that of some services is as good as a key
    secret: str

    def __str__(self) -> str:
        return f"{urlsplit(self.url).hostname}"


@dataclass(frozen=True)
class Topic:
    """A Kafka topic that changes are sent to, a record each; made by `topic`."""

    name: str

    def __str__(self) -> str:
        return f"topic {self.name}"


Target: TypeAlias = Webhook | Topic


@dataclass(frozen=True)
class Term:
    """A comparison of a measure with a number."""

    measure: str
    op: str
    number: Decimal

    def holds(self, value: object) -> bool:
        """Compared exactly; a double with the double that the number is. Null is neither above nor below any number.

        Raises:
            UsageError: the measure's value is no number.

        >>> Term("revenue", "<", Decimal("0.3")).holds(Decimal("0.30")), Term("ratio", "=", Decimal("0.1")).holds(0.1)
        (False, True)
        """
        if value is None:
            return self.op == "!="
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise UsageError(f"when: {self.measure} is no number but {value!r}", next=EXAMPLE)
        number = float(self.number) if isinstance(value, float) else self.number
        return COMPARISONS[self.op](value, number)


@dataclass(frozen=True)
class Push:
    """An answer whose changes are sent on; made by `push`, and called by the name it is assigned to."""

    view: View
    to: Target
    by: tuple[str, ...]
    measures: tuple[str, ...]
    where: Mapping[str, Any]
    bucket: str | None
    when: tuple[Term, ...]
    every: str
    place: str = field(compare=False)

    def fires(self, row: Mapping[str, Any]) -> bool | None:
        """Whether a row satisfies `when`; None where every change is sent."""
        return all(term.holds(row[term.measure]) for term in self.when) if self.when else None


def webhook(url: str, *, secret: str) -> Webhook:
    """An address that takes the changes by POST, signed.

    Args:
        url: https, or http on this machine.
        secret: what deliveries are signed with, as a reference: `env:NAME` or `file:PATH`.

    Raises:
        DeclarationError: with the file and line of the declaration.
    """
    where, parts = caller(), urlsplit(url)
    if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and is_here(parts.hostname))):
        raise DeclarationError("a webhook's address is https://…, or http:// on this machine", where=where)
    if parts.username or parts.password:
        raise DeclarationError("a webhook's address holds a user or a password", where=where)
    reference = REFERENCE.fullmatch(secret)
    if reference is None or not reference[2].strip():
        raise DeclarationError("a webhook's secret is a reference: env:NAME or file:PATH", where=where)
    return Webhook(url, secret)


def topic(name: str) -> Topic:
    """A topic of the project's Kafka, which is there already. Raises DeclarationError for what cannot be one's name."""
    if not TOPIC.fullmatch(name) or name in (".", ".."):
        raise DeclarationError(f"'{name}' cannot be a topic's name", where=caller())
    return Topic(name)


def push(
    view: View,
    *,
    to: Target,
    by: str | Sequence[str] = (),
    measures: str | Sequence[str] = (),
    where: Mapping[str, Any] | None = None,
    bucket: str | None = None,
    when: str | None = None,
    every: str = "10s",
) -> Push:
    """Declares that an answer is sent on as it changes: `dovetail push` asks the running server for it and delivers.

    Each group of the answer that has changed since the last delivery is in the next one: its key, its measures before
    and after, null where it was or is not there. A delivery that fails is tried again, and after a crash the last one
    is repeated as it was, under the same idempotency key.

    Args:
        view: whose answers.
        to: `dv.webhook(…)` or `dv.topic(…)`.
        by: keys, or columns of dimensions, to group by; none: one total.
        measures: what to send; all where not given.
        where: conditions on keys, as in `{"country": ["FR", None], "price": {"gte": 10}}`.
        bucket: group by time too, as in "1d".
        when: an alert: a group is sent when it begins to satisfy this and when it ceases to (`"fired": true | false`).
            Comparisons of measures with numbers, joined by `and`: "revenue < 100 and lines >= 3".
        every: the least time between two deliveries, from 50ms to 60s.

    Raises:
        DeclarationError: with the file and line of the declaration.
    """
    place = caller()
    if not isinstance(view, View):
        raise DeclarationError(f"a push is of a dv.view, not of {view!r}", where=place)
    if not isinstance(to, Webhook | Topic):
        raise DeclarationError(f"push of {view.name}: to is dv.webhook(…) or dv.topic(…), not {to!r}", where=place)
    keys, shown = _listed(by), _listed(measures)
    for name in () if view.dimensions else (*keys, *(where or {})):  # their columns are known to the server
        if name not in view.keys:
            raise DeclarationError(f"push of {view.name}: {unknown('key', name, view.keys)}", where=place)
    for name, given in (where or {}).items():
        if any(_empty(values) for values in (given.values() if isinstance(given, Mapping) else [given])):
            raise DeclarationError(
                f"push of {view.name}: where of '{name}' has no value", where=place, next="give one, or None"
            )
    terms = _terms(when, place) if when is not None else ()
    for name in (*shown, *(term.measure for term in terms)):
        if name.partition(".")[0] not in view.measures:
            raise DeclarationError(f"push of {view.name}: {unknown('measure', name, view.measures)}", where=place)
    for name in dict.fromkeys(term.measure for term in terms):
        if name not in (shown or view.measures):
            raise DeclarationError(
                f"push of {view.name}: when is of {name}, which is not in the answer", where=place,
                next=f"measures={[*(shown or view.measures), name]}",
            )  # fmt: skip
    try:
        pace(every)
        if bucket is not None:
            bucket_span(bucket)
    except DeclarationError as error:
        raise DeclarationError(f"push of {view.name}: {error.what}", where=place, next=error.next) from None
    return Push(view, to, keys, shown, dict(where or {}), bucket, terms, every, place)


def _terms(text: str, place: str) -> tuple[Term, ...]:
    found = [TERM.fullmatch(part) for part in re.split(r"\band\b", text)]
    terms = tuple(Term(m[1], m[2], Decimal(m[3])) for m in found if m)
    if len(terms) < len(found):
        raise DeclarationError(f"when='{text}' is not MEASURE < NUMBER, joined by `and`", where=place, next=EXAMPLE)
    return terms


def _listed(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _empty(values: object) -> bool:
    return isinstance(values, Sized) and not isinstance(values, str | bytes) and not len(values)


def is_here(host: str) -> bool:
    """Whether it names this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
